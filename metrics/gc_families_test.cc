// The collector's families from made-up snapshots.
#include "metrics/gc_families.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "metrics/test_families.h"

namespace tailrace::metrics {
namespace {

RuntimeSnapshot example() {
  RuntimeSnapshot s;
  s.cycles.rounds[1] = 5;
  s.cycles.rounds[2] = 3;
  s.cycles.rounds[11] = 1;
  s.cycles.rounds[15] = 2;
  s.cycles.rounds_total = 10 + 9 + 12 + 40;
  s.cycles.fibers_held = 4;
  s.cycles.marked_bytes = 4096;
  s.cycles.marked_objects = 64;
  s.cycles.cpu_ns = {1'000'000'000, 2'000'000'000, 500'000'000, 250'000'000, 125'000'000};
  s.finalizers = {.watched = 9,
                  .finalizers_queued = 8,
                  .finalizers_executed = 7,
                  .cleanups_queued = 6,
                  .cleanups_executed = 5};
  s.holds.resize(gc::kHoldKinds);
  gc::HoldCounts& handshakes = s.holds[static_cast<std::size_t>(gc::HoldKind::kHandshake)];
  for (const std::int64_t ns : {100, 256, 257, 1024, 60'000, 2'000'000'000}) {
    ++handshakes.counts[gc::HoldCounts::bucket_of(ns)];
    handshakes.total_ns += static_cast<std::uint64_t>(ns);
  }
  s.holds[static_cast<std::size_t>(gc::HoldKind::kAssist)].counts[7] = 3;
  return s;
}

std::vector<Label> of_kind(const std::string& kind) {
  return kind.empty() ? std::vector<Label>{} : std::vector<Label>{{"kind", kind}};
}

double value(const std::vector<Family>& families, std::string_view name,
             const std::string& kind = {}) {
  return series_value(families, name, of_kind(kind));
}

std::uint64_t up_to(const Series& series, double bound) {
  for (const auto& [upper, count] : series.buckets) {
    if (upper == bound) {
      return count;
    }
  }
  ADD_FAILURE() << "no bucket " << bound;
  return 0;
}

TEST(GcFamilies, HoldsAreHistogramsByKind) {
  std::vector<Family> families;
  add_gc_families(families, example());
  const Series* const series =
      find_series(families, "tailrace_gc_hold_seconds", of_kind("handshake"));
  ASSERT_NE(series, nullptr);
  EXPECT_EQ(series->count, 6u);
  EXPECT_DOUBLE_EQ(series->sum, 2.000061637);
  EXPECT_EQ(up_to(*series, 2.56e-7), 2u);
  EXPECT_EQ(up_to(*series, 5.12e-7), 3u);
  EXPECT_EQ(up_to(*series, 1.024e-6), 4u);
  EXPECT_EQ(up_to(*series, 65.536e-6), 5u);
  EXPECT_EQ(up_to(*series, 1.073741824), 5u);
  ASSERT_TRUE(std::isinf(series->buckets.back().first));
  EXPECT_EQ(series->buckets.back().second, 6u);
  double last = 0;
  for (const auto& bucket : series->buckets) {
    EXPECT_GT(bucket.first, last);
    last = bucket.first;
  }
  for (const char* kind : {"claim", "assist", "sweep", "stall", "mark"}) {
    EXPECT_NE(find_series(families, "tailrace_gc_hold_seconds", of_kind(kind)), nullptr) << kind;
  }
  EXPECT_EQ(value(families, "tailrace_gc_assists_total"), 3);
}

TEST(GcFamilies, RoundsAreAHistogramOverCycles) {
  std::vector<Family> families;
  add_gc_families(families, example());
  const Series* const series = find_series(families, "tailrace_gc_rounds");
  ASSERT_NE(series, nullptr);
  EXPECT_EQ(series->count, 11u);
  EXPECT_EQ(series->sum, 71);
  EXPECT_EQ(up_to(*series, 1), 0u);
  EXPECT_EQ(up_to(*series, 2), 5u);
  EXPECT_EQ(up_to(*series, 8), 8u);
  EXPECT_EQ(up_to(*series, 12), 9u);
  EXPECT_EQ(series->buckets.back().second, 11u);
  EXPECT_TRUE(std::isinf(series->buckets.back().first));
}

TEST(GcFamilies, CpuTimeAddsUp) {
  std::vector<Family> families;
  add_go_gc_families(families, example());
  add_gc_families(families, example());
  const auto go = [&](const std::string& name) {
    return value(families, "go_cpu_classes_gc_" + name + "_cpu_seconds_total");
  };
  EXPECT_EQ(go("mark_assist"), 1);
  EXPECT_EQ(go("mark_dedicated"), 2.125);
  EXPECT_EQ(go("mark_assist") + go("mark_dedicated") + go("mark_idle") + go("pause"), go("total"));
  double sum = 0;
  for (const char* kind : {"assist", "background", "idle", "pause", "sweep"}) {
    sum += value(families, "tailrace_gc_cpu_seconds_total", kind);
  }
  EXPECT_EQ(sum, go("total"));
  EXPECT_EQ(value(families, "tailrace_gc_assist_seconds_total"), 1);
}

TEST(GcFamilies, CountersTellWhatTheSnapshotSays) {
  std::vector<Family> families;
  add_go_gc_families(families, example());
  add_gc_families(families, example());
  EXPECT_EQ(value(families, "tailrace_gc_held_fibers_total"), 4);
  EXPECT_EQ(value(families, "tailrace_gc_marked_bytes_total"), 4096);
  EXPECT_EQ(value(families, "tailrace_gc_marked_objects_total"), 64);
  EXPECT_EQ(value(families, "go_gc_finalizers_queued_finalizers_total"), 8);
  EXPECT_EQ(value(families, "go_gc_finalizers_executed_finalizers_total"), 7);
  EXPECT_EQ(value(families, "go_gc_cleanups_queued_cleanups_total"), 6);
  EXPECT_EQ(value(families, "go_gc_cleanups_executed_cleanups_total"), 5);
}

TEST(GcFamilies, WhatWentBackToTheOsAndWhatThatCost) {
  RuntimeSnapshot snapshot = example();
  snapshot.scavenge = {
      .released_bytes = 8192, .background_cpu_ns = 500'000'000, .assist_cpu_ns = 250'000'000};
  std::vector<Family> families;
  add_go_gc_families(families, snapshot);
  add_gc_families(families, snapshot);
  EXPECT_EQ(value(families, "tailrace_gc_released_bytes_total"), 8192);
  const auto go = [&](const std::string& name) {
    return value(families, "go_cpu_classes_scavenge_" + name + "_cpu_seconds_total");
  };
  EXPECT_EQ(go("background"), 0.5);
  EXPECT_EQ(go("assist"), 0.25);
  EXPECT_EQ(go("total"), 0.75);
}

TEST(GcFamilies, TheSustainableRateIsToldOnceItIsKnown) {
  constexpr const char* kName = "tailrace_gc_sustainable_alloc_bytes_per_second";
  RuntimeSnapshot snapshot = example();
  std::vector<Family> families;
  add_gc_families(families, snapshot);
  EXPECT_EQ(find_family(families, kName), nullptr);
  snapshot.memory.sustainable_alloc_bytes_per_second = 5e8;
  families.clear();
  add_gc_families(families, snapshot);
  EXPECT_EQ(value(families, kName), 5e8);
  EXPECT_EQ(find_family(families, kName)->kind, Kind::kGauge);
}

TEST(GcFamilies, UnknownHoldsAreNotExported) {
  std::vector<Family> families;
  add_gc_families(families, RuntimeSnapshot());
  EXPECT_EQ(find_family(families, "tailrace_gc_hold_seconds"), nullptr);
  EXPECT_EQ(find_family(families, "tailrace_gc_assists_total"), nullptr);
  const Series* const rounds = find_series(families, "tailrace_gc_rounds");
  ASSERT_NE(rounds, nullptr);
  EXPECT_EQ(rounds->count, 0u);
}

}  // namespace
}  // namespace tailrace::metrics
