// The scavenger: gives free pages that the next cycle's growth will not need back to the OS, beside the
// program, on a thread of its own that takes a hundredth of one processor at most (but for what a memory
// limit asks for that was set far below what is resident: that goes at once).
//
// What is kept and how fast the rest goes: heap/scavenge.h. It looks when a cycle's sweep has ended, for only
// the sweep makes pages free, and goes on piece by piece until there is nothing to give back; then it sleeps.
// [heap.release] A piece (a huge page at most) is off the heap's lists while the kernel works, no lock is
// held, and no stop of the world or handshake waits for whoever does it, or stops it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "gcruntime/heap/scavenge.h"

namespace tailrace::gc {

// Gives at least that much free memory back, or all there is, whatever the goal would keep: for who must
// make room. Returns the bytes, with those that others had on their way when nothing else was left. Any
// thread; not in a section.
std::size_t scavenge_now(std::size_t bytes) noexcept;

// Since the start; each only grows.
struct ScavengeStats {
  std::uint64_t released_bytes = 0;
  std::uint64_t background_cpu_ns = 0;  // of the scavenger's thread
  std::uint64_t assist_cpu_ns = 0;      // of those who called scavenge_now or free_os_memory
};
ScavengeStats read_scavenge_stats() noexcept;

class Scavenger {
 public:
  static Scavenger& instance();

  // A cycle's sweep has ended: the heap may grow to `goal_bytes` (UINT64_MAX: no goal) until the next one.
  // Wakes the thread if there is something to give back. The collector's thread; under no lock.
  void note_swept(std::uint64_t goal_bytes) noexcept;
  // The thread looks again. Any thread, in no section.
  void wake() noexcept;
  // One piece of what is beyond what the last goal lets it keep; 0: there is none. Any thread that nobody
  // stops: not attached, or in a native scope. (The thread goes by the highest goal of the last second.)
  std::size_t step() noexcept;

 private:
  [[noreturn]] void run();

  std::atomic<std::uint64_t> goal_bytes_{UINT64_MAX};
  std::mutex mutex_;  // guards all below
  std::condition_variable work_;
  heap::RecentGoal recent_;
  bool started_ = false;
  bool due_ = false;
};

}  // namespace tailrace::gc
