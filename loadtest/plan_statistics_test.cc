// Whether arrivals are what they claim: Poisson, at the rate, on routes by their weights. The
// tests' own power is shown too: they refuse arrivals of another kind. Seeds are fixed: nothing
// here passes by luck.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "loadtest/plan.h"

namespace tailrace::loadtest {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

// Of all workers, ascending.
std::vector<std::int64_t> superposition(const PlanSettings& settings) {
  std::vector<std::int64_t> times;
  for (unsigned worker = 0; worker < settings.workers; ++worker) {
    Plan plan(settings, {1}, worker);
    for (Arrival arrival; plan.next(arrival);) times.push_back(arrival.due_ns);
  }
  std::sort(times.begin(), times.end());
  return times;
}

std::vector<double> gaps_of(const std::vector<std::int64_t>& times) {
  std::vector<double> gaps;
  std::int64_t before = 0;
  for (const std::int64_t time : times) {
    // Half a nanosecond: times are whole, and 0 has no logarithm.
    gaps.push_back(static_cast<double>(time - before) + 0.5);
    before = time;
  }
  return gaps;
}

// Anderson and Darling's statistic against the exponential of this rate, nothing estimated. Above
// 3.857 with probability 1 % if the gaps are such.
constexpr double kCriticalAtOnePercent = 3.857;
double anderson_darling(std::vector<double> gaps_ns, double rate_per_second) {
  std::sort(gaps_ns.begin(), gaps_ns.end());
  const auto n = static_cast<double>(gaps_ns.size());
  double sum = 0;
  for (std::size_t i = 0; i < gaps_ns.size(); ++i) {
    const double x = gaps_ns[i] * rate_per_second / 1e9;
    const double mirrored = gaps_ns[gaps_ns.size() - 1 - i] * rate_per_second / 1e9;
    // ln F(x) and ln(1 - F(mirrored)).
    sum += (2 * static_cast<double>(i) + 1) * (std::log(-std::expm1(-x)) - mirrored);
  }
  return -n - sum / n;
}

// Wilson and Hilferty: how many standard deviations a chi-square is above its mean.
double chi_square_deviations(double chi_square, double freedom) {
  const double ninth = 2 / (9 * freedom);
  return (std::cbrt(chi_square / freedom) - (1 - ninth)) / std::sqrt(ninth);
}

TEST(PlanStatistics, GapsAreExponential) {
  for (const unsigned workers : {1u, 2u, 4u}) {
    for (const double rate : {50.0, 5000.0, 50'000.0}) {
      const auto duration_ns = static_cast<std::int64_t>(50'000 / rate * 1e9);
      const PlanSettings settings{
          .rate_per_second = rate, .duration_ns = duration_ns, .seed = 3, .workers = workers};
      const std::string what = std::to_string(workers) + " workers at " + std::to_string(rate);
      EXPECT_LT(anderson_darling(gaps_of(superposition(settings)), rate), kCriticalAtOnePercent)
          << what;
      // Each worker's own stream too.
      PlanSettings alone = settings;
      Plan plan(alone, {1}, workers - 1);
      std::vector<std::int64_t> times;
      for (Arrival arrival; plan.next(arrival);) times.push_back(arrival.due_ns);
      EXPECT_LT(anderson_darling(gaps_of(times), rate / workers), kCriticalAtOnePercent) << what;
    }
  }
}

TEST(PlanStatistics, AndersonDarlingRefusesOthers) {
  PlanSettings settings{.rate_per_second = 5000, .duration_ns = kSecond, .seed = 3};
  const std::vector<double> right = gaps_of(superposition(settings));
  EXPECT_LT(anderson_darling(right, 5000), kCriticalAtOnePercent);
  EXPECT_GT(anderson_darling(right, 10'000), kCriticalAtOnePercent) << "half the rate";
  EXPECT_GT(anderson_darling(right, 5500), kCriticalAtOnePercent) << "a tenth less";
  settings.rate_per_second = 10'000;
  EXPECT_GT(anderson_darling(gaps_of(superposition(settings)), 5000), kCriticalAtOnePercent)
      << "twice the rate";
  settings.rate_per_second = 5000;
  settings.kind = ArrivalKind::kConstant;
  EXPECT_GT(anderson_darling(gaps_of(superposition(settings)), 5000), kCriticalAtOnePercent)
      << "constant";
  // Uniform gaps of the right mean.
  std::vector<double> uniform;
  for (int i = 0; i < 5000; ++i) uniform.push_back((i + 0.5) / 5000 * 400'000);
  EXPECT_GT(anderson_darling(uniform, 5000), kCriticalAtOnePercent);
}

// The variance of the counts against their mean, as a chi-square: too even is refused like too
// uneven.
double dispersion_deviations(const std::vector<std::int64_t>& times, std::int64_t duration_ns,
                             double rate) {
  constexpr std::int64_t kBin = kSecond / 10;
  std::vector<double> counts(static_cast<std::size_t>(duration_ns / kBin));
  for (const std::int64_t time : times) ++counts[static_cast<std::size_t>(time / kBin)];
  const double expected = rate / 10;
  double chi_square = 0;
  for (const double count : counts)
    chi_square += (count - expected) * (count - expected) / expected;
  return chi_square_deviations(chi_square, static_cast<double>(counts.size()));
}

TEST(PlanStatistics, CountsOfTenthsAreThoseOfOnePoissonStream) {
  for (const unsigned workers : {1u, 2u, 4u}) {
    PlanSettings settings{
        .rate_per_second = 8000, .duration_ns = 60 * kSecond, .seed = 9, .workers = workers};
    const double poisson =
        dispersion_deviations(superposition(settings), settings.duration_ns, 8000);
    EXPECT_LT(std::abs(poisson), 3) << workers;
    settings.kind = ArrivalKind::kConstant;
    EXPECT_LT(dispersion_deviations(superposition(settings), settings.duration_ns, 8000), -10);
  }
  // Workers in step, from the same seed, are no Poisson stream.
  std::vector<std::int64_t> twice = superposition(
      {.rate_per_second = 4000, .duration_ns = 60 * kSecond, .seed = 9, .workers = 1});
  twice.insert(twice.end(), twice.begin(), twice.end());
  EXPECT_GT(dispersion_deviations(twice, 60 * kSecond, 8000), 10);
}

TEST(PlanStatistics, CountIsWithinFiveSigma) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const PlanSettings settings{
        .rate_per_second = 20'000, .duration_ns = 5 * kSecond, .seed = seed, .workers = 4};
    const auto count = static_cast<double>(superposition(settings).size());
    EXPECT_NEAR(count, 100'000, 5 * std::sqrt(100'000)) << seed;
  }
}

TEST(PlanStatistics, RoutesFollowTheirWeights) {
  const std::vector<double> weights{0, 60, 8, 0, 0.5, 31.5, 0};
  PlanSettings settings{.rate_per_second = 100'000, .duration_ns = 2 * kSecond, .seed = 4};
  Plan plan(settings, weights, 0);
  std::vector<double> counts(weights.size());
  double all = 0;
  for (Arrival arrival; plan.next(arrival); ++all) ++counts.at(arrival.route);
  const auto deviations = [&](const std::vector<double>& claimed) {
    double chi_square = 0;
    double freedom = -1;
    for (std::size_t i = 0; i < claimed.size(); ++i) {
      if (claimed[i] == 0) continue;
      const double expected = all * claimed[i] / 100;
      chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
      ++freedom;
    }
    return chi_square_deviations(chi_square, freedom);
  };
  EXPECT_LT(std::abs(deviations(weights)), 3);
  EXPECT_GT(deviations({0, 59, 9, 0, 0.5, 31.5, 0}), 5) << "one in a hundred on the wrong route";
  for (const std::size_t none : {0, 3, 6}) EXPECT_EQ(counts[none], 0);
}

// Routes say nothing of gaps, nor a gap of the next one.
TEST(PlanStatistics, NothingHangsTogether) {
  Plan plan({.rate_per_second = 100'000, .duration_ns = 2 * kSecond, .seed = 4}, {1, 1}, 0);
  std::vector<double> gaps;
  std::vector<double> routes;
  std::int64_t before = 0;
  for (Arrival arrival; plan.next(arrival);) {
    gaps.push_back(static_cast<double>(arrival.due_ns - before));
    routes.push_back(arrival.route);
    before = arrival.due_ns;
  }
  const auto correlation = [](const double* a, const double* b, std::size_t n) {
    double a_sum = 0, b_sum = 0, aa = 0, bb = 0, ab = 0;
    for (std::size_t i = 0; i < n; ++i) {
      a_sum += a[i];
      b_sum += b[i];
    }
    const double a_mean = a_sum / static_cast<double>(n), b_mean = b_sum / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) {
      aa += (a[i] - a_mean) * (a[i] - a_mean);
      bb += (b[i] - b_mean) * (b[i] - b_mean);
      ab += (a[i] - a_mean) * (b[i] - b_mean);
    }
    return ab / std::sqrt(aa * bb);
  };
  const std::size_t n = gaps.size() - 1;
  const double limit = 4 / std::sqrt(static_cast<double>(n));
  EXPECT_LT(std::abs(correlation(gaps.data(), gaps.data() + 1, n)), limit);
  EXPECT_LT(std::abs(correlation(gaps.data(), routes.data(), n)), limit);
  EXPECT_LT(std::abs(correlation(routes.data(), routes.data() + 1, n)), limit);
}

}  // namespace
}  // namespace tailrace::loadtest
