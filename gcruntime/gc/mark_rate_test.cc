// The rate of marking over the last cycles: by numbers of our own, and by cycles that run.
#include "gcruntime/gc/mark_rate.h"

#include <gtest/gtest.h>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"

namespace tailrace::gc {
namespace {

TEST(MarkRateTest, TheLastFourCyclesCount) {
  MarkRateWindow window;
  EXPECT_EQ(window.bytes_per_cpu_second(), 0);
  window.note(1'000'000, 1'000'000);
  EXPECT_EQ(window.bytes_per_cpu_second(), 1e9);
  window.note(1'000'000, 3'000'000);
  EXPECT_EQ(window.bytes_per_cpu_second(), 5e8);
  for (int i = 0; i < 3; ++i) window.note(4'000'000, 2'000'000);
  EXPECT_DOUBLE_EQ(window.bytes_per_cpu_second(), 13e6 / 9e-3);
  window.note(4'000'000, 2'000'000);
  EXPECT_EQ(window.bytes_per_cpu_second(), 2e9);
}

TEST(MarkRateTest, ACycleThatFindsNothingCountsAsTheLeastWork) {
  MarkRateWindow window;
  window.note(0, 100'000);
  EXPECT_DOUBLE_EQ(window.bytes_per_cpu_second(), static_cast<double>(kLeastWorkBytes) * 1e4);
}

TEST(MarkRateTest, ACycleWhoseTimeIsNotKnownDoesNotCount) {
  MarkRateWindow window;
  window.note(1'000'000, 0);
  EXPECT_EQ(window.bytes_per_cpu_second(), 0);
  window.note(2'000'000, 1'000'000);
  window.note(9'000'000, 0);
  EXPECT_EQ(window.bytes_per_cpu_second(), 2e9);
}

TEST(MarkRateTest, CyclesThatRanGiveARateToAllocateAt) {
  const ThreadScope scope;
  const int percent = set_percent(100);
  Root<Vector<Member<test::Node>>> kept;
  for (int i = 0; i < 200'000; ++i) kept->push_back(make<test::Node>());
  for (int i = 0; i < 4; ++i) collect();
  // 200 000 nodes with their vector are 8 MB. No processor marks 1 TB in a second.
  EXPECT_GT(mark_bytes_per_cpu_second(), 1e3);
  EXPECT_LT(mark_bytes_per_cpu_second(), 1e12);
  const MemStats stats = read_mem_stats();
  EXPECT_GT(stats.sustainable_alloc_bytes_per_second, 1e3);
  EXPECT_LT(stats.sustainable_alloc_bytes_per_second, 1e12);
  set_percent(percent);
}

}  // namespace
}  // namespace tailrace::gc
