// Counting holds: buckets, quantiles, the longest, threads and signal handlers at once.
#include "gcruntime/gc/holds.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cerrno>
#include <thread>
#include <vector>

#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

std::uint64_t difference(HoldKind kind, const HoldCounts& before) {
  return read_holds(kind).count() - before.count();
}

TEST(Holds, BucketsHoldWhatTheirBoundsSay) {
  std::int64_t below = 0;
  for (std::size_t i = 0; i + 1 < HoldCounts::kBuckets; ++i) {
    const std::int64_t bound = HoldCounts::bound_ns(i);
    ASSERT_GT(bound, below);
    EXPECT_EQ(HoldCounts::bucket_of(below + 1), i) << below;
    EXPECT_EQ(HoldCounts::bucket_of(bound), i) << bound;
    EXPECT_EQ(HoldCounts::bucket_of(bound + 1), i + 1) << bound;
    if (i > 0) {
      EXPECT_LE(bound - below, below / 8 + 1);
    }
    below = bound;
  }
  EXPECT_EQ(HoldCounts::bucket_of(-1), 0u);
  EXPECT_EQ(HoldCounts::bucket_of(0), 0u);
  EXPECT_EQ(HoldCounts::bucket_of(INT64_MAX), HoldCounts::kBuckets - 1);
  EXPECT_EQ(HoldCounts::bound_ns(HoldCounts::kBuckets - 2), std::int64_t{1} << 33);
  EXPECT_EQ(HoldCounts::bound_ns(HoldCounts::kBuckets - 1), INT64_MAX);
}

