// While the world is stopped nobody runs, however they were caught.
#include "gcruntime/gc/world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

struct Node {
  Member<Node> next;
  std::int64_t value = 0;
};
BOOST_DESCRIBE_STRUCT(Node, (), (next, value))

void join(std::thread& thread) {
  native([&] { thread.join(); });
}

class WorldTest : public testing::Test {
 protected:
  ThreadScope scope_;
};

// Asked for stacks, while the world is stopped: looks whether anybody moves.
class Watcher final : public StackSource {
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
  void stack_bytes(std::uint64_t&, std::uint64_t&) const noexcept override {}

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
  start(2, [] {});
  for (int i = 0; i < 1000; ++i) collect();
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) join(thread);
  remove_stack_source(&watcher);
  for (std::size_t i = 0; i < Watcher::kThreads; ++i) {
    EXPECT_EQ(watcher.moved[i].load(std::memory_order_relaxed), 0) << "thread " << i;
    EXPECT_GT(watcher.steps[i].load(std::memory_order_relaxed), 0u);
  }
}

// [gc.fair] However fast one cycle follows the other, each lets those pass whom it held.
TEST_F(WorldTest, CyclesBackToBackStarveNobody) {
  constexpr std::size_t kThreads = 4;
  constexpr std::uint64_t kCycles = 150;
  std::array<std::atomic<std::uint64_t>, kThreads> steps{};
  std::atomic<std::size_t> ready{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const ThreadScope scope;
      ready.fetch_add(1, std::memory_order_release);
      while (!stop.load(std::memory_order_relaxed)) {
        if (t % 2 == 0) {
          poll();
        } else {
          native([] {});
        }
        steps[t].fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  while (ready.load(std::memory_order_acquire) < kThreads) poll();
  std::array<std::uint64_t, kThreads> before;
  for (std::size_t t = 0; t < kThreads; ++t) before[t] = steps[t].load(std::memory_order_relaxed);
  std::array<std::uint64_t, kThreads> idle{};
  std::array<std::uint64_t, kThreads> longest{};  // cycles in a row without a step
  for (std::uint64_t i = 0; i < kCycles; ++i) {
    collect();
    for (std::size_t t = 0; t < kThreads; ++t) {
      const std::uint64_t now = steps[t].load(std::memory_order_relaxed);
      idle[t] = now == before[t] ? idle[t] + 1 : 0;
      longest[t] = std::max(longest[t], idle[t]);
      before[t] = now;
    }
  }
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) join(thread);
  for (std::size_t t = 0; t < kThreads; ++t) EXPECT_LE(longest[t], kCycles / 4) << "thread " << t;
}

}  // namespace
}  // namespace tailrace::gc
