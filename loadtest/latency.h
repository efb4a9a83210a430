// Latencies of many requests, those that never came to an end included: a request that was dropped, timed
// out or lost its connection counts as infinite, so that a percentile that falls among them reads as
// infinity and never as the best of those that survived.
//
// Not synchronised: one owner at a time.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "metrics/histogram.h"

namespace tailrace::loadtest {

// Nanoseconds up to 18 minutes (2^40), 0.79 % wide: 35 KiB.
using Histogram = metrics::LogLinearHistogram<7, 40>;

class Latencies {
 public:
  void record(std::int64_t latency_ns) noexcept {
    finite_.record(latency_ns < 0 ? 0 : static_cast<std::uint64_t>(latency_ns));
  }
  void record_infinite(std::uint64_t times = 1) noexcept { infinite_ += times; }
  void merge(const Latencies& other) noexcept {
    finite_.merge(other.finite_);
    infinite_ += other.infinite_;
  }
  void clear() noexcept {
    finite_.clear();
    infinite_ = 0;
  }

  std::uint64_t count() const noexcept { return finite_.count() + infinite_; }
  std::uint64_t infinite() const noexcept { return infinite_; }
  const Histogram& finite() const noexcept { return finite_; }
  Histogram& finite() noexcept { return finite_; }

  // In nanoseconds; infinity if the rank falls among the infinite ones, 0 if there is nothing.
  double percentile_ns(double percent) const noexcept {
    const std::uint64_t all = count();
    if (all == 0) return 0;
    const double exact = std::ceil(percent * static_cast<double>(all) / 100);
    const std::uint64_t rank =
        std::clamp<std::uint64_t>(static_cast<std::uint64_t>(std::max(exact, 1.0)), 1, all);
    if (rank > finite_.count()) return std::numeric_limits<double>::infinity();
    return static_cast<double>(finite_.value_at_rank(rank));
  }

  friend bool operator==(const Latencies&, const Latencies&) = default;

 private:
  Histogram finite_;
  std::uint64_t infinite_ = 0;
};

}  // namespace tailrace::loadtest
