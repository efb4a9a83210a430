// The text that Prometheus reads, and prometheus-cpp's Collectables in both directions.
#include "metrics/exporter.h"

#include <gtest/gtest.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>
#include <prometheus/summary.h>

#include <stdexcept>
#include <thread>

#include "metrics/http_instruments.h"
#include "metrics/runtime_collector.h"
#include "metrics/scrape_instruments.h"

namespace tailrace::metrics {
namespace {

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(Exporter, WritesNumbersAsPrometheusReadsThem) {
  Registry registry;
  registry.counter({.name = "x_total", .help = "X."}).add(7);
  registry
      .histogram({.name = "wait_seconds", .help = "Wait.", .unit = Unit::kNanoseconds},
                 {100'000, 10'000'000'000})
      .observe(250'000);
  registry.histogram({.name = "body_bytes", .help = "Body.", .unit = Unit::kBytes}, {51200, 204800})
      .observe(51200);
  const std::string text = Exporter(registry).scrape();
  EXPECT_TRUE(has_line(text, "# HELP x_total X."));
  EXPECT_TRUE(has_line(text, "# TYPE x_total counter"));
  EXPECT_TRUE(has_line(text, "x_total 7"));
  EXPECT_TRUE(has_line(text, "wait_seconds_bucket{le=\"0.0001\"} 0"));
  EXPECT_TRUE(has_line(text, "wait_seconds_bucket{le=\"10\"} 1"));
  EXPECT_TRUE(has_line(text, "wait_seconds_bucket{le=\"+Inf\"} 1"));
  EXPECT_TRUE(has_line(text, "wait_seconds_sum 0.00025"));
  EXPECT_TRUE(has_line(text, "wait_seconds_count 1"));
  EXPECT_TRUE(has_line(text, "body_bytes_bucket{le=\"51200\"} 1"));
  EXPECT_TRUE(has_line(text, "body_bytes_bucket{le=\"204800\"} 1"));
}

TEST(Exporter, LabelsAndHelpAreEscaped) {
  Registry registry;
  registry.counters({.name = "x_total", .help = "one\ntwo \\ three", .labels = {"k"}})
      .with({"a\"b\\c\nd"})
      .add();
  const std::string text = Exporter(registry).scrape();
  EXPECT_TRUE(has_line(text, "# HELP x_total one\\ntwo \\\\ three"));
  EXPECT_TRUE(has_line(text, R"(x_total{k="a\"b\\c\nd"} 1)"));
}

TEST(Exporter, GoInfoIsTheFirstFamily) {
  Registry registry;
  registry.counter({.name = "aaa_total", .help = "A."});
  const RuntimeCollector collector(registry, nullptr);
  const std::string text = Exporter(registry).scrape();
  EXPECT_TRUE(text.starts_with("# HELP go_info ")) << text.substr(0, 200);
  EXPECT_TRUE(has_line(text, "go_info{version=\"tailrace-" + version() + "\"} 1"));
  EXPECT_TRUE(has_line(text, "go_gc_gomemlimit_bytes 9.223372036854776e+18"));
  EXPECT_NE(text.find("go_gc_duration_seconds{quantile=\"0.25\"}"), std::string::npos);
  EXPECT_NE(text.find("\ngo_gc_duration_seconds_count "), std::string::npos);
  EXPECT_LT(text.find("aaa_total"), text.find("go_gc_duration_seconds"));
  for (const char* kind : {"handshake", "claim", "assist", "sweep", "stall", "mark"}) {
    const std::string series =
        "tailrace_gc_hold_seconds_bucket{kind=\"" + std::string(kind) + "\",le=";
    EXPECT_NE(text.find("\n" + series + "\"1.024e-06\"} "), std::string::npos) << kind;
    EXPECT_NE(text.find("\n" + series + "\"+Inf\"} "), std::string::npos) << kind;
  }
  EXPECT_NE(text.find("\ntailrace_gc_rounds_bucket{le=\"12\"} "), std::string::npos);
}

TEST(Exporter, UsersCollectablesStandBesideOurs) {
  Registry registry;
  registry.counter({.name = "ours_total", .help = "O."}).add();
  Exporter exporter(registry);
  auto theirs = std::make_shared<prometheus::Registry>();
  prometheus::BuildCounter()
      .Name("theirs_total")
      .Help("T.")
      .Register(*theirs)
      .Add({{"k", "v"}})
      .Increment(3);
  prometheus::BuildHistogram()
      .Name("their_seconds")
      .Help("S.")
      .Register(*theirs)
      .Add({}, prometheus::Histogram::BucketBoundaries{0.5, 1})
      .Observe(0.7);
  prometheus::BuildSummary()
      .Name("their_summary")
      .Help("S.")
      .Register(*theirs)
      .Add({}, prometheus::Summary::Quantiles{{0.5, 0.05}})
      .Observe(2);
  prometheus::BuildGauge().Name("their_level").Help("L.").Register(*theirs).Add({}).Set(-1.5);
  exporter.add(theirs);
  std::string text = exporter.scrape();
  EXPECT_TRUE(has_line(text, "ours_total 1"));
  EXPECT_TRUE(has_line(text, "theirs_total{k=\"v\"} 3"));
  EXPECT_TRUE(has_line(text, "their_seconds_bucket{le=\"0.5\"} 0"));
  EXPECT_TRUE(has_line(text, "their_seconds_bucket{le=\"1\"} 1"));
  EXPECT_TRUE(has_line(text, "their_summary{quantile=\"0.5\"} 2"));
  EXPECT_TRUE(has_line(text, "their_level -1.5"));
  EXPECT_LT(text.find("ours_total"), text.find("their_level"));
  theirs.reset();
  text = exporter.scrape();
  EXPECT_EQ(text.find("theirs_total"), std::string::npos);
  EXPECT_TRUE(has_line(text, "ours_total 1"));
}

class Throwing final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override { throw std::runtime_error("no"); }
};

class BadName final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    prometheus::MetricFamily family;
    family.name = "not a name";
    family.type = prometheus::MetricType::Gauge;
    family.metric.resize(1);
    return {family};
  }
};

