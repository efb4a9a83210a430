// What marking may take of the processors, as a simulation: no clock is read.
#include "gcruntime/gc/mark_budget.h"

#include <gtest/gtest.h>

namespace tailrace::gc {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;

TEST(MarkBudget, TheShareGrowsAsAllocationRunsAhead) {
  const auto share = [](std::uint64_t allocated) {
    return MarkBudget::share(allocated * kMebibyte, 100 * kMebibyte, 200 * kMebibyte);
  };
  EXPECT_EQ(share(0), 0.25);
  EXPECT_EQ(share(100), 0.25);
  EXPECT_EQ(share(101), 0.5);
  EXPECT_EQ(share(150), 0.5);
  EXPECT_EQ(share(151), 1.0);
  EXPECT_EQ(share(1000), 1.0);
  EXPECT_EQ(MarkBudget::share(101, 100, 50), 1.0) << "figures of two plans";
}

// Markers that take a slice whenever they may, looked at every 50 us for a second.
double taken(unsigned procs, double share) {
  constexpr std::int64_t kLookNs = 50'000;
  constexpr std::int64_t kEndNs = 1'000'000'000;
  MarkBudget budget;
  budget.begin(0);
  for (std::int64_t now = kLookNs; now <= kEndNs; now += kLookNs) {
    budget.earn(now, share, procs);
    while (budget.allows()) budget.spend(MarkBudget::kSliceNs);
  }
  return static_cast<double>(budget.spent_ns()) / static_cast<double>(kEndNs * procs);
}

TEST(MarkBudget, SlicesAddUpToTheShare) {
  for (const unsigned procs : {1u, 2u, 3u, 4u, 64u}) {
    for (const double share : {0.25, 0.5, 1.0}) {
      EXPECT_NEAR(taken(procs, share), share, 0.01) << procs << " procs";
    }
  }
}

// Nobody had work for a second: what comes then does not get it all at once.
TEST(MarkBudget, WhatIsNotTakenIsNotSavedUp) {
  constexpr unsigned kProcs = 4;
  MarkBudget budget;
  budget.begin(0);
  for (std::int64_t now = 0; now <= 1'000'000'000; now += 50'000) budget.earn(now, 0.25, kProcs);
  int slices = 0;
  for (; budget.allows(); ++slices) budget.spend(MarkBudget::kSliceNs);
  EXPECT_EQ(slices, static_cast<int>(kProcs));
}

TEST(MarkBudget, AClockThatStandsStillGivesNothing) {
  MarkBudget budget;
  budget.begin(1000);
  budget.spend(MarkBudget::kSliceNs);
  budget.earn(1000, 1.0, 64);
  budget.earn(900, 1.0, 64);
  EXPECT_FALSE(budget.allows());
}

}  // namespace
}  // namespace tailrace::gc
