// A counter: a sum that only grows, of whole units (requests, bytes, nanoseconds).
//
// Any thread adds, wait-free and without a cache line that another thread writes; any thread reads
// the sum over all shards, which never runs backwards.
#pragma once

#include <cstdint>

#include "metrics/shard.h"

namespace tailrace::metrics {

class Counter final {
 public:
  Counter() : words_(1) {}

  void add(std::uint64_t n = 1) noexcept { add(n, current_shard()); }
  // For callers that count several things in a row: `shard` is current_shard(), taken since the
  // last suspension.
  void add(std::uint64_t n, Shard shard) noexcept { bump(*words_.of(shard), n, shard); }

  std::uint64_t value() const noexcept { return words_.sum(0); }

 private:
  ShardedWords words_;
};

}  // namespace tailrace::metrics
