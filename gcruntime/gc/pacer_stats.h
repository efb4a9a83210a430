// What the pacer knows at a moment: for metrics, for admission and for tests.
#pragma once

#include <cstdint>

namespace tailrace::gc {

struct PacerStats {
  std::uint64_t live_bytes = 0;  // at the end of the last cycle: found, and born black
  std::uint64_t goal_bytes = 0;  // where the heap is to be when the next one ends; UINT64_MAX: none
  std::uint64_t trigger_bytes = 0;   // where it begins; UINT64_MAX: none
  std::uint64_t runway_bytes = 0;    // what is expected to be allocated while it marks
  std::uint64_t peak_bytes = 0;      // the heap at the end of the last cycle's marking
  std::int64_t overshoot_bytes = 0;  // of that over the goal; below zero: under it
  std::uint64_t debt_bytes = 0;      // see assist_debt_bytes
  double gc_cpu_share = 0;  // of the processors' time, all kinds, over the last eight cycles
  double mark_bytes_per_core_second = 0;  // over the last cycles; 0: not known
  // Infinite without a goal; 0: not known.
  double sustainable_alloc_bytes_per_second = 0;
  double limiter_fill = 0;          // of the CPU limiter's bucket, 0 to 1
  std::uint64_t limiter_times = 0;  // that it has come on
  std::uint64_t limiter_cycle = 0;  // the cycle at which it did last; 0: never
  bool limiter_on = false;
};
// Any thread; takes the collector's lock.
PacerStats read_pacer_stats();

// For those who decide on each request. Any thread, a few loads.
//
// By how much marking is behind what has been allocated, in bytes still to be scanned: what assists are asked
// for and, beyond what a request may be asked for, what they were let off. 0 while no cycle marks.
std::uint64_t assist_debt_bytes() noexcept;
// Collection takes as much of the CPU time as it may: assists do nothing, and the heap passes its goal.
bool gc_cpu_limited() noexcept;

}  // namespace tailrace::gc
