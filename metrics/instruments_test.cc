// The registry: families, children and their cap, callbacks, what a gathering holds.
#include "metrics/instruments.h"

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>
#include <thread>

namespace tailrace::metrics {
namespace {

const Series* series_with(const Family* family, std::string_view label, std::string_view value) {
  if (family == nullptr) {
    return nullptr;
  }
  for (const Series& series : family->series) {
    for (const Label& one : series.labels) {
      if (one.name == label && one.value == value) {
        return &series;
      }
    }
  }
  return nullptr;
}

TEST(Registry, GathersWhatWasRecordedInBaseUnits) {
  Registry registry;
  registry.counter({.name = "jobs_total", .help = "Jobs."}).add(3);
  registry.counter({.name = "busy_seconds_total", .help = "Busy.", .unit = Unit::kNanoseconds})
      .add(2'500'000'000);
  registry.gauge({.name = "queue_length", .help = "Queue."}).set(-4);
  registry.real_gauge({.name = "load_ratio", .help = "Load."}).set(0.75);
  registry
      .histogram({.name = "wait_seconds", .help = "Wait.", .unit = Unit::kNanoseconds},
                 {100'000, 250'000})
      .observe(250'000);
  const std::vector<Family> families = registry.gather();
  EXPECT_EQ(find_family(families, "jobs_total")->series[0].value, 3);
  EXPECT_EQ(find_family(families, "busy_seconds_total")->series[0].value, 2.5);
  EXPECT_EQ(find_family(families, "queue_length")->series[0].value, -4);
  EXPECT_EQ(find_family(families, "load_ratio")->series[0].value, 0.75);
  const Family* const wait = find_family(families, "wait_seconds");
  ASSERT_NE(wait, nullptr);
  EXPECT_EQ(wait->kind, Kind::kHistogram);
  EXPECT_EQ(wait->help, "Wait.");
  const Series& series = wait->series[0];
  EXPECT_EQ(series.count, 1u);
  EXPECT_EQ(series.sum, 0.00025);
  using Bucket = std::pair<double, std::uint64_t>;
  EXPECT_EQ(series.buckets,
            (std::vector<Bucket>{
                {0.0001, 0}, {0.00025, 1}, {std::numeric_limits<double>::infinity(), 1}}));
}

TEST(Registry, TheSameDescriptionIsTheSameInstrument) {
  Registry registry;
  Counter& a = registry.counter({.name = "x_total", .help = "X."});
  Counter& b = registry.counter({.name = "x_total", .help = "X."});
  EXPECT_EQ(&a, &b);
  auto& family = registry.counters({.name = "y_total", .help = "Y.", .labels = {"k"}});
  EXPECT_EQ(&family.with({"1"}), &family.with({"1"}));
  EXPECT_NE(&family.with({"1"}), &family.with({"2"}));
}

TEST(Registry, ChildrenBeyondTheCapShareOneAndAreCounted) {
  Registry registry;
  auto& family =
      registry.counters({.name = "x_total", .help = "X.", .labels = {"k", "m"}, .max_children = 2});
  family.with({"1", "a"}).add();
  family.with({"2", "a"}).add();
  Counter& other = family.with({"3", "a"});
  EXPECT_EQ(&other, &family.with({"4", "b"}));
  other.add(5);
  family.with({"1", "a"}).add();
  const std::vector<Family> families = registry.gather();
  const Family* const x = find_family(families, "x_total");
  EXPECT_EQ(x->series.size(), 3u);
  EXPECT_EQ(series_with(x, "k", "1")->value, 2);
  EXPECT_EQ(series_with(x, "k", "(other)")->value, 5);
  EXPECT_EQ(series_with(x, "m", "(other)")->value, 5);
  const Family* const dropped = find_family(families, "tailrace_metrics_dropped_children_total");
  EXPECT_EQ(series_with(dropped, "family", "x_total")->value, 2);
}

TEST(Registry, LabelValuesAreCleaned) {
  Registry registry;
  auto& family = registry.gauges({.name = "x", .help = "X.", .labels = {"k"}});
  EXPECT_EQ(&family.with({"a\xFF"}), &family.with({"a\xFE"}));
}

TEST(Registry, GoInfoComesFirstThenNames) {
  Registry registry;
  registry.counter({.name = "zz_total", .help = "Z."});
  registry.counter({.name = "aa_total", .help = "A."});
  const Registration go = registry.source([](std::vector<Family>& families) {
    families.push_back({"mm", "M.", Kind::kGauge, {Series{}}});
    families.push_back({"go_info", "Info.", Kind::kGauge, {Series{}}});
  });
  const std::vector<Family> families = registry.gather();
  ASSERT_GE(families.size(), 4u);
  EXPECT_EQ(families[0].name, "go_info");
  for (std::size_t i = 2; i < families.size(); ++i) {
    EXPECT_LT(families[i - 1].name, families[i].name);
  }
}

TEST(Registry, CallbacksRunUntilTheirRegistrationEnds) {
  Registry registry;
  {
    double value = 1.5;
    const Registration kept =
        registry.callback({.name = "x", .help = "X."}, [&value] { return value; });
    EXPECT_EQ(find_family(registry.gather(), "x")->series[0].value, 1.5);
    value = 2;
    EXPECT_EQ(find_family(registry.gather(), "x")->series[0].value, 2);
  }
  EXPECT_EQ(find_family(registry.gather(), "x"), nullptr);
}

TEST(Registry, RegistrationsMove) {
  Registry registry;
  Registration a = registry.callback({.name = "a", .help = "A."}, [] { return 1.0; });
  Registration b = registry.callback({.name = "b", .help = "B."}, [] { return 1.0; });
  b = std::move(a);
  const std::vector<Family> families = registry.gather();
  EXPECT_NE(find_family(families, "a"), nullptr);
  EXPECT_EQ(find_family(families, "b"), nullptr);
}

TEST(Registry, ACallbackThatThrowsIsLeftOutAndCounted) {
  Registry registry;
  registry.counter({.name = "good_total", .help = "G."}).add();
  const Registration bad = registry.source([](std::vector<Family>& families) {
    families.push_back({"half", "H.", Kind::kGauge, {Series{}}});
    throw std::runtime_error("no");
  });
  std::vector<Family> families = registry.gather();
  EXPECT_EQ(find_family(families, "half"), nullptr);
  EXPECT_NE(find_family(families, "good_total"), nullptr);
  EXPECT_EQ(registry.collect_errors().value(), 1u);
}

TEST(Registry, FamiliesOfOneNameMergeAndClashesAreLeftOut) {
  std::vector<Family> families;
  const auto labelled = [](const char* value) {
    Series series;
    series.labels = {{"k", value}};
    return series;
  };
  families.push_back({"x", "first", Kind::kGauge, {labelled("1")}});
  families.push_back({"x", "second", Kind::kGauge, {labelled("2"), labelled("1")}});
  families.push_back({"x", "third", Kind::kCounter, {labelled("3")}});
  families.push_back({"empty", "none", Kind::kCounter, {}});
  EXPECT_EQ(arrange(families), 2u);
  ASSERT_EQ(families.size(), 1u);
  EXPECT_EQ(families[0].help, "first");
  ASSERT_EQ(families[0].series.size(), 2u);
  EXPECT_EQ(families[0].series[1].labels[0].value, "2");
}

TEST(Registry, GathersWhileChildrenAreMadeAndRecorded) {
  Registry registry;
  auto& family = registry.counters({.name = "x_total", .help = "X.", .labels = {"k"}});
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&family] {
        for (int i = 0; i < 300; ++i) {
          family.with({std::to_string(i)}).add();
        }
      });
    }
    for (int i = 0; i < 50; ++i) {
      registry.gather();
    }
  }
  double total = 0;
  const std::vector<Family> families = registry.gather();
  for (const Series& series : find_family(families, "x_total")->series) {
    total += series.value;
  }
  EXPECT_EQ(total, 1200);
}

