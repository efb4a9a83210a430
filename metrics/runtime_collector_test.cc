// The runtime collector as a pure function: names, values and identities from made-up snapshots.
#include "metrics/runtime_collector.h"

#include <gtest/gtest.h>

#include <cmath>

#include <set>
#include <string>

namespace tailrace::metrics {
namespace {

RuntimeSnapshot example() {
  RuntimeSnapshot s;
  gc::MemStats& m = s.memory;
  m.total_alloc = 9000;
  m.mallocs = 300;
  m.frees = 200;
  m.heap_objects = 100;
  m.heap_alloc = 4000;
  m.heap_inuse = 5000;
  m.heap_idle = 3000;
  m.heap_sys = 8000;
  m.heap_released = 1000;
  m.stack_inuse = 600;
  m.stack_sys = 700;
  m.mspan_inuse = 50;
  m.mspan_sys = 60;
  m.mcache_inuse = 20;
  m.mcache_sys = 30;
  m.gc_sys = 40;
  m.other_sys = 70;
  m.sys = 8900;
  m.next_gc = 7777;
  m.heap_live = 3333;
  m.num_gc = 10;
  m.num_forced_gc = 4;
  m.last_gc_unix_ns = 1'700'000'000'500'000'000;
  m.pause_total_ns = 15'000;
  m.gc_cpu_fraction = 0.125;
  s.cycles.cpu_ns = {500'000'000, 1'000'000'000, 250'000'000, 150'000'000, 600'000'000};
  m.pauses_ns = {5000, 1000, 4000, 2000, 3000};
  m.pause_count = 5;
  s.scheduler.workers = 4;
  s.scheduler.fibers = 30;
  s.scheduler.fibers_running = 2;
  s.scheduler.fibers_runnable = 3;
  s.scheduler.fibers_created = 1000;
  s.scheduler.steals = 12;
  s.scheduler.long_slices = 6;
  s.scheduler.stack_faults = 21;
  s.scheduler.stacks_trimmed = 22;
  s.scheduler.stack_bytes_trimmed = 23 * 4096;
  s.scheduler.stacks_unguarded = 24;
  s.blocking = {.threads = 7, .idle = 3, .queued = 25, .ran = 26, .ran_inline = 27};
  s.scheduler.waits[2] = 10;                       // up to 1.024 us
  s.scheduler.waits[fiber::kWaitBuckets - 1] = 1;  // above 8.6 s
  s.scheduler.waits_total_ns = 9'500'000'000;
  s.scheduler.steal_misses = 34;
  s.scheduler.stack_bytes_in_use = 1 << 20;
  s.process.threads = 9;
  s.process.cpu_seconds = 1.25;
  s.process.open_fds = 11;
  s.freed_bytes = 5000;
  return s;
}

const Series& only(const std::vector<Family>& families, std::string_view name) {
  const Family* const family = find_family(families, name);
  if (family == nullptr || family->series.size() != 1) {
    ADD_FAILURE() << name << " is not there once";
    static const Series none;
    return none;
  }
  return family->series[0];
}
double value(const std::vector<Family>& families, std::string_view name) {
  return only(families, name).value;
}

// Go's default set, by type: what dashboards for Go query.
constexpr const char* kGoGauges[] = {"go_goroutines",
                                     "go_threads",
                                     "go_info",
                                     "go_memstats_alloc_bytes",
                                     "go_memstats_sys_bytes",
                                     "go_memstats_heap_alloc_bytes",
                                     "go_memstats_heap_sys_bytes",
                                     "go_memstats_heap_idle_bytes",
                                     "go_memstats_heap_inuse_bytes",
                                     "go_memstats_heap_released_bytes",
                                     "go_memstats_heap_objects",
                                     "go_memstats_stack_inuse_bytes",
                                     "go_memstats_stack_sys_bytes",
                                     "go_memstats_mspan_inuse_bytes",
                                     "go_memstats_mspan_sys_bytes",
                                     "go_memstats_mcache_inuse_bytes",
                                     "go_memstats_mcache_sys_bytes",
                                     "go_memstats_buck_hash_sys_bytes",
                                     "go_memstats_gc_sys_bytes",
                                     "go_memstats_other_sys_bytes",
                                     "go_memstats_next_gc_bytes",
                                     "go_memstats_last_gc_time_seconds",
                                     "go_memstats_gc_cpu_fraction",
                                     "go_gc_gogc_percent",
                                     "go_gc_gomemlimit_bytes",
                                     "go_sched_gomaxprocs_threads",
                                     "go_gc_heap_goal_bytes",
                                     "go_gc_heap_live_bytes",
                                     "go_gc_heap_objects_objects",
                                     "go_sched_goroutines_goroutines",
                                     "go_sched_goroutines_running_goroutines",
                                     "go_sched_goroutines_runnable_goroutines",
                                     "go_sched_goroutines_waiting_goroutines"};
constexpr const char* kGoCounters[] = {"go_memstats_alloc_bytes_total",
                                       "go_memstats_mallocs_total",
                                       "go_memstats_frees_total",
                                       "go_gc_cycles_automatic_gc_cycles_total",
                                       "go_gc_cycles_forced_gc_cycles_total",
                                       "go_gc_cycles_total_gc_cycles_total",
                                       "go_gc_heap_allocs_bytes_total",
                                       "go_gc_heap_allocs_objects_total",
                                       "go_gc_heap_frees_bytes_total",
                                       "go_gc_heap_frees_objects_total",
                                       "go_sched_goroutines_created_goroutines_total"};

TEST(RuntimeCollector, HasEveryNameOfGosDefaultSet) {
  const std::vector<Family> families = gather(example());
  for (const char* name : kGoGauges) {
    ASSERT_NE(find_family(families, name), nullptr) << name;
    EXPECT_EQ(find_family(families, name)->kind, Kind::kGauge) << name;
  }
  for (const char* name : kGoCounters) {
    ASSERT_NE(find_family(families, name), nullptr) << name;
    EXPECT_EQ(find_family(families, name)->kind, Kind::kCounter) << name;
  }
  EXPECT_EQ(families[0].name, "go_info");
  EXPECT_EQ(families[0].series[0].labels,
            (std::vector<Label>{{"version", "tailrace-" + version()}}));
}

TEST(RuntimeCollector, NamesStandOnceAndHaveHelp) {
  std::set<std::string> seen;
  for (const Family& family : gather(example())) {
    EXPECT_TRUE(seen.insert(family.name).second) << family.name;
    EXPECT_FALSE(family.help.empty()) << family.name;
    EXPECT_FALSE(family.series.empty()) << family.name;
  }
}

TEST(RuntimeCollector, TellsWhatTheSnapshotSays) {
  const std::vector<Family> families = gather(example());
  EXPECT_EQ(value(families, "go_goroutines"), 30);
  EXPECT_EQ(value(families, "go_threads"), 9);
  EXPECT_EQ(value(families, "go_memstats_alloc_bytes_total"), 9000);
  EXPECT_EQ(value(families, "go_memstats_next_gc_bytes"), 7777);
  EXPECT_EQ(value(families, "go_memstats_last_gc_time_seconds"), 1'700'000'000.5);
  EXPECT_EQ(value(families, "go_memstats_gc_cpu_fraction"), 0.125);
  EXPECT_EQ(value(families, "go_gc_cycles_automatic_gc_cycles_total"), 6);
  EXPECT_EQ(value(families, "go_gc_cycles_forced_gc_cycles_total"), 4);
  EXPECT_EQ(value(families, "go_gc_cycles_total_gc_cycles_total"), 10);
  EXPECT_EQ(value(families, "go_gc_heap_live_bytes"), 3333);
  EXPECT_EQ(value(families, "go_gc_heap_frees_bytes_total"), 5000);
  EXPECT_EQ(value(families, "go_cpu_classes_gc_total_cpu_seconds_total"), 2.5);
  EXPECT_EQ(value(families, "go_sched_gomaxprocs_threads"), 4);
  EXPECT_EQ(value(families, "go_sched_goroutines_waiting_goroutines"), 25);
  EXPECT_EQ(value(families, "tailrace_sched_long_slices_total"), 6);
  const Family* const waits = find_family(families, "go_sched_latencies_seconds");
  ASSERT_NE(waits, nullptr);
  ASSERT_EQ(waits->kind, Kind::kHistogram);
  const Series& waited = waits->series[0];
  EXPECT_EQ(waited.count, 11u);
  EXPECT_EQ(waited.sum, 9.5);
  ASSERT_EQ(waited.buckets.size(), fiber::kWaitBuckets);
  EXPECT_EQ(waited.buckets[1].second, 0u);
  EXPECT_EQ(waited.buckets[2].first, 1.024e-6);
  EXPECT_EQ(waited.buckets[2].second, 10u);
  EXPECT_EQ(waited.buckets[fiber::kWaitBuckets - 2].second, 10u);
  EXPECT_EQ(waited.buckets.back().second, 11u);
  EXPECT_TRUE(std::isinf(waited.buckets.back().first));
  EXPECT_EQ(value(families, "process_cpu_seconds_total"), 1.25);
  EXPECT_EQ(value(families, "process_open_fds"), 11);
  const Family* const steals = find_family(families, "tailrace_sched_steals_total");
  ASSERT_NE(steals, nullptr);
  EXPECT_EQ(steals->series[0].labels[0], (Label{"result", "ok"}));
  EXPECT_EQ(steals->series[0].value, 12);
  EXPECT_EQ(steals->series[1].value, 34);
}

TEST(RuntimeCollector, TellsOfStacksAndBlockingCalls) {
  const std::vector<Family> families = gather(example());
  EXPECT_EQ(value(families, "tailrace_fiber_stack_faults_total"), 21);
  EXPECT_EQ(value(families, "tailrace_fiber_stacks_trimmed_total"), 22);
  EXPECT_EQ(value(families, "tailrace_fiber_stack_trimmed_bytes_total"), 23 * 4096);
  EXPECT_EQ(value(families, "tailrace_fiber_stacks_unguarded"), 24);
  EXPECT_EQ(value(families, "tailrace_blocking_queued_calls"), 25);
  const Family* const threads = find_family(families, "tailrace_blocking_threads");
  ASSERT_NE(threads, nullptr);
  EXPECT_EQ(threads->kind, Kind::kGauge);
  EXPECT_EQ(threads->series[0].labels[0], (Label{"state", "busy"}));
  EXPECT_EQ(threads->series[0].value, 4);
  EXPECT_EQ(threads->series[1].value, 3);
  const Family* const calls = find_family(families, "tailrace_blocking_calls_total");
  ASSERT_NE(calls, nullptr);
  EXPECT_EQ(calls->kind, Kind::kCounter);
  EXPECT_EQ(calls->series[0].value, 26);
  EXPECT_EQ(calls->series[1].value, 27);
}

TEST(RuntimeCollector, UnknownProcessFactsAreNotExported) {
  RuntimeSnapshot s = example();
  s.process = {};
  const std::vector<Family> families = gather(s);
  for (const Family& family : families) {
    EXPECT_FALSE(family.name.starts_with("process_")) << family.name;
  }
  EXPECT_EQ(find_family(families, "go_threads"), nullptr);
}

void check_identities(const RuntimeSnapshot& snapshot) {
  const std::vector<Family> f = gather(snapshot);
  const auto v = [&](const char* name) { return value(f, std::string("go_memstats_") + name); };
  EXPECT_EQ(v("heap_sys_bytes"), v("heap_inuse_bytes") + v("heap_idle_bytes"));
  EXPECT_EQ(v("sys_bytes"), v("heap_sys_bytes") + v("stack_sys_bytes") + v("mspan_sys_bytes") +
                                v("mcache_sys_bytes") + v("buck_hash_sys_bytes") +
                                v("gc_sys_bytes") + v("other_sys_bytes"));
  EXPECT_EQ(v("heap_objects"), v("mallocs_total") - v("frees_total"));
  EXPECT_EQ(v("heap_alloc_bytes"), v("alloc_bytes"));
  EXPECT_GE(v("heap_idle_bytes"), v("heap_released_bytes"));
  double classes = 0;
  int count = 0;
  for (const Family& family : f) {
    if (family.name.starts_with("go_memory_classes_")) {
      EXPECT_GE(family.series[0].value, 0) << family.name;
      classes += family.series[0].value;
      ++count;
    }
  }
  EXPECT_EQ(count, 14);
  EXPECT_EQ(classes - v("sys_bytes"), v("sys_bytes"));  // the total is among them
  const auto c = [&](const char* name) {
    return value(f, std::string("go_memory_classes_heap_") + name);
  };
  EXPECT_EQ(v("heap_idle_bytes"), c("released_bytes") + c("free_bytes"));
  EXPECT_EQ(v("heap_inuse_bytes"), c("objects_bytes") + c("unused_bytes"));
}

TEST(RuntimeCollector, GosIdentitiesHold) {
  check_identities(example());
  check_identities(RuntimeSnapshot());
}

TEST(RuntimeCollector, GosIdentitiesHoldWhenLevelsMovedWhileTheyWereRead) {
  RuntimeSnapshot s = example();
  s.memory.heap_sys = 1;
  s.memory.sys = 2;
  s.memory.heap_released = s.memory.heap_idle + 5;
  s.memory.heap_alloc = s.memory.heap_inuse + 6;
  s.memory.heap_objects = s.memory.mallocs + 7;
  s.memory.stack_inuse = s.memory.stack_sys + 8;
  s.memory.mspan_inuse = s.memory.mspan_sys + 9;
  s.memory.mcache_inuse = s.memory.mcache_sys + 10;
  check_identities(s);
  s.scheduler.fibers_running = 50;
  EXPECT_EQ(value(gather(s), "go_sched_goroutines_waiting_goroutines"), 0);
}

TEST(RuntimeCollector, QuantilesComeFromTheRingOfPauses) {
  const std::vector<Family> families = gather(example());
  const Series& series = only(families, "go_gc_duration_seconds");
  using Quantile = std::pair<double, double>;
  EXPECT_EQ(series.quantiles,
            (std::vector<Quantile>{{0, 1e-6}, {0.25, 2e-6}, {0.5, 3e-6}, {0.75, 4e-6}, {1, 5e-6}}));
  EXPECT_EQ(series.count, 10u);
  EXPECT_EQ(series.sum, 15e-6);
}

TEST(RuntimeCollector, QuantilesOfNoAndOfOnePause) {
  RuntimeSnapshot s;
  const auto check = [&s](double expected) {
    const std::vector<Family> families = gather(s);
    const Series& series = only(families, "go_gc_duration_seconds");
    EXPECT_EQ(series.quantiles.size(), 5u);
    for (const auto& [quantile, seconds] : series.quantiles) {
      EXPECT_EQ(seconds, expected) << quantile;
    }
  };
  check(0);
  s.memory.pauses_ns[0] = 7000;
  s.memory.pause_count = 1;
  check(7e-6);
}

TEST(RuntimeCollector, KnobsThatAreOffReadAsInGo) {
  RuntimeSnapshot s = example();
  EXPECT_EQ(value(gather(s), "go_gc_gogc_percent"), 100);
  EXPECT_EQ(value(gather(s), "go_gc_gomemlimit_bytes"), 9.223372036854776e+18);
  s.memory.gc_percent = -1;
  s.memory.memory_limit = 1 << 30;
  EXPECT_EQ(value(gather(s), "go_gc_gogc_percent"), 1.8446744073709552e+19);
  EXPECT_EQ(value(gather(s), "go_gc_gomemlimit_bytes"), 1 << 30);
}

TEST(RuntimeCollector, GoNamesCanBeSwitchedOff) {
  for (const Family& family : gather(example(), {.go_metrics = false})) {
    EXPECT_FALSE(family.name.starts_with("go_")) << family.name;
  }
  EXPECT_NE(find_family(gather(example(), {.go_metrics = false}), "tailrace_build_info"), nullptr);
  ::setenv("TAILRACE_GO_METRICS", "0", 1);
  EXPECT_FALSE(runtime_collector_options_from_environment().go_metrics);
  ::setenv("TAILRACE_GO_METRICS", "1", 1);
  EXPECT_TRUE(runtime_collector_options_from_environment().go_metrics);
  ::unsetenv("TAILRACE_GO_METRICS");
  EXPECT_TRUE(runtime_collector_options_from_environment().go_metrics);
}

TEST(RuntimeCollector, GathersAtEachScrapeOfItsRegistry) {
  Registry registry;
  {
    const RuntimeCollector collector(registry, nullptr);
    const std::vector<Family> families = registry.gather();
    EXPECT_EQ(families[0].name, "go_info");
    EXPECT_GT(value(families, "process_cpu_seconds_total"), 0);
    check_identities(take_snapshot(nullptr));
  }
  EXPECT_EQ(find_family(registry.gather(), "go_info"), nullptr);
}

TEST(RuntimeCollector, FreedBytesNeverRunBackwards) {
  std::uint64_t last = 0;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t now = take_snapshot(nullptr).freed_bytes;
    ASSERT_GE(now, last);
    last = now;
  }
}

}  // namespace
}  // namespace tailrace::metrics
