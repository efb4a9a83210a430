// Shards: which part of a divided thing (counters, pools) is the calling thread's own.
//
// Each thread that asks leases one of 63 exclusive shards for its life; when they are used up, further
// threads take the 64th together. An exclusive shard has one writer, so adding to its words is a
// relaxed load and a relaxed store (no lock prefix); the common one takes atomic adds. A lease is by
// OS thread and not by worker index, so that two schedulers in one process never write one shard.
//
// A Shard is the calling thread's: never keep one over anything that may suspend the fiber.
#pragma once

#include <atomic>
#include <cstdint>

#if !defined(__x86_64__)
#error "shard.h knows x86-64 only; other processors need an accessor of their own"
#endif

// The calling thread's shard + 1, or 0 when it has none yet. Written in shard.cc only.
extern "C" {
extern thread_local std::uint32_t tailrace_tls_shard;
}

namespace tailrace::base {

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
// thread and compilers keep addresses of thread_locals (thread_state.h).
inline __attribute__((always_inline)) Shard current_shard() noexcept {
  std::uint32_t lease;
  asm volatile("movl %%fs:tailrace_tls_shard@tpoff, %0" : "=r"(lease));
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

}  // namespace tailrace::base
