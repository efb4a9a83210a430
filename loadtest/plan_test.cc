// What a plan is fixed by, its exact times, its digest, and trace files. Its statistics are in
// plan_statistics_test.cc.
#include "loadtest/plan.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tailrace::loadtest {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::vector<Arrival> arrivals_of(const PlanSettings& settings, unsigned worker = 0,
                                 const std::vector<double>& weights = {1}) {
  Plan plan(settings, weights, worker);
  std::vector<Arrival> arrivals;
  Arrival arrival;
  while (plan.next(arrival)) arrivals.push_back(arrival);
  EXPECT_FALSE(plan.next(arrival)) << "it began again after its end";
  return arrivals;
}

std::vector<std::int64_t> times_of(const PlanSettings& settings, unsigned worker = 0) {
  std::vector<std::int64_t> times;
  for (const Arrival& arrival : arrivals_of(settings, worker)) times.push_back(arrival.due_ns);
  return times;
}

bool same(const std::vector<Arrival>& a, const std::vector<Arrival>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Arrival& x, const Arrival& y) {
    return x.due_ns == y.due_ns && x.route == y.route && x.draw == y.draw && x.number == y.number;
  });
}

PlanSettings poisson(double rate, std::int64_t duration_ns, std::uint64_t seed = 1,
                     unsigned workers = 1) {
  return {.rate_per_second = rate, .duration_ns = duration_ns, .seed = seed, .workers = workers};
}

TEST(Plan, IsTheSameFromTheSameSettings) {
  const PlanSettings settings = poisson(5000, kSecond, 42, 2);
  const std::vector<double> weights{3, 1, 2};
  const std::vector<Arrival> first = arrivals_of(settings, 0, weights);
  ASSERT_GT(first.size(), 2000u);
  EXPECT_TRUE(same(first, arrivals_of(settings, 0, weights)));
  EXPECT_EQ(plan_digest(settings, weights), plan_digest(settings, weights));

  PlanSettings other = settings;
  other.seed = 43;
  EXPECT_FALSE(same(first, arrivals_of(other, 0, weights)));
  EXPECT_FALSE(same(first, arrivals_of(settings, 1, weights))) << "two workers in step";
  other = settings;
  other.rate_per_second = 5001;
  EXPECT_FALSE(same(first, arrivals_of(other, 0, weights)));
}

TEST(Plan, AscendsAndCounts) {
  const std::vector<Arrival> arrivals = arrivals_of(poisson(20000, kSecond));
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    EXPECT_EQ(arrivals[i].number, i);
    EXPECT_GE(arrivals[i].due_ns, i == 0 ? 0 : arrivals[i - 1].due_ns);
    EXPECT_LT(arrivals[i].due_ns, kSecond);
  }
  PlanSettings later = poisson(20000, kSecond);
  later.first_number = PlanSettings::kPartNumbers;
  const std::vector<Arrival> shifted = arrivals_of(later);
  ASSERT_EQ(shifted.size(), arrivals.size());
  EXPECT_EQ(shifted[7].number, PlanSettings::kPartNumbers + 7);
  EXPECT_EQ(shifted[7].due_ns, arrivals[7].due_ns);
}

TEST(Plan, NeighbouringSeedsAndWorkersShareNothing) {
  std::set<std::uint64_t> draws;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const PlanSettings settings = poisson(10000, kSecond / 1000, seed, 20);
    for (unsigned worker = 0; worker < settings.workers; ++worker) {
      Plan plan(settings, {1}, worker);
      Arrival arrival;
      if (!plan.next(arrival)) continue;
      EXPECT_TRUE(draws.insert(arrival.draw).second) << seed << worker;
    }
  }
  EXPECT_GT(draws.size(), 300u);
}

