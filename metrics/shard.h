// Shards: how many threads count into one instrument without writing to each other's cache lines.
//
// Each thread that records leases one of 63 exclusive shards for its life; when they are used up,
// further threads take the 64th together. An exclusive shard has one writer, so adding to it is a
// relaxed load and a relaxed store (no lock prefix); the common one takes atomic adds. Readers sum
// all shards. A lease is by OS thread and not by worker index, so that two schedulers in one
// process never write one shard.
//
// A Shard is the calling thread's: never keep one over anything that may suspend the fiber.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#if !defined(__x86_64__)
#error "shard.h knows x86-64 only; other processors need an accessor of their own"
#endif

// The calling thread's shard + 1, or 0 when it has none yet. Written in shard.cc only.
extern "C" {
extern thread_local std::uint32_t tailrace_tls_metrics_shard;
}

namespace tailrace::metrics {

inline constexpr unsigned kShards = 64;
inline constexpr unsigned kCommonShard = kShards - 1;

class Shard {
 public:
  constexpr unsigned index() const noexcept { return index_; }
  // Others write it too.
  constexpr bool common() const noexcept { return index_ == kCommonShard; }

 private:
  explicit constexpr Shard(unsigned index) noexcept : index_(index) {}
  friend Shard current_shard() noexcept;
  unsigned index_;
};

namespace internal {
// Leases a shard for the calling thread; returns its index + 1. Returned at thread exit.
[[gnu::cold, gnu::noinline]] std::uint32_t lease_shard() noexcept;
}  // namespace internal

// Any thread. One volatile instruction relative to %fs, because a fiber may resume on another
// thread and compilers keep addresses of thread_locals (see gcruntime/base/thread_state.h).
inline __attribute__((always_inline)) Shard current_shard() noexcept {
  std::uint32_t lease;
  asm volatile("movl %%fs:tailrace_tls_metrics_shard@tpoff, %0" : "=r"(lease));
  if (lease == 0) [[unlikely]] {
    lease = internal::lease_shard();
  }
  return Shard(lease - 1);
}

using Word = std::atomic<std::uint64_t>;

// Adds n to a word that the calling thread alone writes. A relaxed load and a relaxed store of the
// word, in one instruction: no lock prefix, yet whole for a reader and for a signal handler.
inline __attribute__((always_inline)) void add_alone(Word& word, std::uint64_t n) noexcept {
  static_assert(sizeof(Word) == sizeof(std::uint64_t) && Word::is_always_lock_free);
  asm("addq %1, %0" : "+m"(word) : "er"(n) : "cc");
}

// Adds n to a word of this shard. Wait-free. Relaxed: counts order nothing, readers only sum.
inline __attribute__((always_inline)) void bump(Word& word, std::uint64_t n, Shard shard) noexcept {
  if (shard.common()) [[unlikely]] {
    word.fetch_add(n, std::memory_order_relaxed);
  } else {
    add_alone(word, n);
  }
}

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
