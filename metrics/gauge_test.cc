// Gauges: up here and down there.
#include "metrics/gauge.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace tailrace::metrics {
namespace {

TEST(Gauge, RisesAndFalls) {
  Gauge gauge;
  gauge.add(5);
  gauge.sub(7);
  EXPECT_EQ(gauge.value(), -2);
}

TEST(Gauge, UpOnOneThreadDownOnAnotherIsZero) {
  Gauge gauge;
  std::jthread([&] { gauge.add(); }).join();
  EXPECT_EQ(gauge.value(), 1);
  std::vector<std::jthread> threads;
  threads.emplace_back([&] {
    for (int i = 0; i < 10'000; ++i) gauge.add(1, current_shard());
  });
  threads.emplace_back([&] {
    for (int i = 0; i < 10'000; ++i) gauge.sub(1, current_shard());
  });
  threads.clear();
  gauge.sub();
  EXPECT_EQ(gauge.value(), 0);
}

TEST(Gauge, SetReplacesWhatAllShardsHave) {
  Gauge gauge;
  gauge.add(3);
  std::jthread([&] { gauge.add(4); }).join();
  gauge.set(100);
  EXPECT_EQ(gauge.value(), 100);
  gauge.sub(1);
  EXPECT_EQ(gauge.value(), 99);
  gauge.set(-1);
  EXPECT_EQ(gauge.value(), -1);
}

TEST(RealGauge, HoldsWhatWasSet) {
  RealGauge gauge;
  EXPECT_EQ(gauge.value(), 0);
  gauge.set(0.25);
  EXPECT_EQ(gauge.value(), 0.25);
}

}  // namespace
}  // namespace tailrace::metrics