TEST(Exporter, ACollectableThatFailsCostsOnlyItself) {
  Registry registry;
  registry.counter({.name = "ours_total", .help = "O."}).add();
  Exporter exporter(registry);
  const auto throwing = std::make_shared<Throwing>();
  const auto bad_name = std::make_shared<BadName>();
  exporter.add(throwing);
  exporter.add(bad_name);
  const std::string text = exporter.scrape();
  EXPECT_TRUE(has_line(text, "ours_total 1"));
  EXPECT_EQ(text.find("not a name"), std::string::npos);
  EXPECT_EQ(registry.collect_errors().value(), 2u);
}

TEST(Exporter, OursIsACollectableForUsersExposers) {
  Registry registry;
  registry.counter({.name = "ours_total", .help = "O."}).add(5);
  Exporter exporter(registry);
  const auto families = exporter.collectable()->Collect();
  bool found = false;
  for (const auto& family : families) {
    found = found || (family.name == "ours_total" && family.metric.at(0).counter.value == 5);
  }
  EXPECT_TRUE(found);
}

TEST(Exporter, ScrapesRunTogetherWithRequests) {
  Registry registry;
  HttpInstruments http(registry);
  const RuntimeCollector collector(registry, nullptr);
  ScrapeInstruments scrapes(registry);
  Exporter exporter(registry);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        for (unsigned i = 0; i < 3000; ++i) {
          http.route("/r" + std::to_string(i % 5))
              .observe({.method = i % 11, .status = 200 + i % 9});
        }
      });
      threads.emplace_back([&] {
        for (int i = 0; i < 10; ++i) {
          scrapes.in_flight.add();
          EXPECT_FALSE(exporter.scrape().empty());
          scrapes.in_flight.sub();
          scrapes.ok.add();
        }
      });
    }
  }
  const std::string text = exporter.scrape();
  EXPECT_TRUE(has_line(text, "promhttp_metric_handler_requests_total{code=\"200\"} 20"));
  EXPECT_TRUE(has_line(text, "promhttp_metric_handler_requests_total{code=\"503\"} 0"));
  EXPECT_TRUE(has_line(text, "promhttp_metric_handler_requests_in_flight 0"));
}

}  // namespace
}  // namespace tailrace::metrics
