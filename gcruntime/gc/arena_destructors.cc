#include "gcruntime/gc/arena_destructors.h"

#include "gcruntime/base/check.h"
#include "gcruntime/gc/arena_record.h"
#include "gcruntime/gc/escape.h"
#include "gcruntime/gc/mutator.h"

namespace tailrace::gc::internal {

ArenaDestructor* reserve_arena_destructor() {
  Arena* const arena = mutator()->arena;
  if (arena == nullptr || arena->closed || arena->ending) return nullptr;
  return static_cast<ArenaDestructor*>(arena_allocate(arena, sizeof(ArenaDestructor), 0, 0));
}

void destroy_with_arena(ArenaDestructor* reserved, void* object, FinalizerCall call) {
  // It may be the heap's, as the arena had no room, or have faded while it was constructed.
  if (reserved == nullptr || !is_unfaded(object)) {
    watch(object, true, call, nullptr, 0);
    return;
  }
  Arena& arena = *mutator()->arena;
  *reserved = {arena.destructors, object, call};
  arena.destructors = reserved;
}

void run_arena_destructors(Arena& arena) noexcept {
  arena.ending = true;
  ArenaDestructor* faded = nullptr;  // the oldest first
  while (ArenaDestructor* const next = arena.destructors) {
    arena.destructors = next->next;
    if (!is_unfaded(next->object)) {
      next->next = faded;
      faded = next;
      continue;
    }
    try {
      next->call(next->object, nullptr);
    } catch (...) {
      TAILRACE_CHECK(false, "an exception escaped a destructor at an arena's end: catch it inside");
    }
    // The fiber may go on on another thread.
    bump(mutator()->arena_counts.destroyed_objects, 1);
  }
  // In the order of making, by which the collector runs them.
  for (; faded != nullptr; faded = faded->next) {
    watch(faded->object, true, faded->call, nullptr, 0);
    // [arena.destructors] It may be dead, and the cycle under way past deciding who is.
    keep_faded(faded->object);
  }
  arena.ending = false;
}

}  // namespace tailrace::gc::internal
