// Holds one rate against one target and says what happened: an open loop whose requests are due by a plan,
// whatever the server does.
//
// Each worker is a thread with an epoll, connections and a plan of its own; nothing is shared while it runs.
// measure() blocks its caller until the last request has ended or timed out.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <variant>

#include "loadtest/plan.h"
#include "loadtest/result.h"
#include "loadtest/scenario.h"

namespace tailrace::loadtest {

// How a worker waits for its next due time: in the kernel all the way (late by tens of microseconds), in the
// kernel until shortly before and then spinning, or spinning all the time.
enum class Idle { kSleep, kHybrid, kSpin };

struct MeasureSettings {
  Url target;
  PlanSettings plan;            // of the measured part; its workers are the threads
  std::int64_t warm_up_ns = 0;  // the same rate before it, from a seed of its own, not kept
  unsigned connections = 0;     // of all workers; 0: as many as the rate may want, 16 to 1000
  std::int64_t timeout_ns = 10'000'000'000;  // from the due time
  std::uint64_t in_flight_most = 0;  // waiting ones included; 0: 4 x rate x timeout, at most 2^20
  std::uint64_t requests_per_connection = 0;  // then it is closed and opened anew; 0: for ever
  Idle idle = Idle::kHybrid;
  bool pin = false;  // each worker to a CPU of its own
};

struct Progress {
  std::int64_t second = 0;  // the last whole one; negative in the warm-up
  Counts counts;            // so far
  std::uint64_t in_flight = 0;
  double p50_ns = 0;  // of the last second whose requests have all ended
  double p99_ns = 0;
};

struct MeasureHooks {
  // On the caller's thread, about once a second.
  std::function<void(const Progress&)> progress;
  // When the measured part begins, on the steady clock (CLOCK_MONOTONIC, ns); called shortly before.
  std::function<void(std::int64_t begin_ns)> on_begin;
  // Set by a signal handler: ends the plan; what is in flight gets a second to end, the rest is left out and
  // the measurement is marked interrupted.
  const std::atomic<bool>* interrupted = nullptr;
};

struct MeasureError {
  enum class Kind { kUnreachable, kNoResources } kind = Kind::kUnreachable;
  std::string message;  // names the remedy
};

std::variant<Measurement, MeasureError> measure(const MeasureSettings& settings,
                                                const Scenario& scenario,
                                                const MeasureHooks& hooks);

}  // namespace tailrace::loadtest
