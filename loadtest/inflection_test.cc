// The label against data with a known answer: a published table, staircases of simulated servers
// with known laws, and lines that are flat but for noise.
#include "loadtest/inflection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>

#include "loadtest/queue_theory.h"
#include "loadtest/synthetic_model.h"

namespace tailrace::loadtest {
namespace {

using Shape = Inflection::Shape;

constexpr double kInfinite = std::numeric_limits<double>::infinity();
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kHeld = 10 * kSecond;

std::vector<RatePoint> table(const std::vector<double>& rates, const std::vector<double>& p99_ms) {
  std::vector<RatePoint> points;
  for (std::size_t i = 0; i < rates.size(); ++i) points.push_back({rates[i], p99_ms[i] * 1e6});
  return points;
}

// P99 of what leaves a model when Poisson arrivals come for `held`, after `settle` of the same.
double simulated_p99(SyntheticModel& model, std::int64_t begin, double rate, std::int64_t held,
                     std::mt19937_64& random) {
  const std::int64_t settle = 6 * kSecond;
  std::exponential_distribution<double> gap(rate / 1e9);
  std::vector<std::int64_t> sojourns;
  for (double at = gap(random); at < static_cast<double>(settle + held); at += gap(random)) {
    const std::int64_t arrive = begin + static_cast<std::int64_t>(at);
    const std::int64_t leave = model.leave_ns(arrive);
    if (at >= static_cast<double>(settle)) sojourns.push_back(leave - arrive);
  }
  const auto rank = sojourns.begin() + static_cast<std::ptrdiff_t>(sojourns.size() * 99 / 100);
  std::nth_element(sojourns.begin(), rank, sojourns.end());
  return static_cast<double>(*rank);
}

// One server goes through the whole staircase; the machine adds noise of 10 %.
std::vector<RatePoint> staircase(const std::string& text, const std::vector<double>& rates,
                                 std::uint64_t seed, std::int64_t held) {
  auto model = make_synthetic_model(text + ",seed=" + std::to_string(seed));
  std::mt19937_64 random(seed * 77);
  std::normal_distribution<double> noise(0, 0.1);
  std::vector<RatePoint> points;
  std::int64_t begin = 0;
  for (const double rate : rates) {
    auto& m = *std::get<std::unique_ptr<SyntheticModel>>(model);
    points.push_back({rate, simulated_p99(m, begin, rate, held, random) * std::exp(noise(random))});
    begin += held + 10 * kSecond;
  }
  return points;
}

TEST(InflectionTest, MigratoryDatasTableHasItsStep) {
  // Mean latency of WebSocket messages; x 1.33 in the rate, x 7 in the latency.
  const Inflection found =
      find_inflection(table({240e3, 480e3, 720e3, 960e3, 1200e3, 1440e3, 1680e3, 1920e3},
                            {2.35, 3.09, 5.76, 39.95, 83.2, 139, 226, 597}),
                      0);
  EXPECT_EQ(found.shape, Shape::kStep);
  EXPECT_EQ(found.last_low_rate, 720e3);
  EXPECT_EQ(found.first_high_rate, 960e3);
  EXPECT_DOUBLE_EQ(found.before_ns, 5.76e6);
  EXPECT_DOUBLE_EQ(found.after_ns, 39.95e6);
  EXPECT_GT(found.bic_gain, 6);
}

TEST(InflectionTest, FewPointsTellNothing) {
  EXPECT_EQ(find_inflection(std::vector<RatePoint>{}, 0).shape, Shape::kTooFew);
  EXPECT_EQ(find_inflection(table({1, 2, 3, 4}, {1, 1, 50, 50}), 0).shape, Shape::kTooFew);
  // What is no number is no point.
  EXPECT_EQ(find_inflection(table({1, 2, 3, 4, 5}, {1, 1, 50, std::nan(""), 50}), 0).shape,
            Shape::kTooFew);
}

TEST(InflectionTest, PointsComeInAnyOrder) {
  const Inflection found = find_inflection(
      table({600, 100, 500, 200, 700, 300, 800, 400}, {40, 1, 40, 1, 41, 1.1, 42, 1}), kHeld);
  EXPECT_EQ(found.shape, Shape::kStep);
  EXPECT_EQ(found.last_low_rate, 400);
  EXPECT_EQ(found.first_high_rate, 500);
}

TEST(InflectionTest, InfiniteIsWorseThanAll) {
  // A server that collapses without warning: a step.
  const Inflection fell = find_inflection(
      table({100, 200, 300, 400, 500, 600, 700}, {1, 1, 1.1, 1, 1.05, kInfinite, kInfinite}),
      kHeld);
  EXPECT_EQ(fell.shape, Shape::kStep);
  EXPECT_EQ(fell.last_low_rate, 500);
  EXPECT_EQ(fell.first_high_rate, 600);
  EXPECT_TRUE(std::isinf(fell.after_ns));
  // A queue that rises and runs over: none, and its capacity lies where it did.
  std::vector<RatePoint> points;
  for (int i = 1; i <= 9; ++i) points.push_back({i * 100.0, 1e6 / (1 - i / 9.5)});
  points.push_back({1000, kInfinite});
  points.push_back({1100, kInfinite});
  const Inflection ran_over = find_inflection(points, 0);
  EXPECT_EQ(ran_over.shape, Shape::kSmooth);
  EXPECT_NEAR(ran_over.capacity_rate, 950, 40);
  // All of them: nothing can be told apart.
  EXPECT_EQ(find_inflection(
                table({1, 2, 3, 4, 5}, {kInfinite, kInfinite, kInfinite, kInfinite, kInfinite}), 0)
                .shape,
            Shape::kFlat);
}

TEST(InflectionTest, AQueuesLawIsSmoothAndItsCapacityIsFound) {
  std::vector<RatePoint> points;
  for (int load = 10; load <= 95; load += 5) {
    points.push_back({load * 50.0, Md1(load * 50.0, 200'000).sojourn_percentile_ns(99)});
  }
  const Inflection found = find_inflection(points, kHeld);
  EXPECT_EQ(found.shape, Shape::kSmooth);
  EXPECT_NEAR(found.capacity_rate / 5000, 1, 0.03);
  // Each step doubles P99: an exponential is no step either.
  points.clear();
  for (int i = 0; i < 8; ++i) points.push_back({100.0 + i * 100, 1e6 * std::exp2(i * 1.1)});
  EXPECT_EQ(find_inflection(points, kHeld).shape, Shape::kSmooth);
}

// How many of `seeds` staircases have the shape, and how many of these a step between the two
// rates.
struct Tally {
  int steps = 0;
  int smooth = 0;
  int flat = 0;
  int right = 0;
};
Tally tally(const std::string& model, const std::vector<double>& rates, double truth, int seeds,
            std::int64_t held) {
  Tally result;
  for (int seed = 1; seed <= seeds; ++seed) {
    const Inflection found =
        find_inflection(staircase(model, rates, static_cast<std::uint64_t>(seed), held), held);
    if (found.shape == Shape::kStep) {
      ++result.steps;
      if (found.last_low_rate <= truth && truth <= found.first_high_rate) ++result.right;
    } else if (found.shape == Shape::kSmooth) {
      ++result.smooth;
    } else if (found.shape == Shape::kFlat) {
      ++result.flat;
    }
  }
  return result;
}

// The rates are a hundredth of what the command's defaults are, for speed; the laws scale.
const std::vector<double> kRates = {100, 200, 300, 350, 400, 430, 460, 480, 520, 550, 600, 700};

TEST(InflectionTest, SimulatedQueuesAreSmooth) {
  // Capacity 500, 4 x 2 ms; some of the rates are beyond it, where P99 depends on the time held
  // alone.
  const std::vector<double> below = {100, 150, 200, 250, 300, 350, 400, 425, 450, 475, 490};
  EXPECT_GE(tally("md1:us=2000", below, 500, 200, 2 * kHeld).smooth, 196);
  EXPECT_GE(tally("md1:us=2000", kRates, 500, 200, 2 * kHeld).smooth, 196);
  EXPECT_GE(tally("mmc:c=4,us=8000", below, 500, 200, 2 * kHeld).smooth, 196);
  EXPECT_GE(tally("mmc:c=4,us=8000", kRates, 500, 200, 2 * kHeld).smooth, 196);
}

TEST(InflectionTest, SimulatedStepsAreFoundInTheirPlace) {
  // The model's own count of its rate has the noise of any count: 2 % of 500/s in 5 s.
  const std::vector<double> rates = {100, 200, 300, 350, 400, 450, 550, 600, 650, 700};
  Tally found = tally("step:at=500,add=30ms,p=0.05,window=5s", rates, 500, 200, kHeld);
  EXPECT_GE(found.steps, 196);
  EXPECT_GE(found.right, 190);
  found = tally("gc:bps=50MB,bytes=100KB,headroom=10MB", rates, 500, 200, kHeld);
  EXPECT_GE(found.steps, 196);
  EXPECT_GE(found.right, 190);
  found = tally("hysteresis:up=500,down=350,window=5s", rates, 500, 200, kHeld);
  EXPECT_GE(found.steps, 196);
  EXPECT_GE(found.right, 190);
}

TEST(InflectionTest, AFlatLineNeverGetsAStep) {
  for (const double noise : {0.1, 0.2, 0.4}) {
    for (const std::size_t count : {5, 8, 16}) {
      int steps = 0;
      for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
        std::mt19937_64 random(seed);
        std::normal_distribution<double> normal(0, noise);
        std::vector<RatePoint> points;
        for (std::size_t i = 1; i <= count; ++i) {
          points.push_back({static_cast<double>(i) * 100, 1e6 * std::exp(normal(random))});
        }
        if (find_inflection(points, kHeld).shape == Shape::kStep) ++steps;
      }
      EXPECT_LE(steps, 10) << "of 1000, noise " << noise << ", points " << count;
    }
  }
}

}  // namespace
}  // namespace tailrace::loadtest
