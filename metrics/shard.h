// Instruments' cells by shard (gcruntime/base/shard.h): how many threads count into one instrument
// without writing to each other's cache lines. Readers sum all shards.
//
// A Shard is the calling thread's: never keep one over anything that may suspend the fiber.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "gcruntime/base/shard.h"

namespace tailrace::metrics {

using base::add_alone;
using base::bump;
using base::current_shard;
using base::kCommonShard;
using base::kShards;
using base::Shard;
using base::Word;

// `words` 64-bit cells for each shard, zeroed and allocated when the shard first asks, on cache
// lines that no other shard's cells share.
class ShardedWords final {
 public:
  static constexpr unsigned kMaxWords = 128;

  explicit ShardedWords(unsigned words);
  ~ShardedWords();
  ShardedWords(const ShardedWords&) = delete;
  ShardedWords& operator=(const ShardedWords&) = delete;

  // Out of memory gives cells that nobody reads: the observation is lost, the request is not.
  Word* of(Shard shard) noexcept {
    // Acquire pairs with the release in create(): the zeroes are seen before anything is added.
    Word* cells = cells_[shard.index()].load(std::memory_order_acquire);
    return cells != nullptr ? cells : create(shard);
  }

  unsigned words() const noexcept { return words_; }
  // Sums over all shards; each word is monotonic from one call to the next if its adds are
  // positive.
  std::uint64_t sum(unsigned word) const noexcept;
  void sum(std::span<std::uint64_t> out) const noexcept;

 private:
  [[gnu::cold, gnu::noinline]] Word* create(Shard shard) noexcept;

  // Written once each by create(), read by everyone.
  std::array<std::atomic<Word*>, kShards> cells_{};
  const unsigned words_;
};

}  // namespace tailrace::metrics
