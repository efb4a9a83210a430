// Who needs a page and meets the memory limit: makes room, waits for a cycle to make some, or is refused.
//
// [gc.room] An attempt to take pages fails at the limit; RoomSearch::next() does one thing that may help (a
// slice of what is unswept, idle pages given back, a new look at the accounts, a wait for news) and the
// caller tries again. All of that happens outside sections. Only a cycle makes room out of nothing, and it
// waits for nobody here: the collector's thread allocates nothing managed, and whoever waits is parked or in
// a native scope. So each wait ends with news, with its deadline, or after ten seconds.
//
// Refused is who has seen two whole cycles end, if by the last one live data fills the limit, and in any case
// after eight: then only fragmentation, or others who are always quicker, can be the cause. From then on
// memory is *exhausted*: who needs room is refused at once, and asks for a cycle that may end that state,
// until a sweep leaves a 64th of the limit in no span. Cycles for the limit are so far apart that collection
// takes less than half of the processors' time.
//
// The bounds of a wait are the fiber's: a chain of AllocationBounds on its stack.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/gc/memory_limit.h"
#include "gcruntime/gc/room_line.h"

namespace tailrace::gc {

// What the code that runs has said about its waits for memory; all of the chain hold.
struct AllocationBounds {
  const AllocationBounds* outer = nullptr;
  std::int64_t deadline_ns = INT64_MAX;  // on the monotonic clock
  // The work has ended: asked again every hundredth of a second.
  bool (*ended)(const void* argument) noexcept = nullptr;
  const void* argument = nullptr;
  bool reserve = false;  // may draw on the reserve
};

// They hold for the calling fiber, or thread without one, until the end of the scope.
class BoundsScope {
 public:
  explicit BoundsScope(AllocationBounds& bounds) noexcept;
  ~BoundsScope();
  BoundsScope(const BoundsScope&) = delete;
  BoundsScope& operator=(const BoundsScope&) = delete;

 private:
  AllocationBounds& bounds_;
};

// Who is about to release data allocates a little for it, and must not be refused for want of what it is to
// release: up to a hundredth of the limit over it (or over what was there, where the limit was lowered or
// the rest of the process grew: reserve_bytes()), for the calling fiber until the end of the scope.
class MemoryReserve {
 public:
  MemoryReserve() noexcept : scope_(bounds_) {}

 private:
  AllocationBounds bounds_{.reserve = true};
  BoundsScope scope_;
};

namespace internal {

// One allocation on its way to room for `bytes`. A stall is noted when it ends, in its whole length.
class RoomSearch {
 public:
  explicit RoomSearch(std::size_t bytes) noexcept : bytes_(bytes) {}
  ~RoomSearch();
  RoomSearch(const RoomSearch&) = delete;
  RoomSearch& operator=(const RoomSearch&) = delete;

  // After an attempt that failed; `refused`: the limit was why. Returns by how much the next attempt may
  // pass the limit. May come back on another thread. Throws MemoryLimitExceeded; std::bad_alloc if there
  // is no memory at all.
  std::uint64_t next(bool refused);

 private:
  bool sweep_a_slice() noexcept;
  bool try_the_news() noexcept;
  void check_patience();
  void wait();
  [[noreturn]] void refuse(MemoryLimitExceeded::Why why) const;

  const std::size_t bytes_;
  std::uint64_t over_bytes_ = 0;
  std::uint64_t seen_news_ = 0;
  std::uint64_t swept_ = 0;        // cycles, as of that news
  std::uint64_t first_cycle_ = 0;  // the first whole one since the search began
  std::size_t slices_ = 0;         // of sweeping, left
  std::int64_t begin_ns_ = 0;      // of the first wait; 0: none yet
  bool started_ = false;
  bool collected_ = false;
};

// The caller's bounds, all of them at once.
struct Bounds {
  std::int64_t deadline_ns = INT64_MAX;
  bool reserve = false;
  bool can_end = false;
  bool ended = false;
};
Bounds all_bounds() noexcept;
// In the line until there is news after `seen`, or until then: the calling fiber parked, a thread without one
// in a native scope. In no section; a fiber may come back on another thread.
void wait_in(RoomLine& line, std::uint64_t seen, std::int64_t until_ns);

// What fibers do differently; from the fibers' room.
struct FiberWaits {
  // Where the calling fiber's bounds stand; null: no fiber runs.
  const AllocationBounds** (*bounds)() noexcept;
  // Parks the calling fiber in the line, until news after `seen` or the deadline.
  void (*wait)(RoomLine& line, std::uint64_t seen, std::int64_t deadline_ns);
  // Stops the program if the calling thread holds a lock that must not be held over a suspension.
  void (*check_locks)() noexcept;
};
void set_fiber_waits(const FiberWaits* waits) noexcept;
#if defined(TAILRACE_VERIFY)
// On every way through allocation's slow path, which might suspend.
void check_may_wait() noexcept;
#else
inline void check_may_wait() noexcept {}
#endif

// By the collector's thread: a cycle begins; has marked; is swept.
void note_cycle_begun(std::uint64_t number) noexcept;
void note_cycle_marked(std::uint64_t marked_bytes) noexcept;
void note_cycle_swept(std::uint64_t number, unsigned procs) noexcept;
// The limit is another one.
void note_new_limit() noexcept;

// For memory_limit.cc.
std::uint64_t live_at_limit() noexcept;
void fill_waits(MemoryLimitStats& into) noexcept;

}  // namespace internal
}  // namespace tailrace::gc
