// Makes the measurement out of what the workers hand over: their seconds added up, packed, and
// voided where the generator or its host was at fault; then whether the whole may be trusted.
//
// The caller's thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "loadtest/recorder.h"
#include "loadtest/result.h"

namespace tailrace::loadtest {

// A second tells nothing about the server if in it a request was taken up later than this, or an
// answer lay unread for so long while the generator's thread did not run. But what is below a tenth
// of that second's P99 is not what made it: a server that stands still and then answers hundreds at
// once makes neighbours on its CPUs late for a moment, and voiding such seconds would hide the stop.
inline constexpr std::int64_t kLatenessMostNs = 2'000'000;
inline constexpr double kLatenessShareMost = 0.10;
// Nor if the hypervisor took more than this share of the host's CPU time, or a worker was busier
// than this.
inline constexpr double kStealMost = 0.01;
inline constexpr double kBusyMost = 0.95;

// A measurement is invalid if the generator offered less than this share of the plan, ...
inline constexpr double kOfferedLeast = 0.995;
// ... its own lateness at P99 was more than this share of the response time at P99 (but what is
// twice the median that this tool promises never counts: a server may be that quick), ...
inline constexpr double kGeneratorShareMost = 0.10;
inline constexpr double kLatenessIgnoredNs = 100'000;
// ... more than this share of the seconds is voided, or a worker was busier than this all in all.
inline constexpr double kVoidedMost = 0.5;
inline constexpr double kBusyMeanMost = 0.85;

// What is known of a second besides its requests. `p99_ns`: of its response times, an infinite one being
// as long as the timeout.
struct SecondFaults {
  std::int64_t lateness_most_ns = 0;
  std::int64_t held_most_ns = 0;
  double p99_ns = 0;
  double steal = 0;
  double busy = 0;
};
// Why a second is voided; empty if it is clean.
std::string void_reason(const SecondFaults& faults);

class Collector {
 public:
  Collector(unsigned workers, std::int64_t timeout_ns)
      : workers_(workers), timeout_ns_(timeout_ns) {}

  // Of the seconds that have passed, from 0 on.
  void add_steal(double share) { steal_.push_back(share); }
  // Takes what is there and gives back cleared ones.
  void take(Handover& handover);
  // After all workers have ended.
  void add_totals(const Recorder& recorder);
  // Seconds without a steal figure are taken for free of it.
  Measurement finish();

  const std::vector<Second>& seconds() const noexcept { return seconds_; }
  // Of the last second that has ended; 0 before.
  double p50_ns() const noexcept { return p50_ns_; }
  double p99_ns() const noexcept { return p99_ns_; }

 private:
  struct Partial {
    std::unique_ptr<RecordedSecond> sum;
    unsigned workers = 0;
  };
  void pack(bool without_steal);
  std::vector<std::string> invalid_reasons(const Measurement& measurement) const;

  unsigned workers_;
  std::int64_t timeout_ns_;
  std::deque<Partial> partial_;  // of the seconds from seconds_.size() on
  std::vector<std::unique_ptr<RecordedSecond>> spare_;
  std::vector<double> steal_;
  std::vector<Second> seconds_;
  std::uint64_t overdue_ = 0;
  std::uint64_t left_out_ = 0;
  double busy_sum_ = 0;
  double p50_ns_ = 0;
  double p99_ns_ = 0;
  std::vector<RecordedRoute> routes_;
  std::map<int, std::uint64_t> statuses_;
  std::map<std::string, std::uint64_t> errors_;
  Latencies connect_;
};

}  // namespace tailrace::loadtest
