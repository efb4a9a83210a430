// The verdict against pairs whose truth is known: drawn from one distribution, or with a shift; and
// what it refuses.
#include "loadtest/comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace tailrace::loadtest {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

// A server whose latencies are lognormal and whose mood drifts: an autoregressive factor with a
// memory of about 0.4 s, and stalls of some tens of milliseconds that catch all requests of their
// time.
Measurement simulated(std::uint64_t seed, int seconds, double rate, double shift,
                      double run_effect = 0) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0, 1);
  std::exponential_distribution<double> gap(rate);
  Measurement result;
  result.rate_per_second = rate;
  double mood = normal(random);
  double at = 0;
  double stalled_until = 0;
  double last = 0;
  const double run_factor = std::exp(run_effect * normal(random));
  for (int s = 0; s < seconds; ++s) {
    Latencies latencies;
    std::uint64_t planned = 0;
    for (; at < s + 1; at += gap(random)) {
      const double keep = std::exp(-(at - last) / 0.4);
      mood = mood * keep + normal(random) * std::sqrt(1 - keep * keep);
      if (random() % 3000 == 0) stalled_until = at + 0.02;
      last = at;
      double ms = std::exp(0.3 * normal(random) + 0.2 * mood);
      ms += std::max(stalled_until - at, 0.0) * 1000;
      latencies.record(static_cast<std::int64_t>(ms * shift * run_factor * 1e6));
      ++planned;
    }
    Second second;
    second.number = s;
    second.counts.planned = second.counts.completed = second.counts.succeeded = planned;
    second.response = SparseHistogram::of(latencies);
    result.seconds.push_back(std::move(second));
  }
  return result;
}

Measurement flat(int seconds, std::int64_t latency_ns) {
  Measurement result;
  result.rate_per_second = 100;
  for (int s = 0; s < seconds; ++s) {
    Latencies latencies;
    for (int i = 0; i < 100; ++i) latencies.record(latency_ns + i * 1000);
    Second second;
    second.response = SparseHistogram::of(latencies);
    result.seconds.push_back(std::move(second));
  }
  return result;
}

Comparison compare_two(const Measurement& a, const Measurement& b,
                       const ComparisonSettings& settings = {}) {
  return compare({&a}, {&b}, settings);
}

TEST(ComparisonTest, ThePercentilesAreThoseOfTheWhole) {
  const Measurement a = simulated(1, 12, 800, 1);
  Measurement b = simulated(2, 15, 800, 2);
  b.seconds[3].response.infinite = 40;  // P99.9 falls among them
  b.seconds[7].voided = "late";
  const Comparison found = compare_two(a, b);
  ASSERT_EQ(found.refused, "");
  EXPECT_EQ(found.a_seconds, 12U);
  EXPECT_EQ(found.b_seconds, 14U);
  Latencies whole_a;
  Latencies whole_b;
  for (const Second& s : a.seconds) s.response.add_to(whole_a);
  for (const Second& s : b.seconds) {
    if (s.voided.empty()) s.response.add_to(whole_b);
  }
  ASSERT_EQ(found.differences.size(), 3U);
  for (const Difference& d : found.differences) {
    EXPECT_DOUBLE_EQ(d.a_ns, whole_a.percentile_ns(d.percent)) << d.percent;
    EXPECT_DOUBLE_EQ(d.b_ns, whole_b.percentile_ns(d.percent)) << d.percent;
  }
  EXPECT_TRUE(std::isinf(found.differences[2].b_ns));
  EXPECT_TRUE(std::isinf(found.differences[2].ratio));
  EXPECT_EQ(found.change(), Change::kWorse);
}

