// What people read, made of what was measured: percentiles that have enough requests behind them, rates,
// the server's work for one request. Every output (text, CSV, JSON, page) takes its numbers from here, so
// that they agree.
//
// Plain functions without state. NaN: not known, or not enough requests to say.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "loadtest/result.h"

namespace tailrace::loadtest {

struct Percentile {
  std::string_view name;
  double percent;
};
inline constexpr std::array<Percentile, 7> kPercentiles = {{{"P50", 50},
                                                            {"P75", 75},
                                                            {"P90", 90},
                                                            {"P99", 99},
                                                            {"P99.9", 99.9},
                                                            {"P99.99", 99.99},
                                                            {"max", 100}}};

// How many requests lie beyond the percentile. Below one, its value is the largest one's and means nothing;
// below kFewBeyond, the next run may well give another.
double beyond(std::uint64_t count, double percent);
inline constexpr double kFewBeyond = 10;

// NaN if less than one request lies beyond; infinity as in Latencies.
double percentile_ns(const Latencies& latencies, double percent);

struct Spans {
  Latencies response;
  Latencies lateness;
  Latencies client_queue;
  Latencies service;
};
struct ServerRates {
  double gc_cycles_per_second = ServerFigures::kNone;
  double alloc_bytes_per_second = ServerFigures::kNone;
  double alloc_bytes_per_request = ServerFigures::kNone;
  double heap_bytes_per_request = ServerFigures::kNone;
  double cpu_ns_per_request = ServerFigures::kNone;
  double gc_cpu_share = ServerFigures::kNone;  // of the process's CPU time
  bool known() const;
};
// `seconds`: where the server's own readings tell no time.
ServerRates server_rates(const ServerFigures& server, double seconds);

struct MeasurementFigures {
  Spans spans;              // of the clean seconds
  bool all_voided = false;  // there is no clean second: the spans are of the voided ones
  Counts counts;            // of all seconds
  double seconds = 0;
  double sent_per_second = 0;
  double completed_per_second = 0;
  double bad_share = 0;  // of the planned requests
  ServerRates server;
  double steal_most = 0;  // over the seconds
  double generator_busy_most = 0;
  std::uint64_t in_flight_most = 0;
};
MeasurementFigures figures_of(const Measurement& measurement);

// A stretch of time in a chart: one second, or several of a long run.
struct Stretch {
  std::int64_t begin_second = 0;
  std::int64_t seconds = 1;
  Counts counts;
  Spans spans;
  std::string voided;  // reasons; such a stretch has no clean second
  ServerFigures server;
  double steal = 0;
  double generator_busy = 0;
};
// At most `most` of them: neighbours are merged, so that their percentiles are still those of all requests.
std::vector<Stretch> stretches_of(const Measurement& measurement, std::size_t most);

// Steps of a ramp by ascending rate.
std::vector<const Measurement*> by_rate(const Result& result);

std::string shape_name(Inflection::Shape shape);

}  // namespace tailrace::loadtest
