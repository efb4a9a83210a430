// What was measured: the data that every output is made of. A result has one measurement for each rate
// that was held; a measurement has one row a second, each with whole histograms, so that any later test can
// be made again from the file.
//
// Plain values. Times in nanoseconds; seconds are numbered from the begin of the measured part, and a
// request belongs to the second in which it was due, whenever it ended.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "loadtest/latency.h"

namespace tailrace::loadtest {

// A histogram as it is kept: the buckets that are not empty. A busy second has a few hundred.
struct SparseHistogram {
  std::string text = "";  // Histogram::serialise(), or empty for an empty one
  std::uint64_t infinite = 0;

  static SparseHistogram of(const Histogram& histogram);
  static SparseHistogram of(const Latencies& latencies);
  // False if the text is none: a file was tampered with.
  bool add_to(Latencies& latencies) const;
  Latencies latencies() const;
  friend bool operator==(const SparseHistogram&, const SparseHistogram&) = default;
};

struct Counts {
  std::uint64_t planned = 0;
  std::uint64_t sent = 0;
  std::uint64_t completed = 0;  // a whole answer came in time, whatever its status
  std::uint64_t succeeded = 0;  // of these, with an expected status
  std::uint64_t dropped = 0;    // the in-flight cap was reached: never sent, infinite
  std::uint64_t timed_out = 0;  // infinite
  std::uint64_t failed =
      0;  // the connection was refused, broke, or the answer was no HTTP: infinite
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  Counts& operator+=(const Counts& other) noexcept;
  // Infinite or with an unexpected status.
  std::uint64_t bad() const noexcept {
    return dropped + timed_out + failed + completed - succeeded;
  }
  friend bool operator==(const Counts&, const Counts&) = default;
};

// The server's own counters over some time; NaN where it has no such metric.
struct ServerFigures {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  double seconds = kNone;  // between the two readings
  double requests = kNone;
  double gc_cycles = kNone;
  double gc_cpu_seconds = kNone;
  double gc_hold_seconds = kNone;   // sum of go_gc_duration_seconds
  double alloc_bytes = kNone;       // managed: arena, heap and large objects
  double heap_alloc_bytes = kNone;  // of these what the collector has to mark and sweep
  double cpu_seconds = kNone;       // the process
  double heap_live_bytes = kNone;   // a gauge: its last value
  double resident_bytes = kNone;    // a gauge: its last value
};

struct Second {
  std::int64_t number = 0;  // 0 is the first one measured; warm-up is not kept
  Counts counts;
  SparseHistogram response;  // due until last byte: what a user waits
  // Its three parts.
  SparseHistogram lateness;      // due until taken up: the generator's own fault
  SparseHistogram client_queue;  // taken up until written: no free connection
  SparseHistogram service;       // written until last byte
  std::uint64_t in_flight_most = 0;
  double generator_busy =
      0;               // the busiest worker's share of a core spent on work, not on waiting, 0 to 1
  double steal = 0;    // share of this host's CPU time that its hypervisor took, 0 to 1
  std::string voided;  // why this second tells nothing about the server; empty: it is clean
  ServerFigures server;  // of this second
};

struct RouteFigures {
  std::string name;
  Counts counts;
  SparseHistogram response;
};

struct Measurement {
  double rate_per_second = 0;    // asked for
  std::int64_t duration_ns = 0;  // of the measured part
  std::uint64_t seed = 0;
  std::uint64_t plan_digest = 0;
  std::vector<Second> seconds;
  std::vector<RouteFigures> routes;
  std::map<int, std::uint64_t> statuses;
  std::map<std::string, std::uint64_t> errors;  // by message
  SparseHistogram connect;                      // TCP connects, apart from all requests
  ServerFigures server;                         // between the edges of the measured part
  bool interrupted = false;
  // Why it must not be trusted as a whole; empty: it may.
  std::vector<std::string> invalid;

  Counts counts() const;
  // Over the clean seconds, or over all of them.
  Latencies response(bool with_voided = false) const;
  Latencies lateness(bool with_voided = false) const;
  Latencies client_queue(bool with_voided = false) const;
  Latencies service(bool with_voided = false) const;
  std::size_t voided_seconds() const;
  double clean_seconds() const;
  // Median over the clean seconds of each second's percentile; NaN without one.
  double median_of_seconds_ns(double percent) const;
};

// The rate at which P99 inflects, by the fit of inflection.h over a staircase.
struct Inflection {
  enum class Shape { kStep, kSmooth, kFlat, kTooFew };
  Shape shape = Shape::kTooFew;
  double last_low_rate = 0;  // kStep: the step lies between these two
  double first_high_rate = 0;
  double before_ns = 0;  // P99 on either side
  double after_ns = 0;
  double bic_gain = 0;       // of two segments over the better of one segment and a queue's curve
  double capacity_rate = 0;  // kSmooth: where the queue's curve goes to infinity
};

// What a generator can do on this host.
struct Selfcheck {
  double most_rate_per_worker = 0;
  unsigned workers = 0;
  double most_rate = 0;
  double lateness_p50_ns = 0;
  double lateness_p99_ns = 0;
  double lateness_most_ns = 0;
  double clock_cost_ns = 0;
  double steal = 0;
  char grade = 'F';  // A to F, see selfcheck.h
};

struct Host {
  std::string cpu_model;
  unsigned cpus_allowed = 0;
  std::string kernel;
  std::string governor;  // "none" where there is none
  std::string hypervisor;
  std::uint64_t memory_bytes = 0;
  // Figures of two hosts are compared only if these are the same.
  std::string fingerprint() const;
};

struct Result {
  static constexpr int kSchema = 1;
  std::string kind;  // run, ramp
  std::string tool_version;
  std::vector<std::string> command;
  std::string started;  // RFC 3339, UTC
  std::string target;
  std::string scenario;
  std::string arrival;
  unsigned workers = 0;
  unsigned connections = 0;
  std::int64_t timeout_ns = 0;
  std::uint64_t in_flight_most = 0;
  std::uint64_t seed = 0;
  Host host;
  std::optional<Selfcheck> selfcheck;
  bool above_ceiling = false;  // asked for more than 70 % of what selfcheck measured
  bool interrupted = false;
  std::vector<Measurement> measurements;
  std::optional<Inflection> inflection;
  std::vector<std::string> thresholds_failed;

  // A run: nothing speaks against it. A ramp: against fewer than half of its steps.
  bool valid() const;
};

}  // namespace tailrace::loadtest
