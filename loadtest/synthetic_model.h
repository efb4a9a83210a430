// Servers whose latencies are known beforehand, as laws of time: when each request leaves, given
// when those before it and it itself arrived. What measures latencies or looks for the rate at
// which they inflect is checked against these.
//
// Virtual time: a model never waits and reads no clock. The same text and the same arrivals give
// the same answers. Not synchronised: one owner at a time. Memory is bounded whatever arrives.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace tailrace::loadtest {

// What the server behind a model would say of itself after the arrivals so far.
struct SyntheticFigures {
  std::uint64_t requests = 0;
  double heap_alloc_bytes = 0;
  double gc_cycles = 0;
  double gc_cpu_seconds = 0;
  double gc_hold_seconds = 0;
  double heap_live_bytes = 0;
  double cpu_seconds = 0;  // as if the time in service were work
};

class SyntheticModel {
 public:
  SyntheticModel() = default;
  virtual ~SyntheticModel() = default;
  SyntheticModel(const SyntheticModel&) = delete;
  SyntheticModel& operator=(const SyntheticModel&) = delete;

  // The time at which the answer to a request that arrives now leaves. Arrivals do not go back;
  // time 0 is when the server began. Not below arrive_ns.
  virtual std::int64_t leave_ns(std::int64_t arrive_ns) = 0;
  virtual SyntheticFigures figures() const = 0;
};

// A text as "gc:bps=500MB,bytes=50KB": a name, and parameters where the defaults are not wanted.
//   md1         one server, `us` of service for each
//   mmc         `c` servers, exponential service of `us` in the mean
//   step        above `at` requests/s a share `p` of the answers takes `add` longer
//   gc          a budget of `bps` bytes/s, `bytes` a request, up to `headroom` bytes saved up; who
//               finds it empty pays a stall: beyond bps / bytes a share of
//               1 - bps / bytes / rate
//   hysteresis  as step, but it begins above `up` requests/s and ends below `down`
//   hiccup      nothing moves for `ms`, at each multiple of `every`
//   leak        `bytes` a request stay for ever; `add` longer for each GB of them, up to 10 s
//   none        nothing but its service time, at any rate
// For all: us (service time; default 200), seed (default 1), cap (requests/s; md1 and mmc: instead
// of us; others: a queue of that capacity before the model, which they otherwise have not).
// The rates of step and hysteresis are those of the last `window` (1 s), so they have the noise of
// a count: a Poisson stream of 5000/s is seen as 5000 +- 71. On error the message names
// the models or parameters that there are.
std::variant<std::unique_ptr<SyntheticModel>, std::string> make_synthetic_model(
    std::string_view text);

}  // namespace tailrace::loadtest
