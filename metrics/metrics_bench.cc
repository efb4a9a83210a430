// What recording costs: one thread, and four at once on the same instrument.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "metrics/bucket_histogram.h"
#include "metrics/counter.h"
#include "metrics/exporter.h"
#include "metrics/gauge.h"
#include "metrics/histogram.h"
#include "metrics/http_instruments.h"
#include "metrics/runtime_collector.h"

namespace tailrace::metrics {
namespace {

// Values that look like latencies, so that branches are as predictable as in a service.
const std::vector<std::uint64_t>& values() {
  static const std::vector<std::uint64_t> list = [] {
    std::vector<std::uint64_t> made(4096);
    std::uint64_t state = 42;
    for (std::uint64_t& value : made) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      value = (state >> 33) >> (8 + (state >> 60));
    }
    return made;
  }();
  return list;
}

void counter_add(benchmark::State& state) {
  static Counter counter;
  for (auto _ : state) {
    counter.add();
  }
}
BENCHMARK(counter_add)->Threads(1)->Threads(4);

void counter_add_with_shard(benchmark::State& state) {
  static Counter counter;
  const Shard shard = current_shard();
  for (auto _ : state) {
    counter.add(1, shard);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(counter_add_with_shard)->Threads(1)->Threads(4);

void gauge_up_and_down(benchmark::State& state) {
  static Gauge gauge;
  for (auto _ : state) {
    gauge.add();
    gauge.sub();
  }
}
BENCHMARK(gauge_up_and_down)->Threads(1)->Threads(4);

void bucket_observe(benchmark::State& state) {
  static BucketHistogram histogram(kDurationBoundsNs);
  const auto& list = values();
  std::size_t i = 0;
  for (auto _ : state) {
    histogram.observe(list[i++ & 4095]);
  }
}
BENCHMARK(bucket_observe)->Threads(1)->Threads(4);

void log_linear_record(benchmark::State& state) {
  Histogram histogram;
  const auto& list = values();
  std::size_t i = 0;
  for (auto _ : state) {
    histogram.record(list[i++ & 4095]);
  }
  benchmark::DoNotOptimize(histogram.count());
}
BENCHMARK(log_linear_record);

void route_observe(benchmark::State& state) {
  static Registry registry;
  static HttpInstruments http(registry);
  static RouteInstruments& route = http.route("/api/users/{id}");
  const auto& list = values();
  std::size_t i = 0;
  for (auto _ : state) {
    const std::uint64_t value = list[i++ & 4095];
    route.observe({.method = 0,
                   .status = 200,
                   .duration_ns = value,
                   .request_bytes = value & 255,
                   .response_bytes = value & 4095,
                   .arena_bytes = value & 65535,
                   .heap_bytes = value & 127,
                   .large_bytes = 0,
                   .alloc_objects = value & 63,
                   .malloc_bytes = value & 31});
  }
}
BENCHMARK(route_observe)->Threads(1)->Threads(4);

// Routes, each with four (method, code) pairs.
void scrape(benchmark::State& state) {
  Registry registry;
  HttpInstruments http(registry);
  for (std::int64_t r = 0; r < state.range(0); ++r) {
    for (unsigned status = 200; status < 204; ++status) {
      http.route("/api/r" + std::to_string(r)).observe({.method = 0, .status = status});
    }
  }
  Exporter exporter(registry);
  std::size_t bytes = 0;
  for (auto _ : state) {
    bytes = exporter.scrape().size();
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(scrape)->Arg(10)->Arg(50)->Unit(benchmark::kMillisecond);

void gather_only(benchmark::State& state) {
  Registry registry;
  HttpInstruments http(registry);
  for (std::int64_t r = 0; r < state.range(0); ++r) {
    for (unsigned status = 200; status < 204; ++status) {
      http.route("/api/r" + std::to_string(r)).observe({.method = 0, .status = status});
    }
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(registry.gather());
  }
}
BENCHMARK(gather_only)->Arg(50)->Unit(benchmark::kMillisecond);

void process_facts(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(read_process_facts());
  }
}
BENCHMARK(process_facts)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace tailrace::metrics
