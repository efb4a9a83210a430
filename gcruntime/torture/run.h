// One run of one torture program: a scheduler whose order is disturbed from the seed, cycles back to back
// beside it on a tiny heap, and a watchdog for which no progress is a failure.
//
// A failure prints what was found and the command that repeats it, and aborts: the heap is not to be
// trusted any more, and a core shows the place. Everything here may be called from any thread or fiber.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/check_marks.h"
#include "gcruntime/gc/cycle_stats.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/torture/random.h"

namespace tailrace::torture {

// How cycles run: beside the program; so, but marked in workers' slices only; so, and checked; or with the
// world stopped. kAny: the seed chooses, mostly the first.
enum class Mode { kAny, kBeside, kSlices, kChecked, kStopped };

// How long and how wild. A run ends after `seconds`, or where that is 0 after `steps` of the program's, or where
// that is 0 too after `cycles` cycles: the short form measures no time, so a slow machine only takes longer.
struct Options {
  double seconds = 0;
  std::uint64_t steps = 0;
  std::uint64_t cycles = 60;
  std::uint64_t seed = 1;
  double hang_seconds = 60;  // without a single step: a lost wake or a collection that never ends
  Mode mode = Mode::kAny;
  double least_rate = 0;  // cycles a second; fewer are a failure
  std::string mutant;     // of the mutants build; for the command that is printed
};

class Run {
 public:
  Run(const char* program, const Options& options, unsigned workers);
  // Ends the scheduler, looks for what was left behind, prints the figures.
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  fiber::Scheduler& scheduler() noexcept { return *scheduler_; }
  unsigned workers() const noexcept { return workers_; }
  std::uint64_t seed() const noexcept { return options_.seed; }
  // Cycles run beside the program, so that rounds and holds are what they are in a service.
  bool beside() const noexcept { return mode_ != Mode::kStopped; }
  Random random(std::uint64_t stream) const noexcept { return {options_.seed, stream}; }

  // False when the run should end.
  bool more() const noexcept { return !over_.load(std::memory_order_relaxed); }
  // Something was done. The watchdog counts nothing else.
  void step() noexcept { steps_.fetch_add(1, std::memory_order_relaxed); }
  // A size that grows with the run's length: per_second of it for each second, within bounds.
  std::size_t scaled(std::size_t least, std::size_t per_second, std::size_t most) const noexcept;

  // Runs body(number, random) on `count` fibers and waits for them all. Not on a fiber.
  template <typename Body>
  void fibers(unsigned count, Body&& body) {
    scheduler_->run([&] {
      std::vector<fiber::JoinHandle> handles;
      for (unsigned number = 0; number < count; ++number) {
        handles.push_back(
            fiber::spawn({0, program_}, [&, number] { body(number, random(number)); }));
      }
      for (fiber::JoinHandle& handle : handles) handle.join();
    });
  }

  // The oracle's verdict.
  void expect(bool good, const char* what, const void* where, std::uint64_t found,
              std::uint64_t expected) {
    if (!good) [[unlikely]]
      fail(what, where, found, expected);
  }
  void expect_equal(std::uint64_t found, std::uint64_t expected, const char* what,
                    const void* where = nullptr) {
    expect(found == expected, what, where, found, expected);
  }
  [[noreturn, gnu::cold]] void fail(const char* what, const void* where, std::uint64_t found,
                                    std::uint64_t expected);

 private:
  void collect_back_to_back();
  void watch();
  [[noreturn]] void report_hang(std::uint64_t steps);
  void print_repeat() const;
  void print_collector(std::uint64_t cycles) const;

  const char* const program_;
  const Options options_;
  const unsigned workers_;
  const Mode mode_;
  const std::int64_t begin_ns_;
  std::uint64_t cycles_before_ = 0;
  gc::CycleStats stats_before_;
  gc::MarkChecks checks_before_;
  std::array<gc::HoldCounts, gc::kHoldKinds> holds_before_;
  // Relaxed: figures, and advice to end.
  std::atomic<std::uint64_t> steps_{0};
  std::atomic<std::uint64_t> cycles_{0};  // forced by this run
  std::atomic<bool> over_{false};
  std::atomic<bool> joined_{false};
  std::unique_ptr<fiber::Scheduler> scheduler_;
  std::thread collector_;
  std::mutex mutex_;  // with ended_ of the watchdog
  std::condition_variable ended_;
  bool watch_over_ = false;
  std::thread watchdog_;
};

// Nothing, a spin, some garbage, or a switch: log-uniform from nothing to some 100 us. On a fiber.
void pause(Random& random);
// Garbage that takes freed slots, so that what was freed too early is overwritten.
void litter(Random& random, std::size_t count);

}  // namespace tailrace::torture