using RegistryDeathTest = ::testing::Test;

TEST(RegistryDeathTest, WrongDescriptionsStopWithTheName) {
  Registry registry;
  EXPECT_DEATH(registry.counter({.name = "a-b", .help = "X."}), "metric 'a-b'");
  EXPECT_DEATH(registry.counter({.name = "a", .help = ""}), "help");
  EXPECT_DEATH(registry.counters({.name = "a", .help = "A.", .labels = {"__x"}}), "label");
  EXPECT_DEATH(registry.counters({.name = "a", .help = "A.", .labels = {"x", "x"}}), "twice");
  EXPECT_DEATH(registry.histogram({.name = "a_count", .help = "A."}, {1}), "suffix");
}

TEST(RegistryDeathTest, ANameStandsForOneThing) {
  Registry registry;
  registry.counter({.name = "x", .help = "X."});
  EXPECT_DEATH(registry.gauge({.name = "x", .help = "X."}), "something else");
  EXPECT_DEATH(registry.counter({.name = "x", .help = "Other."}), "something else");
  EXPECT_DEATH(registry.counters({.name = "x", .help = "X.", .labels = {"k"}}), "something else");
  registry.histogram({.name = "h", .help = "H."}, {1, 2});
  EXPECT_DEATH(registry.histogram({.name = "h", .help = "H."}, {1, 3}), "other bounds");
}

TEST(RegistryDeathTest, AChildNeedsAsManyValuesAsLabels) {
  Registry registry;
  auto& family = registry.counters({.name = "x_total", .help = "X.", .labels = {"k"}});
  EXPECT_DEATH(family.with({}), "one value for each label");
}

}  // namespace
}  // namespace tailrace::metrics
