// One thread of a scheduler that looks at the workers from outside: it counts and reports long
// slices, and prints the scheduler trace.
//
// [fiber.slices] A slice is what a fiber runs between two switches; the worker counts them, and that
// count is its name. The monitor reads it every quarter of the threshold: the same slice with a fiber
// at two looks that lie the threshold apart is a long one. So a slice shorter than the threshold is
// never counted, and one longer by a look's distance always; while all workers sleep the looks
// become rarer, up to two thresholds apart. Switching costs nothing for it. Most of it is the
// monitor's own; counts are read by anyone.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/fiber/scheduler.h"

namespace tailrace::fiber {

class Monitor {
 public:
  explicit Monitor(Scheduler::Impl& scheduler) : scheduler_(scheduler) {}
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  // Called by the scheduler's start and stop. No thread if there is nothing to look for.
  void start();
  void stop();

  std::uint64_t long_slices() const noexcept {
    return long_slices_.load(std::memory_order_relaxed);
  }

 private:
  struct Seen {
    std::uint64_t slice = 0;
    std::int64_t since_ns = 0;  // of the first look; 0: no fiber ran at the last one
    std::int64_t cpu_ns = 0;    // of the thread, then
    bool told = false;
  };

  void main();
  void look(std::int64_t now_ns);
  void report(unsigned index, const Seen& seen, std::int64_t now_ns);
  void trace(std::int64_t now_ns) const;

  Scheduler::Impl& scheduler_;
  std::thread thread_;
  int stop_fd_ = -1;  // an eventfd: readable when the thread should end
  std::atomic<std::uint64_t> long_slices_{0};

  // The thread's own.
  std::int64_t start_ns_ = 0;
  std::vector<Seen> seen_;
  std::int64_t report_after_ns_ = 0;
  std::uint64_t unreported_ = 0;
};

}  // namespace tailrace::fiber
