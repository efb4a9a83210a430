// Arena: the memory of one request, as its fiber and the collector see it; and the inline allocation in it.
//
// A fiber has one at most, the record of which its thread finds in its Mutator. Everything in it is the
// fiber's, on whatever thread it runs, unless said. Records are never freed: the collector finds all there
// ever were in one list.
//
// [arena.root] An open arena is a root: the collector walks its segments once a cycle, to the bump pointer that
// it sees then, beside the fiber. What is allocated later is all zeros, and every store shades.
//   state   kFree -> kOpen             the fiber opens it
//           kOpen -> kWalked           the collector begins (CAS)
//           kWalked -> kOpen           and ends its walk (CAS)
//           kOpen -> kFree             the fiber ends it (CAS): its blocks go
//           kWalked -> kHandedOver     the fiber ends it meanwhile (CAS): who walks sees it at its end, and its
//                                      blocks go then. The fiber waits for nobody.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/type_info.h"
#include "gcruntime/heap/arena_blocks.h"

namespace tailrace::gc {

class Mutator;
namespace internal {
struct ArenaDestructor;
}

class alignas(64) Arena {
 public:
  enum class State : std::uint8_t { kFree, kOpen, kWalked, kHandedOver };

  // The next object's header; null where nothing fits. Release: the header before it; pairs with the walk's
  // acquire.
  std::atomic<char*> bump{nullptr};
  char* limit = nullptr;  // up to there memory is zeroed
  std::uint64_t objects = 0;

  std::atomic<heap::ArenaSegment*> first{nullptr};  // release, acquire: see the segment
  heap::ArenaSegment* current = nullptr;
  heap::ArenaBlock* blocks = nullptr;                // by their `next`
  internal::ArenaDestructor* destructors = nullptr;  // to run at its end
  bool ending = false;                               // they are run
  bool closed = false;  // it faded as a whole: what comes now is the heap's
  std::uint32_t opened_generation = 0;
  std::uint32_t faded_generation =
      0;  // the thread's, when something faded last in phase off; or at open

  // Where with_arena's caller's frames begin: those below are the request's own, and gone before it ends.
  std::uintptr_t frame = 0;

  std::uint64_t max_bytes = 0;
  const char* label = "";
  std::uint64_t bytes = 0;        // with headers, of segments that are full
  std::uint64_t taken_bytes = 0;  // of memory, in blocks and holes; what max_bytes bounds
  std::uint64_t told_bytes = 0;   // of bytes and objects: in the thread's counts already
  std::uint64_t told_objects = 0;
  std::uint64_t faded_bytes = 0;
  std::uint64_t faded_objects = 0;

  std::atomic<State> state{State::kFree};
  std::uint32_t left_generation = 0;  // for who ends it in the fiber's place; before kHandedOver
  Arena* next_free = nullptr;         // of the records that wait, under their lock
  Arena* next_all = nullptr;          // constant once it is in the list

  std::uint64_t bytes_so_far() const noexcept {
    const char* const at = bump.load(std::memory_order_relaxed);
    return bytes + (current == nullptr || at == nullptr
                        ? 0
                        : static_cast<std::uint64_t>(at - current->begin()));
  }
};

namespace internal {

// Null: the object is the heap's. May wait for memory, as allocation on the heap does.
void* arena_refill(std::size_t payload_bytes, std::uint16_t type, std::uint32_t count);
// What the thread's arena has given out since the last call goes to the thread's counts. Its own thread.
void tell_arena_counts(Mutator& self) noexcept;
// All but that many of the blocks that the thread keeps for its next arenas go. Section, or the collector for it.
void trim_arena_blocks(Mutator& self, std::uint64_t keep) noexcept;
void give_up_arena_records(Mutator& self) noexcept;

// In the arena that the thread's fiber has. Null: the object is the heap's.
TAILRACE_ALWAYS_INLINE void* arena_allocate(Arena* arena, std::size_t payload_bytes,
                                            std::uint16_t type, std::uint32_t count) {
  const std::size_t bytes =
      (payload_bytes + kHeaderBytes + heap::kGranuleBytes - 1) & ~(heap::kGranuleBytes - 1);
  // Relaxed: the own fiber's.
  char* const at = arena->bump.load(std::memory_order_relaxed);
  if (bytes > static_cast<std::size_t>(arena->limit - at) || bytes > heap::kMostArenaSmallBytes)
      [[unlikely]] {
    return arena_refill(payload_bytes, type, count);
  }
  base::unpoison_memory(at, bytes);
  *reinterpret_cast<std::uint64_t*>(at) =
      Header::pack(type, 0, count) | heap::ArenaHeader::of_granules(bytes / heap::kGranuleBytes);
  arena->bump.store(at + bytes, std::memory_order_release);
  ++arena->objects;
  return at + kHeaderBytes;
}

// Every arena there ever was.
extern std::atomic<Arena*> all_arenas;

// Calls object(header's address, header) for each object between two addresses of a segment.
template <typename F>
void for_each_in_segment(char* begin, const char* end, F&& object) noexcept {
  for (char* at = begin; at < end;) {
    // Relaxed: below the bump pointer, whose load was an acquire, or the own fiber's.
    const std::uint64_t header =
        __atomic_load_n(reinterpret_cast<std::uint64_t*>(at), __ATOMIC_RELAXED);
    object(at, header);
    const std::size_t granules = heap::ArenaHeader::granules(header);
    if (granules == 0) return;  // alone in its block
    at += granules * heap::kGranuleBytes;
  }
}
// Where a segment ends by now. Any thread, while the arena cannot end.
char* end_of_segment(const Arena& arena, const heap::ArenaSegment& segment) noexcept;

}  // namespace internal

// Open arenas' objects, for whoever marks or checks: calls `visit` with each object with pointers. Not by an
// attached thread. Objects that come meanwhile may be left out.
using VisitArenaObject = void (*)(void* visitor, std::uintptr_t slot);
void for_each_arena_object(VisitArenaObject visit, void* visitor) noexcept;

// What has died of all that arenas gave out: with its arena, or by a sweep after it had faded. Monotonic.
struct ArenaDead {
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
};
ArenaDead read_arena_dead();

}  // namespace tailrace::gc
