// The limiter as a simulation: it is told what time went where, and reads no clock.
#include "gcruntime/gc/cpu_limiter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>

#include "gcruntime/base/test_seed.h"

namespace tailrace::gc {
namespace {

constexpr std::int64_t kMs = 1'000'000;

CpuLimiter limiter(unsigned procs, double share) {
  CpuLimiter limiter;
  limiter.configure(procs, share);
  return limiter;
}

// How many milliseconds of one processor's time it takes to come on.
int ms_until_on(CpuLimiter& limiter, double gc_share) {
  for (int ms = 1; ms <= 300'000; ++ms) {
    limiter.add(static_cast<std::int64_t>(gc_share * kMs),
                static_cast<std::int64_t>((1 - gc_share) * kMs));
    if (limiter.on()) return ms;
  }
  return INT32_MAX;
}

TEST(CpuLimiter, ASecondOfEachProcessorPassesAndNoMore) {
  for (const unsigned procs : {1u, 2u, 4u, 64u}) {
    CpuLimiter all = limiter(procs, 0.5);
    EXPECT_NEAR(ms_until_on(all, 1.0), 1000.0 * procs, 1);
    CpuLimiter most = limiter(procs, 0.5);
    // Three quarters: a half more than the bucket loses.
    EXPECT_NEAR(ms_until_on(most, 0.75), 2000.0 * procs, 2);
  }
}

TEST(CpuLimiter, AtTheShareAndBelowItItStaysOff) {
  for (const double share : {0.2, 0.5, 0.8}) {
    for (const double under : {0.0, 0.05}) {
      CpuLimiter level = limiter(4, share);
      EXPECT_EQ(ms_until_on(level, share - under), INT32_MAX) << share;
      EXPECT_EQ(level.times_on(), 0u);
    }
    CpuLimiter over = limiter(4, share);
    EXPECT_NE(ms_until_on(over, share + 0.05), INT32_MAX) << share;
  }
}

// While it is on collection goes on with the quarter that is its own; what assists take more is over the
// share. In the long run the process gives collection no more than the share.
TEST(CpuLimiter, WithAnEndlessNeedTheShareIsReachedAndKept) {
  for (const double share : {0.3, 0.5, 0.7}) {
    CpuLimiter limited = limiter(4, share);
    std::int64_t gc_ns = 0;
    std::int64_t all_ns = 0;
    for (int i = 0; i < 200'000; ++i) {
      const double wanted = limited.on() ? 0.25 : 0.95;
      const auto gc = static_cast<std::int64_t>(wanted * 4 * kMs);
      limited.add(gc, 4 * kMs - gc);
      if (i < 20'000) continue;  // until the bucket is full
      gc_ns += gc;
      all_ns += 4 * kMs;
    }
    EXPECT_NEAR(static_cast<double>(gc_ns) / static_cast<double>(all_ns), share, 0.01);
    EXPECT_GT(limited.times_on(), 100u);
  }
}

TEST(CpuLimiter, ItGoesOffAsSoonAsTheProgramRuns) {
  CpuLimiter limited = limiter(4, 0.5);
  limited.add(60'000 * kMs, 0);
  ASSERT_TRUE(limited.on());
  EXPECT_EQ(limited.fill(), 1.0);
  // Of what went over the brim a tenth of a second of each processor is remembered, and not a minute.
  limited.add(0, 399 * kMs);
  EXPECT_TRUE(limited.on());
  limited.add(0, 2 * kMs);
  EXPECT_FALSE(limited.on());
  limited.add(0, 4000 * kMs);
  EXPECT_EQ(limited.fill(), 0.0);
}

TEST(CpuLimiter, JitterAroundAThirdNeverReachesAHalf) {
  std::mt19937_64 random(base::test_seed());
  std::uniform_real_distribution<double> share(0.0, 0.66);
  CpuLimiter limited = limiter(2, 0.5);
  double fullest = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double gc = share(random);
    limited.add(static_cast<std::int64_t>(gc * 10 * kMs),
                static_cast<std::int64_t>((1 - gc) * 10 * kMs));
    ASSERT_FALSE(limited.on());
    fullest = std::max(fullest, limited.fill());
  }
  EXPECT_LT(fullest, 0.2);
  EXPECT_GT(fullest, 0.0);
}

TEST(CpuLimiter, IdleTimeIsNobodys) {
  CpuLimiter limited = limiter(1, 0.5);
  // A process of which nothing runs but collection, for a tenth of the time.
  for (int i = 0; i < 20; ++i) limited.add(100 * kMs, 0);
  EXPECT_TRUE(limited.on());
  for (int i = 0; i < 1000; ++i) limited.add(0, 0);
  EXPECT_TRUE(limited.on());
}

TEST(CpuLimiter, AShareOfAllIsNoLimitAndOtherOptionsTakeEffectAtOnce) {
  CpuLimiter none = limiter(1, 1.0);
  none.add(100'000 * kMs, 0);
  EXPECT_FALSE(none.on());

  CpuLimiter limited = limiter(1, 0.5);
  limited.add(2000 * kMs, 0);
  ASSERT_TRUE(limited.on());
  limited.configure(4, 0.5);
  EXPECT_FALSE(limited.on()) << "four processors' bucket is larger";
  limited.add(4000 * kMs, 0);
  ASSERT_TRUE(limited.on());
  limited.configure(4, 1.0);
  EXPECT_FALSE(limited.on());
}

TEST(CpuLimiter, ClocksThatGoBackDoNoHarm) {
  CpuLimiter limited = limiter(1, 0.5);
  limited.add(-5000 * kMs, -5000 * kMs);
  EXPECT_EQ(limited.fill(), 0.0);
  EXPECT_FALSE(limited.on());
}

}  // namespace
}  // namespace tailrace::gc