TEST(ComparisonTest, WithoutNoiseTheVerdictIsPlain) {
  const Measurement a = flat(20, 1'000'000);
  EXPECT_EQ(compare_two(a, flat(20, 1'000'000)).change(), Change::kSame);
  EXPECT_EQ(compare_two(a, flat(20, 1'020'000)).change(), Change::kSame);  // 2 % matter to nobody
  EXPECT_EQ(compare_two(a, flat(20, 1'200'000)).change(), Change::kWorse);
  EXPECT_EQ(compare_two(a, flat(20, 800'000)).change(), Change::kBetter);
  ComparisonSettings settings;
  settings.smallest_effect = 0.5;
  EXPECT_EQ(compare_two(a, flat(20, 1'200'000), settings).change(), Change::kSame);
  const Difference d = compare_two(a, flat(20, 1'200'000)).differences[0];
  EXPECT_NEAR(d.ratio, 1.2, 0.02);
  EXPECT_LE(d.low, d.ratio);
  EXPECT_GE(d.high, d.ratio);
}

TEST(ComparisonTest, SidesThatNeverAnsweredAreAlike) {
  Measurement a = flat(20, 1'000'000);
  for (Second& s : a.seconds) s.response.infinite = 900;
  const Comparison same = compare_two(a, a);
  EXPECT_EQ(same.change(), Change::kSame);
  EXPECT_EQ(same.differences[1].a_ns, kInfinite);
  EXPECT_EQ(same.differences[1].ratio, 1);
  EXPECT_EQ(compare_two(flat(20, 1'000'000), a).change(), Change::kWorse);
  EXPECT_EQ(compare_two(a, flat(20, 1'000'000)).change(), Change::kBetter);
}

TEST(ComparisonTest, WhatCannotBeComparedIsRefusedWithTheReason) {
  const Measurement good = flat(20, 1'000'000);
  const auto refused = [&](const Measurement& other, const char* why) {
    for (const Comparison& found : {compare_two(good, other), compare_two(other, good)}) {
      EXPECT_NE(found.refused.find(why), std::string::npos) << found.refused;
      EXPECT_TRUE(found.differences.empty());
      EXPECT_EQ(found.change(), Change::kUnclear);
    }
  };
  Measurement other = good;
  other.rate_per_second = 102;
  refused(other, "rates differ");
  other.rate_per_second = 100.9;
  EXPECT_EQ(compare_two(good, other).refused, "");
  other = good;
  other.invalid = {"the generator was late"};
  refused(other, "the generator was late");
  other = good;
  other.interrupted = true;
  refused(other, "interrupted");
  other = good;
  for (int s = 0; s < 11; ++s) other.seconds[static_cast<std::size_t>(s)].voided = "late";
  refused(other, "9 clean seconds");
  other.seconds[0].voided = "";
  EXPECT_EQ(compare_two(good, other).refused, "");
  other = good;
  other.seconds[4].response.text += " 9";
  refused(other, "damaged");
  other = good;
  for (Second& s : other.seconds) s.response = {};
  refused(other, "no requests");
  EXPECT_NE(compare({&good}, {}, {}).refused, "");
}

TEST(ComparisonTest, ResultsAreComparedRateByRate) {
  Result a;
  a.host.cpu_model = "one";
  for (const double rate : {300.0, 100.0, 200.0, 100.2, 500.0}) {
    a.measurements.push_back(flat(10, 1'000'000));
    a.measurements.back().rate_per_second = rate;
  }
  Result b = a;
  b.measurements[4].rate_per_second = 600;
  b.measurements[0] = flat(10, 2'000'000);
  b.measurements[0].rate_per_second = 300;
  const ResultComparison found = compare(a, b);
  EXPECT_EQ(found.refused, "");
  ASSERT_EQ(found.rates.size(), 3U);
  EXPECT_EQ(found.rates[0].rate_per_second, 100);
  EXPECT_EQ(found.rates[0].a_seconds, 20U);  // held twice
  EXPECT_EQ(found.rates[0].change(), Change::kSame);
  EXPECT_EQ(found.rates[1].rate_per_second, 200);
  EXPECT_EQ(found.rates[2].change(), Change::kWorse);
  EXPECT_EQ(found.unmatched, (std::vector<double>{500, 600}));
  b.host.cpu_model = "another";
  EXPECT_NE(compare(a, b).refused.find("hosts differ"), std::string::npos);
  b.host = a.host;
  for (Measurement& m : b.measurements) m.rate_per_second *= 7;
  EXPECT_NE(compare(a, b).refused.find("rates differ"), std::string::npos);
}

TEST(ComparisonTest, TheSameFilesGiveTheSameVerdict) {
  const Measurement a = simulated(5, 20, 500, 1);
  const Measurement b = simulated(6, 20, 500, 1.1);
  const Difference once = compare_two(a, b).differences[1];
  const Difference again = compare_two(a, b).differences[1];
  EXPECT_EQ(once.low, again.low);
  EXPECT_EQ(once.high, again.high);
}

struct Verdicts {
  int worse = 0;
  int better = 0;
  int covered = 0;  // P99's interval holds the true ratio
};

Verdicts verdicts(int pairs, int seconds, double rate, double shift) {
  Verdicts result;
  ComparisonSettings settings;
  settings.resamples = 400;
  for (int i = 0; i < pairs; ++i) {
    const auto seed = static_cast<std::uint64_t>(i) * 2 + 1000;
    const Comparison found = compare_two(simulated(seed, seconds, rate, 1),
                                         simulated(seed + 1, seconds, rate, shift), settings);
    const Change change = found.change();
    result.worse += change == Change::kWorse ? 1 : 0;
    result.better += change == Change::kBetter ? 1 : 0;
    const Difference& p99 = found.differences[1];
    // The buckets are 0.8 % wide.
    result.covered += p99.low <= shift * 1.008 && p99.high >= shift / 1.008 ? 1 : 0;
  }
  return result;
}

TEST(ComparisonTest, OneDistributionIsSeldomCalledTwo) {
  const Verdicts found = verdicts(200, 60, 300, 1);
  EXPECT_LE(found.worse + found.better, 14);
  EXPECT_GE(found.covered, 180);
}

TEST(ComparisonTest, AShiftOfAFifthIsFound) {
  const Verdicts found = verdicts(40, 60, 1000, 1.2);
  EXPECT_GE(found.worse, 36);
  EXPECT_EQ(found.better, 0);
  EXPECT_GE(found.covered, 35);
}

// Runs that differ by 15 % of themselves: seconds alone would be sure of a difference that is none.
TEST(ComparisonTest, RepeatsAreDrawnAsRuns) {
  ComparisonSettings settings;
  settings.resamples = 400;
  int by_runs = 0;
  int by_seconds = 0;
  constexpr int kPairs = 60;
  for (int i = 0; i < kPairs; ++i) {
    std::vector<Measurement> runs;
    for (int r = 0; r < 10; ++r) {
      runs.push_back(simulated(static_cast<std::uint64_t>(i) * 10 + static_cast<std::uint64_t>(r),
                               12, 100, 1, 0.15));
    }
    Measurement joined[2];
    std::vector<const Measurement*> sides[2];
    for (std::size_t r = 0; r < runs.size(); ++r) {
      Measurement& whole = joined[r % 2];
      whole.rate_per_second = 100;
      whole.seconds.insert(whole.seconds.end(), runs[r].seconds.begin(), runs[r].seconds.end());
      sides[r % 2].push_back(&runs[r]);
    }
    const auto different = [](const Comparison& c) {
      return c.differences[0].change == Change::kWorse ||
             c.differences[0].change == Change::kBetter;
    };
    by_runs += different(compare(sides[0], sides[1], settings)) ? 1 : 0;
    by_seconds += different(compare({&joined[0]}, {&joined[1]}, settings)) ? 1 : 0;
  }
  EXPECT_GT(by_seconds, 2 * by_runs);
  EXPECT_LE(by_runs, 2);
}

}  // namespace
}  // namespace tailrace::loadtest
