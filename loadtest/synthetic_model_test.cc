// The models' laws, in virtual time: against the theory of queues, and against what each was made
// for.
#include "loadtest/synthetic_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "loadtest/queue_theory.h"

namespace tailrace::loadtest {
namespace {

constexpr std::int64_t kMicrosecond = 1'000;
constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::int64_t kSecond = 1'000'000'000;

std::unique_ptr<SyntheticModel> model_of(const std::string& text) {
  auto made = make_synthetic_model(text);
  EXPECT_TRUE(std::holds_alternative<std::unique_ptr<SyntheticModel>>(made))
      << std::get<std::string>(made);
  return std::move(std::get<0>(made));
}

// Arrivals of one stream, as long as the test wants them.
class Stream {
 public:
  explicit Stream(SyntheticModel& model, std::uint64_t seed = 1) : model_(model), random_(seed) {}

  // Sojourns of Poisson arrivals at `rate` for `seconds`.
  std::vector<std::int64_t> poisson(double rate, double seconds) {
    std::exponential_distribution<double> gap(rate / 1e9);
    return run(seconds, [&] { return gap(random_); });
  }
  std::vector<std::int64_t> constant(double rate, double seconds) {
    return run(seconds, [&] { return 1e9 / rate; });
  }

 private:
  std::vector<std::int64_t> run(double seconds, const std::function<double()>& gap) {
    std::vector<std::int64_t> sojourns;
    for (const double end = at_ + seconds * 1e9; at_ < end; at_ += gap()) {
      const auto arrive = static_cast<std::int64_t>(at_);
      sojourns.push_back(model_.leave_ns(arrive) - arrive);
    }
    return sojourns;
  }

  SyntheticModel& model_;
  std::mt19937_64 random_;
  double at_ = 0;
};

double percentile(std::vector<std::int64_t> values, double percent) {
  std::sort(values.begin(), values.end());
  const auto rank =
      static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(values.size())));
  return static_cast<double>(values[std::max<std::size_t>(rank, 1) - 1]);
}

double share_above(const std::vector<std::int64_t>& values, std::int64_t limit) {
  const auto above = std::count_if(values.begin(), values.end(), [&](auto v) { return v > limit; });
  return static_cast<double>(above) / static_cast<double>(values.size());
}

TEST(SyntheticModelTest, Md1IsTheQueueOfTheory) {
  for (const double rate : {1500.0, 3500.0, 4500.0}) {
    const auto model = model_of("md1:us=200");
    const auto sojourns = Stream(*model).poisson(rate, 1'000'000 / rate);
    const Md1 theory(rate, 200.0 * kMicrosecond);
    for (const double percent : {50.0, 99.0, 99.9}) {
      EXPECT_NEAR(percentile(sojourns, percent) / theory.sojourn_percentile_ns(percent), 1, 0.08)
          << rate << ' ' << percent;
    }
  }
}

