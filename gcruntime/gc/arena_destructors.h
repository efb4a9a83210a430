// Destructors of objects that die with their arena.
//
// They run when the arena ends, on its own fiber, the newest first, as those of locals do: what a request has
// opened is closed before its reply's successor is read, and not after the next cycle. An object that has faded
// is the collector's by then: it is watched as one from the heap is (finalizer.h).
//
// [arena.destructors] Frames above with_arena are looked through before (what they hold fades, and is not
// destroyed) and after (a destructor may have stored a pointer there). What a destructor stores where the
// arena does not end fades as ever: an object that waits for its own destructor is then watched, one that
// has been destroyed is memory that is safe to read, and no more. What is made meanwhile with a destructor is the heap's,
// so that this has an end.
//
// All by the arena's own fiber.
#pragma once

#include <cstdint>

#include "gcruntime/gc/finalizer.h"

namespace tailrace::gc {

class Arena;

namespace internal {

// In the arena itself.
struct ArenaDestructor {
  ArenaDestructor* next;
  void* object;
  FinalizerCall call;
};

// For an object that is about to be made; null: it is to be made on the heap.
ArenaDestructor* reserve_arena_destructor();
// The object, wherever it is, has been constructed.
void destroy_with_arena(ArenaDestructor* reserved, void* object, FinalizerCall call);
// Those of the objects that have not faded.
void run_arena_destructors(Arena& arena) noexcept;

}  // namespace internal
}  // namespace tailrace::gc
