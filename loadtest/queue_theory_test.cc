// The laws against the means known in closed form, against the textbook's own sum where that still
// has digits, and against a million customers that queue one by one.
#include "loadtest/queue_theory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace tailrace::loadtest {
namespace {

constexpr double kService = 1'000'000;  // 1 ms
constexpr double kRateAtFull = 1000;

std::vector<std::int64_t> poisson(double rate, std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> gap(rate / 1e9);
  std::vector<std::int64_t> due;
  double at = 0;
  for (std::size_t i = 0; i < count; ++i) {
    at += gap(random);
    due.push_back(static_cast<std::int64_t>(at));
  }
  return due;
}

double percentile(std::vector<std::int64_t> values, double percent) {
  std::sort(values.begin(), values.end());
  const auto rank =
      static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(values.size())));
  return static_cast<double>(values[std::max<std::size_t>(rank, 1) - 1]);
}

// Erlang's alternating sum, in long doubles: right for short waits only.
double erlang_sum(double load, double services) {
  long double sum = 0;
  for (int k = 0; k <= static_cast<int>(services); ++k) {
    const long double x = static_cast<long double>(load) * (k - static_cast<long double>(services));
    sum += std::exp(k * std::log(std::abs(x) + 1e-300L) - std::lgamma(k + 1.0L) - x) *
           (k % 2 == 1 ? -1 : 1);
  }
  return static_cast<double>((1 - static_cast<long double>(load)) * sum);
}

TEST(Md1Test, AgreesWithErlangsSumWhereThatHasDigits) {
  for (const double load : {0.05, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95}) {
    const Md1 queue(load * kRateAtFull, kService);
    for (double services = 0.05; services < 9; services += 0.35) {
      EXPECT_NEAR(queue.wait_cdf(services * kService), erlang_sum(load, services), 1e-10)
          << load << ' ' << services;
    }
  }
}

TEST(Md1Test, TheLawHasTheMeanOfPollaczekAndKhinchine) {
  for (const double load : {0.1, 0.5, 0.8, 0.95, 0.99}) {
    const Md1 queue(load * kRateAtFull, kService);
    EXPECT_NEAR(queue.mean_wait_ns() / kService, load / (2 * (1 - load)), 1e-9);
    // The mean is the integral of P(wait > t): Simpson's rule over each service time, where it is
    // smooth.
    double mean = 0;
    for (int k = 0; k < 20'000; ++k) {
      const auto more = [&](double t) { return 1 - queue.wait_cdf(t * kService); };
      const double whole = k;
      // Just before the end of the piece: the law may bend there.
      const double piece = (more(whole) + 4 * more(whole + 0.25) + 2 * more(whole + 0.5) +
                            4 * more(whole + 0.75) + more(whole + 1 - 1e-9)) /
                           12;
      mean += piece;
      if (piece < 1e-14) break;
    }
    EXPECT_NEAR(mean / (load / (2 * (1 - load))), 1, 2e-4) << load;
  }
}

TEST(Md1Test, TheLawRisesToOneAndPercentilesInvertIt) {
  for (const double load : {0.2, 0.9, 0.95, 0.999}) {
    const Md1 queue(load * kRateAtFull, kService);
    EXPECT_NEAR(queue.wait_cdf(0), 1 - load, 1e-12);  // finds the server idle
    double last = 0;
    for (double services = 0; services < 400; services += 0.37) {
      const double now = queue.wait_cdf(services * kService);
      ASSERT_GE(now, last - 1e-14) << services;
      ASSERT_LE(now, 1);
      last = now;
    }
    for (const double percent : {99.0, 99.9, 99.99, 99.999}) {
      const double t = queue.wait_percentile_ns(percent);
      EXPECT_NEAR(queue.wait_cdf(t), percent / 100, 1e-9) << load << ' ' << percent;
      EXPECT_DOUBLE_EQ(queue.sojourn_percentile_ns(percent), t + kService);
    }
    EXPECT_EQ(queue.wait_percentile_ns((1 - load) * 100 * 0.999), 0);
  }
}

// Far out each further service time multiplies P(wait > t) by the same factor: the root of e^(load
// (x-1)) = x beyond 1, inverted. The alternating sum has no digit left there.
TEST(Md1Test, TheTailFallsByTheKnownFactor) {
  for (const double load : {0.5, 0.8, 0.95}) {
    double low = 1 + 1e-6;
    double high = 20;
    for (int i = 0; i < 200; ++i) {
      const double x = (low + high) / 2;
      (std::exp(load * (x - 1)) < x ? low : high) = x;
    }
    const Md1 queue(load * kRateAtFull, kService);
    const double from = std::ceil(queue.wait_percentile_ns(99.99) / kService);
    const double factor =
        (1 - queue.wait_cdf((from + 1) * kService)) / (1 - queue.wait_cdf(from * kService));
    EXPECT_NEAR(factor * low, 1, 1e-4) << load;
  }
}

