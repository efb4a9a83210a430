// What queues must answer: laws in closed form, and exact sojourns of a given plan, to hold
// measured percentiles against.
//
// A sojourn is what a client waits: in the queue and in service. Arrivals are Poisson, the queue is
// first come, first served and has no bound. Plain values and pure functions; any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace tailrace::loadtest {

// One server, the same service time for all.
class Md1 {
 public:
  // 0 < service_ns; the load rate x service must be in [0, 0.999], beyond it every law is NaN.
  Md1(double rate_per_second, double service_ns);

  double load() const noexcept { return load_; }
  double mean_wait_ns() const noexcept;  // Pollaczek and Khinchine
  // P(wait in the queue <= t).
  double wait_cdf(double t_ns) const noexcept;
  double wait_percentile_ns(double percent) const noexcept;
  double sojourn_percentile_ns(double percent) const noexcept;

 private:
  double service_ns_;
  double load_;
  // at_most_[n]: P(at most n customers wait in the queue), in the long run.
  std::vector<double> at_most_;
};

// c servers, exponential service times.
class Mmc {
 public:
  // 1 <= servers, 0 < service_mean_ns; the load rate x service / servers must be in [0, 1), beyond
  // it every law is NaN.
  Mmc(double rate_per_second, unsigned servers, double service_mean_ns);

  double load() const noexcept { return load_; }
  // P(a customer has to wait at all): Erlang C.
  double wait_probability() const noexcept { return wait_probability_; }
  double mean_sojourn_ns() const noexcept;
  // P(sojourn <= t).
  double sojourn_cdf(double t_ns) const noexcept;
  double sojourn_percentile_ns(double percent) const noexcept;

 private:
  double service_ns_;
  double servers_;
  double load_;
  double wait_probability_;
};

// The sojourns of requests that arrive at `due_ns` (ascending) at one idle server, each served for
// `service_ns`, by Lindley's recursion: exact, whatever the arrivals are.
std::vector<std::int64_t> lindley(const std::vector<std::int64_t>& due_ns, std::int64_t service_ns);

}  // namespace tailrace::loadtest