TEST(Plan, DigestTellsWhateverChanges) {
  const PlanSettings settings = poisson(5000, kSecond, 7, 4);
  const std::vector<double> weights{1, 1};
  std::set<std::uint64_t> digests{plan_digest(settings, weights)};
  const auto differs = [&](const PlanSettings& other, const std::vector<double>& other_weights) {
    EXPECT_TRUE(digests.insert(plan_digest(other, other_weights)).second);
  };
  const auto with = [&](auto change) {
    PlanSettings other = settings;
    change(other);
    differs(other, weights);
  };
  with([](PlanSettings& s) { s.seed = 8; });
  with([](PlanSettings& s) { s.rate_per_second = 5000.5; });
  with([](PlanSettings& s) { s.duration_ns = 2 * kSecond; });
  with([](PlanSettings& s) { s.workers = 3; });
  with([](PlanSettings& s) { s.kind = ArrivalKind::kConstant; });
  differs(settings, {1, 2});
  differs(settings, {1});
  // Even no arrival at all is told apart by its workers.
  PlanSettings empty = poisson(5000, 0, 7, 1);
  const std::uint64_t of_one = plan_digest(empty, weights);
  empty.workers = 2;
  EXPECT_NE(of_one, plan_digest(empty, weights));
}

// Or the report of a long run would be minutes late.
TEST(Plan, TheDigestOfALongPlanIsMadeInASecond) {
  const PlanSettings long_one = poisson(1e6, 24 * 3600 * kSecond, 7, 2);
  PlanSettings longer = long_one;
  longer.duration_ns += kSecond;
  EXPECT_NE(plan_digest(long_one, {1}), plan_digest(longer, {1}));
}

// These stand in results that users keep: a change of the generator has to show in review.
TEST(Plan, GoldenDigests) {
  EXPECT_EQ(plan_digest(poisson(1000, 10 * kSecond, 1, 1), {1}), 0xb44d9e1580691569);
  EXPECT_EQ(plan_digest(poisson(7310, 10 * kSecond, 20261121, 3), {60, 8, 6, 16, 10}),
            0xdc638f02e4a3aa7f);
  PlanSettings constant = poisson(1000, kSecond, 1, 2);
  constant.kind = ArrivalKind::kConstant;
  EXPECT_EQ(plan_digest(constant, {1}), 0xf8e818ebf131298b);
  // The first arrivals, for whoever writes the generator anew.
  const std::vector<std::int64_t> times = times_of(poisson(1000, kSecond, 1, 1));
  EXPECT_EQ((std::vector<std::int64_t>(times.begin(), times.begin() + 4)),
            (std::vector<std::int64_t>{2864239, 4726131, 4811399, 7203957}));
}