TEST(Md1Test, AMillionCustomersWaitAsTheLawSays) {
  for (const double load : {0.3, 0.7, 0.9}) {
    const double rate = load * kRateAtFull;
    const Md1 queue(rate, kService);
    const std::vector<std::int64_t> sojourns =
        lindley(poisson(rate, 1'000'000, 7), static_cast<std::int64_t>(kService));
    for (const double percent : {50.0, 90.0, 99.0, 99.9}) {
      EXPECT_NEAR(percentile(sojourns, percent) / queue.sojourn_percentile_ns(percent), 1, 0.06)
          << load << ' ' << percent;
    }
    // Another law must not pass: the same queue with 3 points more load.
    const Md1 other(rate * 1.03 + 30, kService);
    EXPECT_GT(other.sojourn_percentile_ns(99) / percentile(sojourns, 99), 1.06) << load;
  }
}

TEST(Md1Test, BeyondItsReachIsNoNumber) {
  EXPECT_TRUE(std::isnan(Md1(1000, kService).sojourn_percentile_ns(99)));
  EXPECT_TRUE(std::isnan(Md1(-1, kService).wait_cdf(0)));
  EXPECT_TRUE(std::isnan(Md1(10, 0).wait_cdf(0)));
  EXPECT_EQ(Md1(0, kService).sojourn_percentile_ns(99.9), kService);
  EXPECT_TRUE(std::isinf(Md1(500, kService).wait_percentile_ns(100)));
}

TEST(MmcTest, ErlangCAgainstTheTables) {
  // One server: the load. Two: 2 load^2 / (1 + load). And two entries of the printed tables.
  EXPECT_NEAR(Mmc(700, 1, kService).wait_probability(), 0.7, 1e-12);
  EXPECT_NEAR(Mmc(1600, 2, kService).wait_probability(), 2 * 0.64 / 1.8, 1e-12);
  EXPECT_NEAR(Mmc(2000, 3, kService).wait_probability(), 4.0 / 9, 1e-12);
  EXPECT_NEAR(Mmc(8000, 10, kService).wait_probability(), 0.4092, 5e-5);
}

TEST(MmcTest, OneServerHasAnExponentialSojourn) {
  const Mmc queue(800, 1, kService);
  for (const double percent : {50.0, 99.0, 99.99}) {
    EXPECT_NEAR(queue.sojourn_percentile_ns(percent) / (-std::log1p(-percent / 100) * 5 * kService),
                1, 1e-9);
  }
  EXPECT_NEAR(queue.mean_sojourn_ns(), 5 * kService, 1e-3);
}

// Where servers x (1 - load) = 1 the plain formula divides by 0.
TEST(MmcTest, TheLawHasNoSeamWhereDrainAndServiceAgree) {
  const double t = 3 * kService;
  const double at = Mmc(3000, 4, kService).sojourn_cdf(t);
  double last = 2;
  for (double rate = 2990; rate <= 3010; rate += 0.01) {
    const double now = Mmc(rate, 4, kService).sojourn_cdf(t);
    ASSERT_LT(now, last + 1e-13) << rate;
    ASSERT_NEAR(now, at, 2e-2);
    last = now;
  }
}

TEST(MmcTest, MeanIsTheIntegralOfTheLaw) {
  for (const double rate : {400.0, 3000.0, 3800.0}) {
    const Mmc queue(rate, 4, kService);
    double mean = 0;
    const double step = kService / 200;
    for (double t = step / 2; t < 400 * kService; t += step)
      mean += (1 - queue.sojourn_cdf(t)) * step;
    EXPECT_NEAR(mean / queue.mean_sojourn_ns(), 1, 1e-4);
  }
}

TEST(MmcTest, BeyondItsReachIsNoNumber) {
  EXPECT_TRUE(std::isnan(Mmc(4000, 4, kService).sojourn_percentile_ns(50)));
  EXPECT_TRUE(std::isnan(Mmc(1, 0, kService).sojourn_cdf(5)));
}

TEST(LindleyTest, ByHand) {
  EXPECT_EQ(lindley({0, 5, 30, 31, 32}, 10), (std::vector<std::int64_t>{10, 15, 10, 19, 28}));
  EXPECT_TRUE(lindley({}, 10).empty());
}

}  // namespace
}  // namespace tailrace::loadtest
