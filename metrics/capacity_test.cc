// Predicted ceilings from numbers of our own.
#include "metrics/capacity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tailrace::metrics {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t kSecond = 1'000'000'000;

LoadSample begin() { return {{.procs = 4, .cpu_seconds = 1}, {}}; }

// The figures that teams steer by: 500 MB/s sustained, 50 KB a request: 10 000 requests a second.
TEST(Capacity, SustainableBytesOverBytesPerRequest) {
  LoadSample now = begin();
  now.capacity.sustainable_bytes_per_second = 500e6;
  now.capacity.allocated_bytes = 1000 * 50'000;
  now.routes = {{"/a", 1000, 1000 * 50'000}};
  EXPECT_DOUBLE_EQ(predicted_ceilings(begin(), now).at("/a"), 10'000);
  // 200 KB: a quarter.
  now.capacity.allocated_bytes *= 4;
  now.routes[0].heap_bytes *= 4;
  EXPECT_DOUBLE_EQ(predicted_ceilings(begin(), now).at("/a"), 2'500);
}

// 4 processors, 200 us a request: 20 000. The lower of the two limits counts.
TEST(Capacity, TheLowerLimitCounts) {
  LoadSample now = begin();
  now.capacity.sustainable_bytes_per_second = 500e6;
  now.capacity.allocated_bytes = 10'000 * 50'000;
  now.capacity.cpu_seconds = 1 + 10'000 * 200e-6;
  now.routes = {{"/a", 10'000, 10'000 * 50'000}};
  EXPECT_DOUBLE_EQ(predicted_ceilings(begin(), now).at("/a"), 10'000);
  now.capacity.sustainable_bytes_per_second = 5e9;
  EXPECT_DOUBLE_EQ(predicted_ceilings(begin(), now).at("/a"), 20'000);
  now.capacity.sustainable_bytes_per_second = kInfinity;
  EXPECT_DOUBLE_EQ(predicted_ceilings(begin(), now).at("/a"), 20'000);
}

// Three requests to /a, of 20 KB each, to one to /b, of 40 KB; a quarter of all allocation is nobody's.
TEST(Capacity, RoutesHaveTheirShareOfAllAllocation) {
  LoadSample before = begin();
  before.capacity.allocated_bytes = 7'000'000;
  before.routes = {{"/a", 50, 5'000'000}};
  LoadSample now = before;
  now.capacity.sustainable_bytes_per_second = 800e6;
  const double all_bytes = 400e6 / 3;
  now.capacity.allocated_bytes += static_cast<std::uint64_t>(all_bytes);
  now.routes = {{"/a", 50 + 3000, 5'000'000 + 60'000'000}, {"/b", 1000, 40'000'000}};
  const Ceilings ceilings = predicted_ceilings(before, now);
  ASSERT_EQ(ceilings.size(), 2u);
  const double share_a = 60e6 / all_bytes;
  const double share_b = 40e6 / all_bytes;
  EXPECT_NEAR(ceilings.at("/a"), 800e6 * share_a / 20e3, 0.01);
  EXPECT_NEAR(ceilings.at("/b"), 800e6 * share_b / 40e3, 0.01);
  EXPECT_NEAR(ceilings.at("/a"), 3 * ceilings.at("/b"), 0.01) << "the mix stays";
}

TEST(Capacity, ARouteWithoutGarbageIsBoundByTheMix) {
  LoadSample now = begin();
  now.capacity.sustainable_bytes_per_second = 100e6;
  now.capacity.allocated_bytes = 50'000'000;
  now.routes = {{"/heavy", 100, 50'000'000}, {"/light", 300, 0}};
  const Ceilings ceilings = predicted_ceilings(begin(), now);
  EXPECT_DOUBLE_EQ(ceilings.at("/heavy"), 200);
  EXPECT_DOUBLE_EQ(ceilings.at("/light"), 600);
}

TEST(Capacity, WhatIsNotKnownIsNotTold) {
  LoadSample now = begin();
  now.capacity.allocated_bytes = 1000;
  now.routes = {{"/a", 10, 1000}};
  EXPECT_TRUE(predicted_ceilings(begin(), now).empty()) << "no cycle yet";
  now.capacity.sustainable_bytes_per_second = kInfinity;
  EXPECT_TRUE(predicted_ceilings(begin(), now).empty()) << "no limit at all";
  now.capacity.sustainable_bytes_per_second = 1e6;
  EXPECT_EQ(predicted_ceilings(begin(), now).size(), 1u);
  now.routes.push_back({"/never", 0, 0});
  EXPECT_EQ(predicted_ceilings(begin(), now).count("/never"), 0u);
  // Without the processors' part the collector's is told.
  now.capacity.cpu_seconds.reset();
  EXPECT_DOUBLE_EQ(predicted_ceilings(begin(), now).at("/a"), 10'000);
}

// What was read late: the routes' bytes are more than all.
TEST(Capacity, AShareIsNeverMoreThanAll) {
  LoadSample now = begin();
  now.capacity.sustainable_bytes_per_second = 1e6;
  now.capacity.allocated_bytes = 500;
  now.routes = {{"/a", 10, 1000}};
  EXPECT_DOUBLE_EQ(predicted_ceilings(begin(), now).at("/a"), 10'000);
}

class CapacityWindowTest : public testing::Test {
 protected:
  // `requests` more of 1000 bytes until `at_s`.
  double note(std::int64_t at_s, std::uint64_t requests, std::uint64_t bytes_each = 1000) {
    now_.capacity.at_ns = at_s * kSecond;
    now_.capacity.sustainable_bytes_per_second = 1e6;
    now_.capacity.allocated_bytes += requests * bytes_each;
    now_.routes[0].requests += requests;
    now_.routes[0].heap_bytes += requests * bytes_each;
    const Ceilings& ceilings = window_.note(now_);
    return ceilings.contains("/a") ? ceilings.at("/a") : -1;
  }

  LoadSample now_{{}, {{"/a", 0, 0}}};
  CapacityWindow window_{Capacity{}};
};

TEST_F(CapacityWindowTest, StartUpIsNotRequests) {
  now_.capacity.allocated_bytes = 1'000'000'000;
  EXPECT_EQ(note(1, 0), -1);
  EXPECT_DOUBLE_EQ(note(2, 100), 1000);
}

TEST_F(CapacityWindowTest, ALastingChangeIsSeenWithinAMinute) {
  std::int64_t at = 1;
  for (; at < 100; at += 5) EXPECT_DOUBLE_EQ(note(at, 100), 1000);
  const double first = note(at += 5, 100, 4000);
  EXPECT_LT(first, 1000);
  EXPECT_GT(first, 250);
  const std::int64_t end = at + 2 * CapacityWindow::kHalfNs / kSecond + 10;
  while (at < end) note(at += 5, 100, 4000);
  EXPECT_DOUBLE_EQ(note(at + 5, 100, 4000), 250);
}

TEST_F(CapacityWindowTest, WithoutLoadTheLastFigureStays) {
  EXPECT_DOUBLE_EQ(note(5, 100), 1000);
  for (std::int64_t at = 10; at < 300; at += 10) EXPECT_DOUBLE_EQ(note(at, 0), 1000);
  // The pause is not in the next figure, whatever it allocated.
  now_.capacity.allocated_bytes += 1'000'000'000;
  note(310, 0);
  EXPECT_DOUBLE_EQ(note(320, 100, 2000), 500);
}

// Two that scrape by turns see the same.
TEST_F(CapacityWindowTest, FrequentScrapesDoNotShortenTheWindow) {
  for (std::int64_t at = 1; at < 20; ++at) note(at, 100);
  note(20, 1, 1'000'000);  // one large request among 1900
  EXPECT_GT(note(21, 0), 500);
}

}  // namespace
}  // namespace tailrace::metrics