TEST(Holds, QuantilesAreWithinSevenPercent) {
  HoldCounts counts;
  EXPECT_EQ(counts.quantile(0.5), 0);
  for (std::int64_t ns = 1; ns <= 100'000; ++ns) {
    ++counts.counts[HoldCounts::bucket_of(ns)];
    counts.max_ns = ns;
  }
  for (const double q : {0.01, 0.1, 0.5, 0.9, 0.99, 0.999}) {
    EXPECT_NEAR(static_cast<double>(counts.quantile(q)), q * 1e5, q * 0.07e5) << q;
  }
  EXPECT_LE(counts.quantile(1), 100'000);
  EXPECT_GE(counts.quantile(1), 93'000);
  HoldCounts one;
  one.counts[HoldCounts::bucket_of(5000)] = 1;
  one.max_ns = 5000;
  EXPECT_LE(one.quantile(0.5), 5000);
  EXPECT_LE(one.quantile(1), 5000);
  EXPECT_GE(one.quantile(0), 4000);
}

TEST(Holds, CountsUpToPowersOfTwoAreExact) {
  HoldCounts counts;
  for (std::int64_t ns = 1; ns <= 4096; ++ns) ++counts.counts[HoldCounts::bucket_of(ns)];
  for (std::int64_t bound = 32; bound <= 4096; bound *= 2) {
    EXPECT_EQ(counts.count_up_to(bound), static_cast<std::uint64_t>(bound));
  }
  HoldCounts twice = counts;
  twice += counts;
  EXPECT_EQ(twice.count_up_to(1024), 2048u);
}

TEST(Holds, ThreadsAtOnceLoseNone) {
  constexpr int kThreads = 4;
  constexpr int kHolds = 20'000;
  const HoldCounts before = read_holds(HoldKind::kSweep);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < kHolds; ++i) note_hold(HoldKind::kSweep, 1000);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const HoldCounts after = read_holds(HoldKind::kSweep);
  EXPECT_EQ(after.count() - before.count(), std::uint64_t{kThreads} * kHolds);
  EXPECT_EQ(after.total_ns - before.total_ns, std::uint64_t{kThreads} * kHolds * 1000);
  EXPECT_GE(after.max_ns, 1000);
}

TEST(Holds, TheLongestIsOfHandshakesAndClaims) {
  begin_cycle_holds();
  take_longest_hold_ns();
  note_hold(HoldKind::kHandshake, 500);
  note_hold(HoldKind::kClaim, 700);
  note_hold(HoldKind::kHandshake, 600);
  note_hold(HoldKind::kStall, 9'000'000);
  EXPECT_EQ(longest_hold_ns(), 700);
  EXPECT_EQ(take_longest_hold_ns(), 700);
  EXPECT_EQ(take_longest_hold_ns(), 0);
  note_preempted_hold(HoldKind::kHandshake, 650);
  EXPECT_EQ(longest_hold_ns(), 700);  // the part began anew, the cycle did not
  EXPECT_EQ(take_longest_hold_ns(), 650);
  EXPECT_EQ(begin_cycle_holds(), 700);
  EXPECT_EQ(longest_hold_ns(), 0);
}

TEST(Holds, PreemptedOnesStandApart) {
  const HoldCounts before = read_holds(HoldKind::kMark);
  const std::uint64_t preempted = read_preempted_holds(HoldKind::kMark).count();
  note_preempted_hold(HoldKind::kMark, 4'000'000);
  EXPECT_EQ(difference(HoldKind::kMark, before), 0u);
  EXPECT_EQ(read_preempted_holds(HoldKind::kMark).count(), preempted + 1);
}

TEST(Holds, ATimerNotesItsLife) {
  const HoldCounts before = read_holds(HoldKind::kAssist);
  const std::int64_t begin = os::now_ns();
  { const HoldTimer timer(HoldKind::kAssist); }
  const std::int64_t took = os::now_ns() - begin;
  const HoldCounts after = read_holds(HoldKind::kAssist);
  EXPECT_EQ(after.count() - before.count(), 1u);
  EXPECT_LE(after.total_ns - before.total_ns, static_cast<std::uint64_t>(took));
}

// Whether a preemption comes is the kernel's choice; that each timer agrees with its count is ours.
TEST(Holds, MeasuredPreemptionsAreTheKernels) {
  const HoldCounts before = read_holds(HoldKind::kAssist);
  const std::uint64_t preempted_before = read_preempted_holds(HoldKind::kAssist).count();
  set_preemption_measured(true);
  const auto switches = [] {
    rusage usage;
    ::getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
  };
  std::uint64_t timers = 0;
  const long begin = switches();
  const std::int64_t end_ns = os::now_ns() + 30'000'000;
  while (os::now_ns() < end_ns) {
    const HoldTimer timer(HoldKind::kAssist);
    ++timers;
  }
  set_preemption_measured(false);
  const auto happened = static_cast<std::uint64_t>(switches() - begin);
  const std::uint64_t preempted =
      read_preempted_holds(HoldKind::kAssist).count() - preempted_before;
  EXPECT_LE(preempted, happened);
  EXPECT_EQ(difference(HoldKind::kAssist, before) + preempted, timers);
}

TEST(Holds, SignalHandlersMayNoteThem) {
  const HoldCounts before = read_holds(HoldKind::kHandshake);
  struct sigaction action {};
  struct sigaction old {};
  action.sa_handler = [](int) { const HoldTimer timer(HoldKind::kHandshake); };
  ASSERT_EQ(::sigaction(SIGUSR2, &action, &old), 0);
  set_preemption_measured(true);
  errno = 77;
  for (int i = 0; i < 100; ++i) ::raise(SIGUSR2);
  EXPECT_EQ(errno, 77);
  set_preemption_measured(false);
  ::sigaction(SIGUSR2, &old, nullptr);
  const HoldCounts after = read_holds(HoldKind::kHandshake);
  EXPECT_GE(after.count() - before.count() + read_preempted_holds(HoldKind::kHandshake).count(),
            100u);
}

TEST(Holds, KindsHaveNames) {
  EXPECT_STREQ(hold_kind_name(HoldKind::kHandshake), "handshake");
  EXPECT_STREQ(hold_kind_name(HoldKind::kMark), "mark");
}

}  // namespace
}  // namespace tailrace::gc
