// The fixture of the fiber tests: a scheduler with 1, 2 or 4 workers, and at its end a look for
// what was left behind.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/test_support.h"

namespace tailrace::fiber {

// Bounds every wait of a test that should end by itself; reached only by a bug (a lost wake-up).
inline constexpr std::chrono::seconds kGiveUp{20};

// Waits without yielding its worker. False if the condition did not come true in time.
template <typename Condition>
bool spin_until(Condition&& condition) {
  const auto give_up = std::chrono::steady_clock::now() + kGiveUp;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    gc::test::poll_without_stop_signals();
    std::this_thread::yield();
  }
  return true;
}
// The same on a fiber, and lets others run.
template <typename Condition>
bool yield_until(Condition&& condition) {
  const auto give_up = std::chrono::steady_clock::now() + kGiveUp;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    yield();
  }
  return true;
}

class FiberTest : public testing::TestWithParam<unsigned> {
 protected:
  unsigned workers() const { return GetParam(); }

  // Starts the scheduler; without a call, run() starts a plain one.
  Scheduler& start(SchedulerOptions options = {}) {
    options.workers = workers();
    seed_ = options.perturb_seed;
    scheduler_ = std::make_unique<Scheduler>(options);
    scheduler_->start();
    return *scheduler_;
  }
  Scheduler& scheduler() { return scheduler_ == nullptr ? start() : *scheduler_; }
  template <typename F>
  void run(F&& function) {
    scheduler().run(std::forward<F>(function));
  }

  void TearDown() override {
    if (scheduler_ != nullptr) {
      scheduler_->stop();
      const SchedulerStats stats = scheduler_->stats();
      EXPECT_EQ(stats.fibers, 0u) << "fibers left";
      EXPECT_EQ(stats.fibers_runnable, 0u) << "entries left in queues";
      EXPECT_EQ(stats.stack_bytes_in_use, 0u) << "stacks left";
      scheduler_.reset();
    }
    EXPECT_EQ(count(), 0u);
    if (HasFailure() && seed_ != 0) ADD_FAILURE() << "perturb_seed was " << seed_;
  }

 private:
  std::unique_ptr<Scheduler> scheduler_;
  std::uint64_t seed_ = 0;
};

inline std::string worker_name(const testing::TestParamInfo<unsigned>& info) {
  return std::to_string(info.param) + "w";
}
#define TAILRACE_FIBER_TESTS(fixture) \
  INSTANTIATE_TEST_SUITE_P(Workers, fixture, testing::Values(1u, 2u, 4u), worker_name)
// Of what one worker does to another.
#define TAILRACE_FIBER_PEERS_TESTS(fixture) \
  INSTANTIATE_TEST_SUITE_P(Workers, fixture, testing::Values(2u, 4u), worker_name)

}  // namespace tailrace::fiber
