// How much CPU time marking may take beside assists: a share of the processors since the cycle began, in
// slices. A pure function of times; many threads may take slices at once.
//
// The share is a quarter of max-procs (Go's). Where allocation has passed the heap's goal before marking
// ends, assists and all, it is a half, and near the backstop, at which allocation waits, all of it: marking
// early costs less than waiting late.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace tailrace::gc {

class MarkBudget {
 public:
  // The longest that a worker keeps its fibers waiting for a slice.
  static constexpr std::int64_t kSliceNs = 250'000;
  static constexpr double kShare = 0.25;

  // Of all processors' time. `allocated` since the last cycle against the growth that was planned and
  // the one at which allocation waits.
  static constexpr double share(std::uint64_t allocated, std::uint64_t growth,
                                std::uint64_t backstop) {
    if (allocated <= growth) return kShare;
    // Read one by one: the backstop may be of another plan, below the growth.
    return allocated <= growth + (backstop - std::min(backstop, growth)) / 2 ? 2 * kShare : 1.0;
  }

  void begin(std::int64_t now_ns) noexcept {
    // Relaxed, as all here: a budget, not a protocol.
    at_ns_.store(now_ns, std::memory_order_relaxed);
    earned_ns_.store(kSliceNs, std::memory_order_relaxed);
    spent_ns_.store(0, std::memory_order_relaxed);
  }
  // By the collector's thread now and then: what was earned since the last time.
  void earn(std::int64_t now_ns, double share, unsigned procs) noexcept {
    const std::int64_t since_ns = now_ns - at_ns_.load(std::memory_order_relaxed);
    if (since_ns <= 0) return;
    at_ns_.store(now_ns, std::memory_order_relaxed);
    const auto earned = static_cast<std::int64_t>(static_cast<double>(since_ns) * share * procs);
    // What nobody had work for is not saved up: at most a slice for each processor.
    const std::int64_t spent = spent_ns_.load(std::memory_order_relaxed);
    const std::int64_t most = spent + kSliceNs * procs;
    earned_ns_.store(std::min(earned_ns_.load(std::memory_order_relaxed) + earned, most),
                     std::memory_order_relaxed);
  }
  // By the collector's thread: a slice is allowed now, whatever was spent.
  void advance() noexcept {
    const std::int64_t least = spent_ns_.load(std::memory_order_relaxed) + kSliceNs;
    earned_ns_.store(std::max(earned_ns_.load(std::memory_order_relaxed), least),
                     std::memory_order_relaxed);
  }
  bool allows() const noexcept {
    return spent_ns_.load(std::memory_order_relaxed) < earned_ns_.load(std::memory_order_relaxed);
  }
  void spend(std::int64_t ns) noexcept { spent_ns_.fetch_add(ns, std::memory_order_relaxed); }
  std::int64_t spent_ns() const noexcept { return spent_ns_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> at_ns_{0};
  std::atomic<std::int64_t> earned_ns_{0};
  std::atomic<std::int64_t> spent_ns_{0};
};

}  // namespace tailrace::gc
