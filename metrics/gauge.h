// Gauges: levels that rise and fall.
//
// Gauge counts whole units and is sharded, so that "one more, one less" on a request's path writes
// to no shared cache line; the two may happen on different threads. RealGauge is one double that is
// set. Any thread may call anything.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "metrics/shard.h"

namespace tailrace::metrics {

class Gauge final {
 public:
  Gauge() : words_(1) {}

  void add(std::int64_t n = 1) noexcept { add(n, current_shard()); }
  void sub(std::int64_t n = 1) noexcept { add(-n, current_shard()); }
  // Two's complement: a shard may go below zero while the sum does not.
  void add(std::int64_t n, Shard shard) noexcept {
    bump(*words_.of(shard), static_cast<std::uint64_t>(n), shard);
  }
  void sub(std::int64_t n, Shard shard) noexcept { add(-n, shard); }

  // Makes the level `value`. Adds that run at the same time fall on either side of it.
  void set(std::int64_t value) noexcept {
    const std::lock_guard lock(set_mutex_);
    base_.store(static_cast<std::uint64_t>(value) - words_.sum(0), std::memory_order_relaxed);
  }

  std::int64_t value() const noexcept {
    return static_cast<std::int64_t>(base_.load(std::memory_order_relaxed) + words_.sum(0));
  }

 private:
  ShardedWords words_;
  std::mutex set_mutex_;
  Word base_{0};  // relaxed: a level that is read while it is set may be the old or the new one
};

class RealGauge final {
 public:
  void set(double value) noexcept { value_.store(value, std::memory_order_relaxed); }
  double value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

}  // namespace tailrace::metrics
