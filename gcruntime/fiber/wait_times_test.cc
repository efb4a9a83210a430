// The histogram of waits from ready to running.
#include "gcruntime/fiber/wait_times.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "gcruntime/fiber/fake_netpoll.h"
#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/os/clock.h"

namespace tailrace::fiber {
namespace {

using WaitTimesTest = FiberTest;
TAILRACE_FIBER_TESTS(WaitTimesTest);

std::uint64_t measured(const SchedulerStats& stats) {
  return std::accumulate(stats.waits.begin(), stats.waits.end(), std::uint64_t{0});
}

TEST(WaitTimes, BucketsEndAtTheirBounds) {
  EXPECT_EQ(WaitTimes::bucket_of(-5), 0u);
  EXPECT_EQ(WaitTimes::bucket_of(0), 0u);
  for (std::size_t i = 0; i + 1 < kWaitBuckets; ++i) {
    EXPECT_EQ(WaitTimes::bucket_of(wait_bound_ns(i)), i);
    EXPECT_EQ(WaitTimes::bucket_of(wait_bound_ns(i) + 1), i + 1);
  }
  EXPECT_EQ(WaitTimes::bucket_of(INT64_MAX), kWaitBuckets - 1);
}

TEST_P(WaitTimesTest, OneInSoManyIsMeasuredWhateverTheWay) {
  constexpr std::uint64_t kYields = 20'000;
  run([] {
    for (std::uint64_t i = 0; i < kYields; ++i) yield();
  });
  const SchedulerStats stats = scheduler().stats();
  EXPECT_GE(measured(stats), kYields / kWaitSample - workers());
  EXPECT_LE(measured(stats), kYields / kWaitSample + workers() + 1);
  // From outside: spawns.
  const std::uint64_t before = measured(scheduler().stats());
  for (unsigned i = 0; i < 10 * kWaitSample; ++i) run([] {});
  EXPECT_GE(measured(scheduler().stats()) - before, 9u);
}

// Fibers that wait behind one that spins have waited for at least as long as it spun.
TEST_P(WaitTimesTest, AWaitIsAsLongAsWhatStoodBefore) {
  SchedulerOptions options;
  options.steal = false;  // nobody helps
  options.rescue = false;
  start(options);
  constexpr std::int64_t kSpinNs = 3'000'000;
  run([] {
    std::vector<JoinHandle> waiting;
    for (unsigned i = 0; i < 4 * kWaitSample; ++i) waiting.push_back(spawn([] {}));
    const std::int64_t end_ns = os::now_ns() + kSpinNs;
    while (os::now_ns() < end_ns) {
    }
    for (JoinHandle& handle : waiting) handle.join();
  });
  const SchedulerStats stats = scheduler().stats();
  std::uint64_t long_waits = 0;
  for (std::size_t i = WaitTimes::bucket_of(kSpinNs); i < kWaitBuckets; ++i) {
    long_waits += stats.waits[i];
  }
  EXPECT_GE(long_waits, 3u);
  EXPECT_GE(stats.waits_total_ns, 3u * kSpinNs);
}

}  // namespace
}  // namespace tailrace::fiber
