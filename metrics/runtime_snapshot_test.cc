// Snapshots of a runtime that runs, and recording from fibers that move between workers.
#include "metrics/runtime_snapshot.h"

#include <gtest/gtest.h>

#include <vector>

#include "metrics/counter.h"
#include "metrics/gauge.h"
#include "metrics/http_instruments.h"
#include "metrics/read.h"
#include "metrics/runtime_collector.h"

namespace tailrace::metrics {
namespace {

class RuntimeSnapshotTest : public ::testing::TestWithParam<unsigned> {};

TEST_P(RuntimeSnapshotTest, FibersThatMoveBetweenWorkersLoseNothing) {
  constexpr int kFibers = 64;
  constexpr int kRounds = 200;
  Registry registry;
  HttpInstruments http(registry);
  RouteInstruments& route = http.route("/r");
  Counter counter;
  Gauge gauge;
  fiber::Scheduler scheduler({.workers = GetParam()});
  scheduler.start();
  std::vector<fiber::JoinHandle> fibers;
  for (int i = 0; i < kFibers; ++i) {
    fibers.push_back(scheduler.spawn([&] {
      for (int round = 0; round < kRounds; ++round) {
        gauge.add();
        fiber::yield();
        counter.add();
        route.observe({.method = 0, .status = 200, .arena_bytes = 3});
        gauge.sub();
      }
    }));
  }
  scheduler.stop();
  EXPECT_EQ(counter.value(), static_cast<std::uint64_t>(kFibers) * kRounds);
  EXPECT_EQ(gauge.value(), 0);
  const std::vector<Family> families = registry.gather();
  EXPECT_EQ(find_family(families, "http_requests_total")->series.at(0).value, kFibers * kRounds);
}

TEST_P(RuntimeSnapshotTest, TellsTheSchedulersNumbers) {
  fiber::Scheduler scheduler({.workers = GetParam()});
  scheduler.start();
  Registry registry;
  const RuntimeCollector collector(registry, &scheduler);
  scheduler.run([&] {
    const std::vector<Family> families = registry.gather();
    EXPECT_EQ(find_family(families, "go_sched_gomaxprocs_threads")->series[0].value, GetParam());
    EXPECT_GE(find_family(families, "go_goroutines")->series[0].value, 1);
    EXPECT_GE(
        find_family(families, "go_sched_goroutines_created_goroutines_total")->series[0].value, 1);
    EXPECT_GE(find_family(families, "go_threads")->series[0].value, GetParam());
    EXPECT_EQ(read("/sched/gomaxprocs:threads").value(), GetParam());
  });
  scheduler.stop();
}

INSTANTIATE_TEST_SUITE_P(Workers, RuntimeSnapshotTest, ::testing::Values(1u, 2u, 4u));

}  // namespace
}  // namespace tailrace::metrics
