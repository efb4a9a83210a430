// While the world is stopped nobody runs, however they were caught.
#include "gcruntime/gc/world.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

using test::join;
using test::Node;

// With gcstoptheworld=1; beside the service nobody is stopped.
class WorldTest : public testing::Test {
 protected:
  WorldTest() { configure({.stop_the_world = true}); }
  ~WorldTest() override { configure({}); }
  ThreadScope scope_;
};

// A source of stacks that has none.
class NoStacks : public StackSource {
 public:
  void for_each_clean_stack(Visit, void*) noexcept override {}
  void begin_round() noexcept override {}
  Walk scan_some(std::uint64_t, Visit, void*) noexcept override { return Walk::kDone; }
  bool has_idle_thread() const noexcept override { return true; }
  void stack_bytes(std::uint64_t&, std::uint64_t&) const noexcept override {}

 protected:
  ~NoStacks() = default;
};

// Asked for stacks, while the world is stopped: looks whether anybody moves.
class Watcher final : public NoStacks {
 public:
  static constexpr std::size_t kThreads = 3;

  void for_each_parked_stack(Visit, void*) noexcept override {
    std::array<std::uint64_t, kThreads> before;
    for (std::size_t i = 0; i < kThreads; ++i) before[i] = steps[i].load(std::memory_order_relaxed);
    const std::int64_t end = os::now_ns() + 20'000;
    while (os::now_ns() < end) {
    }
    for (std::size_t i = 0; i < kThreads; ++i) {
      if (steps[i].load(std::memory_order_relaxed) != before[i]) {
        moved[i].fetch_add(1, std::memory_order_relaxed);
      }
    }
  }

  std::array<std::atomic<std::uint64_t>, kThreads> steps{};
  std::array<std::atomic<int>, kThreads> moved{};
};

TEST_F(WorldTest, NobodyRunsWhileTheWorldIsStopped) {
  Watcher watcher;
  add_stack_source(&watcher);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  const auto start = [&](std::size_t number, auto prepare) {
    threads.emplace_back([&watcher, &stop, number, prepare] {
      const ThreadScope scope;
      while (!stop.load(std::memory_order_relaxed)) {
        prepare();
        for (int i = 0; i < 30; ++i) watcher.steps[number].fetch_add(1, std::memory_order_relaxed);
      }
    });
  };
  start(0, [] { native([] {}); });
  start(1, [] { make<Node>(); });
  start(2, [] { test::poll_without_stop_signals(); });
  for (int i = 0; i < 1000; ++i) collect();
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) join(thread);
  remove_stack_source(&watcher);
  for (std::size_t i = 0; i < Watcher::kThreads; ++i) {
    EXPECT_EQ(watcher.moved[i].load(std::memory_order_relaxed), 0) << "thread " << i;
    EXPECT_GT(watcher.steps[i].load(std::memory_order_relaxed), 0u);
  }
}

// Asked for stacks at each stop: who has made no step since the last one although that is so short ago that
// nobody can have been waited for in vain.
class PassWatcher final : public NoStacks {
 public:
  static constexpr std::size_t kThreads = 4;
  static constexpr std::int64_t kLetPassNs = 1'000'000;  // as in World

  void for_each_parked_stack(Visit, void*) noexcept override {
    const std::int64_t now = os::now_ns();
    const bool soon = now - last_ns_ < kLetPassNs;
    last_ns_ = now;
    for (std::size_t t = 0; t < kThreads; ++t) {
      const std::uint64_t step = steps[t].load(std::memory_order_relaxed);
      if (soon && step == before_[t]) ++held_again;
      before_[t] = step;
    }
  }

  std::array<std::atomic<std::uint64_t>, kThreads> steps{};
  int held_again = 0;  // the collector's until the last cycle's end

 private:
  std::int64_t last_ns_ = 0;
  std::array<std::uint64_t, kThreads> before_{};
};

// [gc.fair] However fast one cycle follows the other, each lets those pass whom it held, or has waited for
// them. So at a stop that comes sooner than that wait all have passed, but for a few that lost their core just
// then, between the end of the stop and their next step. (Who loses it in a native scope is not waited for, so
// nobody enters one here.)
TEST_F(WorldTest, CyclesBackToBackStarveNobody) {
  PassWatcher watcher;
  std::atomic<std::size_t> ready{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < PassWatcher::kThreads; ++t) {
    threads.emplace_back([&, t] {
      const ThreadScope scope;
      ready.fetch_add(1, std::memory_order_release);
      while (!stop.load(std::memory_order_relaxed)) {
        poll();
        watcher.steps[t].fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  while (ready.load(std::memory_order_acquire) < PassWatcher::kThreads) poll();
  add_stack_source(&watcher);
  constexpr int kCycles = 400;
  for (int i = 0; i < kCycles; ++i) collect();
  remove_stack_source(&watcher);
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) join(thread);
  // Of a hundred: none with the wait, 5 to 60 without.
  EXPECT_LE(watcher.held_again, kCycles * static_cast<int>(PassWatcher::kThreads) / 50);
}

}  // namespace
}  // namespace tailrace::gc
