// When each request of a run is due and which one it is: fixed by the settings and the seed before
// the first byte is sent, so that nothing the server does can move it. The same settings give the
// same plan, to the nanosecond, on every machine with IEEE doubles.
//
// Each worker has a plan of its own. Poisson: independent streams of rate / workers each, whose
// superposition is a Poisson stream of the whole rate. Constant: the worker takes every workers-th
// arrival. Trace: the same of the times in a file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tailrace::loadtest {

enum class ArrivalKind { kPoisson, kConstant, kTrace };

struct PlanSettings {
  ArrivalKind kind = ArrivalKind::kPoisson;
  double rate_per_second = 0;    // of all workers together; not for a trace
  std::int64_t duration_ns = 0;  // of a trace: 0 for all of it
  std::uint64_t seed = 1;
  unsigned workers = 1;  // at most FieldSource::kWorkersMost, for counters
  // The parts of one run (warm-up, the steps of a ramp) take different ones, kPartNumbers apart:
  // their requests must not share counters.
  std::uint64_t first_number = 0;
  static constexpr std::uint64_t kPartNumbers = std::uint64_t{1} << 36;
  // Of a trace: ascending nanoseconds from its begin.
  std::shared_ptr<const std::vector<std::int64_t>> trace = {};
};

struct Arrival {
  std::int64_t due_ns = 0;   // since the plan's begin
  std::uint32_t route = 0;   // index in the scenario
  std::uint64_t draw = 0;    // seeds the random fields of its path and body
  std::uint64_t number = 0;  // of the worker's arrivals, from first_number; makes its counter
};

class Plan {
 public:
  // Weights: relative, one a route, not all 0. `worker` < settings.workers.
  Plan(const PlanSettings& settings, const std::vector<double>& weights, unsigned worker);
  // False after the last one.
  bool next(Arrival& arrival) noexcept;

 private:
  // Adds one to elapsed_.
  void add_exponential() noexcept;
  double due() noexcept;
  std::uint32_t pick_route() noexcept;
  std::uint64_t random() noexcept;

  PlanSettings settings_;
  std::vector<double> cumulative_;  // weights, ascending to 1
  std::uint64_t state_[4];          // xoshiro256++ (Blackman and Vigna)
  unsigned worker_;
  double mean_gap_ns_ = 0;  // of this worker
  // The sum of all unit exponentials so far, whole and 2^-64ths: exact, so that no length of run
  // drifts.
  std::uint64_t elapsed_whole_ = 0;
  std::uint64_t elapsed_fraction_ = 0;
  std::uint64_t number_ = 0;
};

// A number that two plans share only if they are the same: over all workers' arrivals; of more than 16
// million over the first ones and the duration.
std::uint64_t plan_digest(const PlanSettings& settings, const std::vector<double>& weights);

// The times of a trace file: one number of seconds a line, ascending, '#' comments, at most 30 days
// and 10 million times. On error `times` is empty and `message` says which line and why.
struct TraceFile {
  std::vector<std::int64_t> times;
  std::string message;
};
TraceFile read_trace(const std::string& path);

}  // namespace tailrace::loadtest
