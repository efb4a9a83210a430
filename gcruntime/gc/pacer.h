// The pacer: when a cycle begins, where the heap is to be when it ends, and how much those who allocate
// meanwhile owe it. Go's maths (gcController), as pure functions of plain figures: no clock, no global.
//
// Three ideas. The *goal* is what was found alive and percent / 100 of it, or what the memory limit leaves.
// The *trigger* comes before it by what will be allocated while the cycle marks (the runway), which the last
// cycles tell. And if they told wrong, the *assist ratio* says how much is to be marked for each byte that
// is allocated, so that marking ends when the heap is at the goal. All bytes are of slots.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "gcruntime/heap/alloc_counts.h"

namespace tailrace::gc {

struct PacerSettings {
  int percent = 100;                              // -1: off, only the memory limit counts
  std::uint64_t memory_limit_bytes = UINT64_MAX;  // of the whole process; UINT64_MAX: none
  // The limit gives way before it asks for cycles so dense that the heap grows by less than that.
  int min_percent = 0;
  double share = 0.25;  // of all processors' time, that marking may take
};

// What the last cycle left behind.
struct Survivors {
  std::uint64_t live_bytes = 0;   // found, and what was allocated while it marked
  std::uint64_t found_bytes = 0;  // of them: found. What is born black gives no room to grow
  std::uint64_t stack_bytes = 0;  // scanned in stacks
  std::uint64_t root_bytes = 0;
  std::uint64_t scanned_bytes = 0;  // of objects: those without pointers are not scanned
  // Scan work: what the next cycle has to do if nothing changes.
  std::uint64_t work_bytes() const noexcept { return scanned_bytes + stack_bytes + root_bytes; }
};

// UINT64_MAX: none. Go's, but that what was born black counts in full up to a quarter of the room that the
// percent gives, and what is more takes room away: else who allocates faster than cycles mark gets a later
// goal for it, again and again.
std::uint64_t percent_goal(const Survivors& left, int percent) noexcept;
// Less headroom; `non_heap_bytes` is what the process has beside objects: stacks, tables, malloc, free slots.
std::uint64_t limit_goal(const Survivors& left, const PacerSettings& settings,
                         std::uint64_t non_heap_bytes) noexcept;
// The smaller of both; like them never below what is alive.
std::uint64_t heap_goal(const Survivors& left, const PacerSettings& settings,
                        std::uint64_t non_heap_bytes) noexcept;

// Where who allocates waits for the cycle: two fifths further than percent allows from what was found (2.4
// times that with 100), or the goal if that is more; and 8 MiB.
std::uint64_t heap_backstop(const Survivors& left, int percent, std::uint64_t goal_bytes) noexcept;

// One cycle that marked beside the service.
struct MarkingFacts {
  std::uint64_t allocated_bytes = 0;  // from its beginning to its end
  std::uint64_t work_bytes = 0;       // scanned
  double utilisation = 0;             // of the processors' time meanwhile, taken by marking
};

// Bytes allocated for each byte scanned, by a processor that did nothing else: the dearest of the last five
// cycles, because a cycle that begins late costs stalls and one that begins early a little more marking.
class ConsMark {
 public:
  void note(const MarkingFacts& facts, double share) noexcept;
  double value() const noexcept;

 private:
  static constexpr std::size_t kCycles = 5;
  std::array<double, kCycles> last_{};
  std::size_t next_ = 0;
};

// What will be allocated while marking does that much with its share.
std::uint64_t runway_bytes(double cons_mark, std::uint64_t work_bytes, double share) noexcept;
// The heap at which a cycle begins: goal less runway, at 70 % to 95 % of the way from `live` to the goal,
// or within 4 MiB of it if that is later still.
std::uint64_t heap_trigger(std::uint64_t live_bytes, std::uint64_t goal_bytes,
                           std::uint64_t runway) noexcept;

// A cycle that marks.
struct CyclePlan {
  std::uint64_t begin_bytes = 0;      // the heap when it began
  std::uint64_t goal_bytes = 0;       // UINT64_MAX: off
  std::uint64_t expected_bytes = 0;   // scan work, as the last cycle left it
  std::uint64_t most_work_bytes = 0;  // if all that was allocated since is alive and scanned
  std::uint64_t limit_goal_bytes = UINT64_MAX;  // past which the goal is not moved
  int percent = 100;
};
// The bytes to be scanned for each byte allocated. `heap_bytes` and `done_bytes` as they are now: where more
// was found than expected, or the goal has been passed, it changes as Go's does.
double assist_ratio(const CyclePlan& plan, std::uint64_t heap_bytes,
                    std::uint64_t done_bytes) noexcept;

// How long a fiber may still be asked to mark: a millisecond, and a slice for each MiB that it has
// allocated. A request is a fiber, so this bounds what collection adds to a request's own time.
std::int64_t assist_allowance_ns(const AllocCounts& own) noexcept;

// How fast the service may allocate (bytes a second) so that marking with its share of the processors keeps
// up: what the heap may grow by, over the time that marking takes. Infinite without a goal.
struct MarkRate {
  double bytes_per_core_second = 0;  // of scan work; 0: not known
  unsigned procs = 1;
  double share = 0.25;
};
double sustainable_alloc_rate(const Survivors& left, std::uint64_t goal_bytes,
                              const MarkRate& rate) noexcept;

}  // namespace tailrace::gc