TEST(SyntheticModelTest, Md1IsLindleysRecursionToTheNanosecond) {
  const auto model = model_of("md1:us=200");
  std::mt19937_64 random(3);
  std::vector<std::int64_t> due;
  std::vector<std::int64_t> sojourns;
  for (std::int64_t at = 0; due.size() < 10'000;
       at += static_cast<std::int64_t>(random() % 420'000)) {
    due.push_back(at);
    sojourns.push_back(model->leave_ns(at) - at);
  }
  EXPECT_EQ(sojourns, lindley(due, 200 * kMicrosecond));
}

TEST(SyntheticModelTest, MmcIsErlangs) {
  for (const double rate : {2500.0, 4250.0}) {
    const auto model = model_of("mmc:c=4,us=800");
    const auto sojourns = Stream(*model).poisson(rate, 1'000'000 / rate);
    const Mmc theory(rate, 4, 800.0 * kMicrosecond);
    for (const double percent : {50.0, 99.0, 99.9}) {
      EXPECT_NEAR(percentile(sojourns, percent) / theory.sojourn_percentile_ns(percent), 1, 0.08)
          << rate << ' ' << percent;
    }
  }
}

TEST(SyntheticModelTest, CapIsTheCapacity) {
  // Of the queues it is their service time, of the others a queue before them.
  const auto md1 = model_of("md1:cap=5000");
  EXPECT_EQ(md1->leave_ns(0), 200 * kMicrosecond);
  for (const char* text :
       {"none:us=100,cap=1000", "step:at=1M,us=100,cap=1000", "mmc:c=2,cap=1000"}) {
    const auto model = model_of(text);
    Stream stream(*model);
    const auto sojourns = stream.constant(1500, 10);
    // A third of 15,000 came too much, at 1 ms each.
    EXPECT_NEAR(static_cast<double>(sojourns.back()) / kSecond, 5, 0.4) << text;
  }
}

TEST(SyntheticModelTest, StepAddsOnlyAboveItsRate) {
  const auto model = model_of("step:at=5000,add=30ms,p=0.05,us=300");
  Stream stream(*model);
  for (const std::int64_t sojourn : stream.poisson(4500, 20)) {
    ASSERT_EQ(sojourn, 300 * kMicrosecond);
  }
  stream.poisson(5500, 2);  // the window fills
  const auto above = stream.poisson(5500, 20);
  EXPECT_NEAR(share_above(above, kMillisecond), 0.05, 0.005);
  EXPECT_EQ(*std::max_element(above.begin(), above.end()), 300 * kMicrosecond + 30 * kMillisecond);
  // And it ends.
  stream.poisson(4500, 2);
  EXPECT_EQ(share_above(stream.poisson(4500, 5), kMillisecond), 0);
}

TEST(SyntheticModelTest, StepSeesAnIdleServerAsIdle) {
  const auto model = model_of("step:at=1000,p=1");
  Stream(*model).constant(2000, 3);
  EXPECT_GT(model->leave_ns(3 * kSecond) - 3 * kSecond, 30 * kMillisecond);
  EXPECT_EQ(model->leave_ns(3600 * kSecond) - 3600 * kSecond, 200 * kMicrosecond);
}

TEST(SyntheticModelTest, GcSustainsItsBudgetDividedByTheBytes) {
  struct Case {
    const char* text;
    double sustainable;
  };
  for (const Case& c :
       {Case{"gc:bps=500MB,bytes=50KB", 10'000}, Case{"gc:bps=500MB,bytes=200KB", 2'500},
        Case{"gc:bps=100MB,bytes=50KB,stall=5ms", 2'000}}) {
    for (const double load : {0.9, 0.95, 1.05, 1.3, 2.0}) {
      const auto model = model_of(c.text);
      Stream stream(*model);
      // What was saved up is used up.
      const double rate = c.sustainable * load;
      stream.poisson(rate, 5);
      const double stalled = share_above(stream.poisson(rate, 10), kMillisecond);
      EXPECT_NEAR(stalled, load > 1 ? 1 - 1 / load : 0, 0.01) << c.text << ' ' << load;
    }
  }
}

TEST(SyntheticModelTest, GcTellsItsCyclesAndBytes) {
  const auto model = model_of("gc:bps=500MB,bytes=50KB,headroom=25MB");
  Stream(*model).constant(4000, 10);
  const SyntheticFigures figures = model->figures();
  const double allocated = static_cast<double>(figures.requests) * 50'000;
  EXPECT_NEAR(static_cast<double>(figures.requests), 40'000, 2);
  EXPECT_EQ(figures.heap_alloc_bytes, allocated);
  EXPECT_EQ(figures.gc_cycles, std::floor(allocated / 25e6));
  // 200 MB/s of 500: the collector is busy for 0.4 of the time.
  EXPECT_NEAR(figures.gc_cpu_seconds, 4, 0.001);
  EXPECT_EQ(figures.heap_live_bytes, 25e6);
  for (const char* other : {"none", "md1", "step", "hiccup"}) {
    const auto without = model_of(other);
    without->leave_ns(5);
    EXPECT_EQ(without->figures().requests, 1U) << other;
    EXPECT_EQ(without->figures().gc_cycles, 0) << other;
    EXPECT_EQ(without->figures().heap_alloc_bytes, 0) << other;
  }
}

TEST(SyntheticModelTest, HysteresisIsAsWideAsItSays) {
  const auto model = model_of("hysteresis:up=6000,down=4000,p=0.2");
  Stream stream(*model);
  std::vector<std::pair<double, bool>> seen;
  for (const double rate : {3000.0, 5000.0, 5700.0, 6300.0, 5000.0, 4300.0, 3700.0, 5000.0}) {
    stream.poisson(rate, 2);
    seen.emplace_back(rate, share_above(stream.poisson(rate, 3), kMillisecond) > 0.1);
  }
  const std::vector<std::pair<double, bool>> expected = {
      {3000, false}, {5000, false}, {5700, false}, {6300, true},
      {5000, true},  {4300, true},  {3700, false}, {5000, false}};
  EXPECT_EQ(seen, expected);
}

TEST(SyntheticModelTest, HiccupHoldsAllAndThenLetsGo) {
  const auto model = model_of("hiccup:every=5s,ms=25,us=200");
  const auto sojourn = [&](std::int64_t arrive) { return model->leave_ns(arrive) - arrive; };
  EXPECT_EQ(sojourn(0), 200 * kMicrosecond);  // the first one comes after `every`
  // Its work was interrupted after 50 us.
  EXPECT_EQ(sojourn(5 * kSecond - 50 * kMicrosecond), 200 * kMicrosecond + 25 * kMillisecond);
  EXPECT_EQ(sojourn(5 * kSecond), 25 * kMillisecond + 200 * kMicrosecond);
  EXPECT_EQ(sojourn(5 * kSecond + 10 * kMillisecond), 15 * kMillisecond + 200 * kMicrosecond);
  EXPECT_EQ(sojourn(5 * kSecond + 25 * kMillisecond), 200 * kMicrosecond);
  const auto often = model_of("hiccup:every=10ms,ms=5,us=20ms");
  // 10 ms of work, and 5 ms after each of two pauses.
  EXPECT_EQ(often->leave_ns(0), 30 * kMillisecond);
  const auto hit = model_of("hiccup:every=5s,ms=25");
  const auto sojourns = Stream(*hit).poisson(2000, 100);
  EXPECT_NEAR(share_above(sojourns, 201 * kMicrosecond), 0.005, 0.001);
}

TEST(SyntheticModelTest, LeakGetsSlowerForEver) {
  const auto model = model_of("leak:bytes=1MB,add=10ms,us=100");
  const auto sojourns = Stream(*model).constant(1000, 5);
  EXPECT_EQ(sojourns.front(), 100 * kMicrosecond);
  EXPECT_EQ(sojourns[2000], 100 * kMicrosecond + 20 * kMillisecond);
  EXPECT_TRUE(std::is_sorted(sojourns.begin(), sojourns.end()));
  EXPECT_NEAR(model->figures().heap_live_bytes, 5e9, 2e6);
  const auto huge = model_of("leak:bytes=1TB,add=1h");
  huge->leave_ns(0);
  EXPECT_LE(huge->leave_ns(1), 11 * kSecond);
}

TEST(SyntheticModelTest, NoneIsFlatAtAnyRate) {
  const auto model = model_of("none:us=150");
  for (const std::int64_t sojourn : Stream(*model).poisson(1'000'000, 1)) {
    ASSERT_EQ(sojourn, 150 * kMicrosecond);
  }
}

TEST(SyntheticModelTest, ASeedIsARun) {
  const auto leaves = [](const std::string& text) {
    const auto model = model_of(text);
    std::vector<std::int64_t> result;
    for (std::int64_t i = 0; i < 100; ++i) result.push_back(model->leave_ns(i * kMillisecond));
    return result;
  };
  EXPECT_EQ(leaves("mmc:seed=7"), leaves("mmc:seed=7"));
  EXPECT_NE(leaves("mmc:seed=7"), leaves("mmc:seed=8"));
}

TEST(SyntheticModelTest, TimeThatGoesBackStandsStill) {
  const auto model = model_of("none:us=100");
  EXPECT_EQ(model->leave_ns(1000), 101'000);
  EXPECT_EQ(model->leave_ns(10), 101'000);
}

TEST(SyntheticModelTest, ExtremesDoNotOverflow) {
  for (const char* text :
       {"md1:us=1h", "mmc:c=1,us=1h", "none:cap=0.001", "hiccup:every=1ms,us=1h,ms=0.9",
        "gc:bps=1,bytes=1TiB", "hysteresis:up=0.001,down=0.001,window=1h"}) {
    const auto model = model_of(text);
    std::int64_t last = 0;
    for (int i = 0; i < 3'000'000 && (i < 1000 || text[0] == 'm' || text[5] == 'c'); ++i) {
      last = model->leave_ns(i);
      ASSERT_GE(last, i) << text;
    }
  }
}

TEST(SyntheticModelTest, BadTextIsRefusedAndToldWhatThereIs) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "there are md1 mmc step gc hysteresis hiccup leak none"},
      {"md2:us=200", "there are md1"},
      {"md1:ms=200", "md1 has the parameters us cap seed"},
      {"md1:us", "md1 has the parameters us cap seed"},
      {"md1:us=200,", ""},
      {"md1:,", "md1 has the parameters"},
      {"md1:us=-1", "us=-1"},
      {"md1:us=x", "us=x"},
      {"md1:us=", "us="},
      {"md1:us=200,us=300", "twice"},
      {"md1:us=200,cap=5000", "give one of them"},
      {"mmc:c=0", "c=0"},
      {"mmc:c=1M", "out of range"},
      {"step:p=1.5", "from 0 to 1"},
      {"step:p=x", "from 0 to 1"},
      {"step:bytes=5", "step has the parameters at add p window us cap seed"},
      {"gc:bytes=0", "bytes=0"},
      {"gc:every=5s", "gc has the parameters bps bytes headroom stall us cap seed"},
      {"hysteresis:up=1000,down=2000", "down must not be above up"},
      {"hiccup:every=10ms,ms=10", "0.9"},
  };
  for (const auto& [text, why] : cases) {
    const auto made = make_synthetic_model(text);
    if (why.empty()) {
      EXPECT_TRUE(std::holds_alternative<std::unique_ptr<SyntheticModel>>(made)) << text;
      continue;
    }
    ASSERT_TRUE(std::holds_alternative<std::string>(made)) << text;
    EXPECT_NE(std::get<std::string>(made).find(why), std::string::npos)
        << text << ": " << std::get<std::string>(made);
  }
  for (const char* good :
       {"gc:bps=500MB/s,bytes=64KiB", "hiccup:ms=1.5", "md1:us=1.5ms", "step:p=1"}) {
    EXPECT_TRUE(std::holds_alternative<std::unique_ptr<SyntheticModel>>(make_synthetic_model(good)))
        << good;
  }
}

}  // namespace
}  // namespace tailrace::loadtest