TEST(Plan, ConstantIsExactAndSharedInTurn) {
  PlanSettings settings = poisson(3, 2 * kSecond, 1, 2);
  settings.kind = ArrivalKind::kConstant;
  EXPECT_EQ(times_of(settings, 0), (std::vector<std::int64_t>{0, 666'666'666, 1'333'333'333}));
  EXPECT_EQ(times_of(settings, 1),
            (std::vector<std::int64_t>{333'333'333, kSecond, 1'666'666'666}));
}

TEST(Plan, AnHourDoesNotDrift) {
  PlanSettings settings = poisson(100'000, 3600 * kSecond, 1, 1000);
  settings.kind = ArrivalKind::kConstant;
  const std::vector<std::int64_t> times = times_of(settings, 999);
  ASSERT_EQ(times.size(), 360'000u);
  EXPECT_EQ(times.back(), 3600 * kSecond - 10'000);

  // Poisson: the gaps of a slow plan, added up exactly, are those of a fast one stretched.
  const std::vector<std::int64_t> fast = times_of(poisson(100'000, 10 * kSecond, 5));
  const std::vector<std::int64_t> slow = times_of(poisson(1, 1'000'000 * kSecond, 5));
  ASSERT_EQ(fast.size(), slow.size());
  for (std::size_t i = 0; i < fast.size(); ++i) ASSERT_EQ(fast[i], slow[i] / 100'000) << i;
}

TEST(Plan, HasNothingWithoutRateOrTime) {
  EXPECT_TRUE(arrivals_of(poisson(0, kSecond)).empty());
  EXPECT_TRUE(arrivals_of(poisson(-1, kSecond)).empty());
  EXPECT_TRUE(arrivals_of(poisson(std::nan(""), kSecond)).empty());
  EXPECT_TRUE(arrivals_of(poisson(1000, 0)).empty());
  PlanSettings trace;
  trace.kind = ArrivalKind::kTrace;
  EXPECT_TRUE(arrivals_of(trace).empty());
}

TEST(Plan, TakesTheTimesOfATrace) {
  PlanSettings settings;
  settings.kind = ArrivalKind::kTrace;
  settings.workers = 2;
  settings.trace = std::make_shared<std::vector<std::int64_t>>(
      std::vector<std::int64_t>{5, 10, 10, 4 * kSecond, 3600 * kSecond});
  EXPECT_EQ(times_of(settings, 0), (std::vector<std::int64_t>{5, 10, 3600 * kSecond}));
  EXPECT_EQ(times_of(settings, 1), (std::vector<std::int64_t>{10, 4 * kSecond}));
  settings.duration_ns = kSecond;
  EXPECT_EQ(times_of(settings, 0), (std::vector<std::int64_t>{5, 10}));
  EXPECT_EQ(times_of(settings, 1), (std::vector<std::int64_t>{10}));
}

class Trace : public ::testing::Test {
 protected:
  ~Trace() override { std::remove(path_.c_str()); }
  TraceFile read(const std::string& text) {
    std::ofstream(path_, std::ios::binary) << text;
    return read_trace(path_);
  }
  const std::string path_ = ::testing::TempDir() + "trace_" + std::to_string(::getpid()) + "_" +
                            ::testing::UnitTest::GetInstance()->current_test_info()->name() +
                            ".txt";
};

TEST_F(Trace, Reads) {
  const TraceFile trace =
      read("# a morning\n0\n0.001  # same second\n\n\t1.4e0 \r\n1.400000001\n2592000");
  EXPECT_EQ(trace.message, "");
  EXPECT_EQ(trace.times, (std::vector<std::int64_t>{0, 1'000'000, 1'400'000'000, 1'400'000'001,
                                                    2'592'000 * kSecond}));
}

TEST_F(Trace, NamesTheLineThatIsWrong) {
  const std::array<std::pair<std::string, std::string>, 9> cases{{
      {"1\n2\nx\n", "line 3: \"x\" is no number of seconds"},
      {"1 2\n", "line 1: \"1 2\" is no number"},
      {"-1\n", "line 1: \"-1\" is no number"},
      {"nan\n", "line 1: \"nan\" is no number"},
      {"inf\n", "line 1: after more than 30 days"},
      {"1795000000\n", "line 1: after more than 30 days: times count from the begin of the run"},
      {"#\n2\n1\n", "line 3: earlier than the line before"},
      {"0\n" + std::string(300, '1') + "\n", "line 2: more than 255 characters"},
      {"# nothing\n", "no times in it"},
  }};
  for (const auto& [text, expected] : cases) {
    const TraceFile trace = read(text);
    EXPECT_TRUE(trace.times.empty()) << text;
    EXPECT_NE(trace.message.find(expected), std::string::npos) << trace.message;
  }
  EXPECT_NE(read_trace("/nonexistent").message.find("cannot be read"), std::string::npos);
  EXPECT_NE(read_trace(::testing::TempDir()).message, "") << "a directory";
}

TEST_F(Trace, HasABound) {
  std::string text;
  text.resize(20'000'002, '\n');
  for (std::size_t i = 0; i < text.size(); i += 2) text[i] = '0';
  EXPECT_NE(read(text).message.find("line 10000001: more than 10 million times"),
            std::string::npos);
  text.resize(20'000'000);
  EXPECT_EQ(read(text).times.size(), 10'000'000u);
}

}  // namespace
}  // namespace tailrace::loadtest
