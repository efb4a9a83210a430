// A Prometheus histogram with fixed bounds: sharded, exact at the bounds, in whole units
// (nanoseconds, bytes, objects) that the exporter converts.
//
// The count is the sum of the buckets and has no cell of its own, so `_count` equals the +Inf
// bucket even while others observe; the sum may trail by the observations in flight.
// Any thread may call anything; observe() is wait-free.
#pragma once

#include <cstdint>
#include <vector>

#include "metrics/bucket_bounds.h"
#include "metrics/shard.h"

namespace tailrace::metrics {

class BucketHistogram final {
 public:
  explicit BucketHistogram(const BucketBounds& bounds)
      : bounds_(bounds), words_(static_cast<unsigned>(bounds.buckets()) + 1) {}

  void observe(std::uint64_t value) noexcept { observe(value, current_shard()); }
  // `shard` is current_shard(), taken since the last suspension.
  void observe(std::uint64_t value, Shard shard) noexcept {
    Word* const cells = words_.of(shard);
    bump(cells[0], value, shard);
    bump(cells[1 + bounds_.index(value)], 1, shard);
  }

  struct Snapshot {
    std::vector<std::uint64_t> buckets;  // not cumulative; the last is +Inf's
    std::uint64_t count = 0;
    std::uint64_t sum = 0;
  };
  Snapshot snapshot() const;

  const BucketBounds& bounds() const noexcept { return bounds_; }

 private:
  const BucketBounds bounds_;
  ShardedWords words_;  // the sum, then the buckets
};

}  // namespace tailrace::metrics
