// What is kept and how fast the rest goes, with numbers of our own: no heap, no clock.
#include "gcruntime/heap/scavenge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "gcruntime/base/test_seed.h"

namespace tailrace::heap {
namespace {

constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;
constexpr std::uint64_t kNoGoal = UINT64_MAX;
constexpr std::int64_t kSecond = 1'000'000'000;

TEST(ScavengeTest, TheGoalAndATenthAreRetained) {
  EXPECT_EQ(retained_bytes(100 * kMebibyte), 110 * kMebibyte);
  EXPECT_EQ(retained_bytes(0), 0u);
  EXPECT_EQ(retained_bytes(kNoGoal), kNoGoal) << "percent off: nothing is given back";
}

TEST(ScavengeTest, FreeMemoryIsKeptUpToTheRetainedHeap) {
  // After a spike: 20 MiB in use, a goal of 40.
  EXPECT_EQ(idle_bytes_to_keep(20 * kMebibyte, 40 * kMebibyte), 24 * kMebibyte);
  EXPECT_EQ(idle_bytes_to_keep(0, 4 * kMebibyte), retained_bytes(4 * kMebibyte));
  // In holes of a heap that is fuller than its goal: a 32nd.
  EXPECT_EQ(idle_bytes_to_keep(64 * kMebibyte, 10 * kMebibyte), 2 * kMebibyte);
  EXPECT_EQ(idle_bytes_to_keep(64 * kMebibyte, 59 * kMebibyte), 2 * kMebibyte);
  EXPECT_GT(idle_bytes_to_keep(64 * kMebibyte, kNoGoal), std::uint64_t{1} << 62);
}

// The design's promise for whatever is in use, when it is not in use beyond its goal: a tenth over live + goal.
TEST(ScavengeTest, WhatIsRetainedKeepsThePromise) {
  for (std::uint64_t live = kMebibyte; live < 4096 * kMebibyte; live = live * 5 / 3) {
    for (const std::uint64_t percent : {10, 50, 100, 400}) {
      const std::uint64_t goal = std::max(live + live * percent / 100, 4 * kMebibyte);
      for (const std::uint64_t inuse : {live, live + live / 4, goal}) {
        const std::uint64_t resident = inuse + idle_bytes_to_keep(inuse, goal);
        EXPECT_LE(resident, (live + goal) + (live + goal) / 10);
        EXPECT_GE(resident, goal);
      }
    }
  }
}

TEST(ScavengeTest, TheHighestGoalOfTheLastSecondsCounts) {
  RecentGoal recent;
  EXPECT_EQ(recent.bytes(100 * kSecond), 0u);
  recent.note(100 * kSecond, 50);
  recent.note(100 * kSecond + 1, 20);
  EXPECT_EQ(recent.bytes(100 * kSecond + 2), 50u);
  EXPECT_EQ(recent.bytes(101 * kSecond + 2), 50u) << "a second later";
  EXPECT_EQ(recent.bytes(103 * kSecond), 20u) << "the newest counts for ever";
  recent.note(103 * kSecond + 1, 30);
  recent.note(103 * kSecond + 2, 10);
  EXPECT_EQ(recent.bytes(103 * kSecond + 3), 30u);
  EXPECT_EQ(recent.bytes(200 * kSecond), 10u);
}

struct Spent {
  std::int64_t at_ns;
  std::int64_t cpu_ns;
};

// Works whenever it may, pieces of the given CPU times in turn; each takes `stretch` times as long.
std::vector<Spent> simulate(std::int64_t for_ns, std::int64_t stretch,
                            const std::vector<std::int64_t>& pieces_ns, std::int64_t& sleeps) {
  std::vector<Spent> all;
  std::int64_t now = 5 * kSecond;
  const std::int64_t end = now + for_ns;
  ScavengePace pace(now);
  sleeps = 0;
  for (std::size_t i = 0; now < end; ++i) {
    const std::int64_t cpu = pieces_ns[i % pieces_ns.size()];
    now += cpu * stretch;
    all.push_back({now, cpu});
    const std::int64_t pause = pace.pause_ns(now, cpu);
    if (pause != 0) ++sleeps;
    now += pause;
  }
  return all;
}

TEST(ScavengePaceTest, NoTimeSpanTakesMoreThanAHundredthAndASlice) {
  const std::uint64_t seed = base::test_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::vector<std::int64_t> pieces;
  for (int i = 0; i < 1000; ++i) {
    pieces.push_back(
        static_cast<std::int64_t>(random() % (random() % 20 == 0 ? 5'000'000 : 300'000)));
  }
  const std::int64_t longest = *std::max_element(pieces.begin(), pieces.end());
  for (const std::int64_t stretch : {1, 3, 50}) {
    std::int64_t sleeps = 0;
    const std::vector<Spent> all = simulate(60 * kSecond, stretch, pieces, sleeps);
    for (std::size_t from = 0; from < all.size(); from += 7) {
      std::int64_t sum = 0;
      for (std::size_t i = from; i < all.size(); ++i) {
        sum += all[i].cpu_ns;
        const std::int64_t span = all[i].at_ns - all[from].at_ns + all[from].cpu_ns * stretch;
        ASSERT_LE(sum, span / ScavengePace::kShare + ScavengePace::kSliceNs + longest);
      }
    }
    EXPECT_LE(sleeps, 601) << "wakes no more than ten times a second";
  }
}

TEST(ScavengePaceTest, TheHundredthIsUsed) {
  std::int64_t sleeps = 0;
  std::int64_t sum = 0;
  for (const Spent& each : simulate(60 * kSecond, 1, {100'000}, sleeps)) sum += each.cpu_ns;
  EXPECT_GE(sum, 60 * kSecond / 100 * 9 / 10);
  EXPECT_GE(sleeps, 400);
}

TEST(ScavengePaceTest, TimeThatWasNotUsedIsNotSavedUp) {
  ScavengePace pace(0);
  EXPECT_EQ(pace.pause_ns(1000 * kSecond, 2'000'000), 200'000'000);
  // A clock that steps back grants nothing.
  EXPECT_EQ(pace.pause_ns(0, 0), 200'000'000);
}

// A piece that took very long, on a machine that swaps: it is paid for.
TEST(ScavengePaceTest, ALongPieceIsPaidFor) {
  ScavengePace pace(0);
  EXPECT_EQ(pace.pause_ns(0, 500'000), 0);
  EXPECT_EQ(pace.pause_ns(0, 500'000'000), std::int64_t{500'500'000} * 100);
}

}  // namespace
}  // namespace tailrace::heap
