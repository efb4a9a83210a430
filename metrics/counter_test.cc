// Counters: sums over threads, and reads while others add.
#include "metrics/counter.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace tailrace::metrics {
namespace {

TEST(Counter, CountsByOneAndByMore) {
  Counter counter;
  EXPECT_EQ(counter.value(), 0u);
  counter.add();
  counter.add(41);
  EXPECT_EQ(counter.value(), 42u);
}

TEST(Counter, LosesNothingAmongThreads) {
  Counter counter;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 50'000; ++n) {
          counter.add(2, current_shard());
        }
      });
    }
  }
  EXPECT_EQ(counter.value(), 800'000u);
}

TEST(Counter, NeverRunsBackwards) {
  Counter counter;
  std::jthread writer([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      counter.add(3);
    }
  });
  std::uint64_t last = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t now = counter.value();
    ASSERT_GE(now, last);
    last = now;
  }
}

}  // namespace
}  // namespace tailrace::metrics
