// Leasing shards to threads, and making their cells.
#include "metrics/shard.h"

#include <bit>
#include <cstddef>
#include <mutex>
#include <new>

#include "gcruntime/base/check.h"

extern "C" {
constinit thread_local std::uint32_t tailrace_tls_metrics_shard = 0;
}

namespace tailrace::metrics {
namespace {

constexpr std::size_t kLineBytes = 64;

// Bit i: shard i is leased. A shard passes from an ended thread to a new one under the mutex, which
// orders the old owner's plain stores before the new owner's.
constinit std::mutex lease_mutex;
constinit std::uint64_t leased = std::uint64_t{1} << kCommonShard;

// What threads write to when there is no memory for cells.
alignas(kLineBytes) constinit std::array<Word, ShardedWords::kMaxWords> sink{};

struct Lease {
  unsigned index;
  // Destructors of other thread_locals may still record after this one: they share the last shard.
  ~Lease() {
    tailrace_tls_metrics_shard = kCommonShard + 1;
    const std::lock_guard lock(lease_mutex);
    leased &= ~(std::uint64_t{1} << index);
  }
};

unsigned take_free_shard() {
  const std::lock_guard lock(lease_mutex);
  const unsigned index = static_cast<unsigned>(std::countr_one(leased));
  if (index < kCommonShard) {
    leased |= std::uint64_t{1} << index;
    return index;
  }
  return kCommonShard;
}

}  // namespace

namespace internal {

// Nothing here suspends, so the address of a thread_local may be taken.
std::uint32_t lease_shard() noexcept {
  const unsigned index = take_free_shard();
  if (index != kCommonShard) {
    static thread_local Lease lease{index};
    static_cast<void>(lease);
  }
  tailrace_tls_metrics_shard = index + 1;
  return index + 1;
}

}  // namespace internal

ShardedWords::ShardedWords(unsigned words) : words_(words) {
  TAILRACE_CHECK_VALUE(words > 0 && words <= kMaxWords, "an instrument has 1 to 128 words", words);
}

ShardedWords::~ShardedWords() {
  for (std::atomic<Word*>& cells : cells_) {
    // Relaxed: whoever destroys an instrument has already waited for those who used it.
    ::operator delete (cells.load(std::memory_order_relaxed), std::align_val_t{kLineBytes});
  }
}

Word* ShardedWords::create(Shard shard) noexcept {
  const std::size_t bytes = (words_ * sizeof(Word) + kLineBytes - 1) / kLineBytes * kLineBytes;
  void* memory = ::operator new (bytes, std::align_val_t{kLineBytes}, std::nothrow);
  if (memory == nullptr) {
    return sink.data();
  }
  Word* fresh = static_cast<Word*>(memory);
  for (unsigned i = 0; i < words_; ++i) {
    new (fresh + i) Word(0);
  }
  Word* expected = nullptr;
  // Release pairs with the acquire in of() and sum(). Acquire on failure: another thread of the
  // common shard was first and its zeroes must be seen.
  if (cells_[shard.index()].compare_exchange_strong(expected, fresh, std::memory_order_release,
                                                    std::memory_order_acquire)) {
    return fresh;
  }
  ::operator delete (memory, std::align_val_t{kLineBytes});
  return expected;
}

std::uint64_t ShardedWords::sum(unsigned word) const noexcept {
  std::uint64_t total = 0;
  for (const std::atomic<Word*>& cells : cells_) {
    if (const Word* of_shard = cells.load(std::memory_order_acquire)) {  // pairs with create()
      total += of_shard[word].load(std::memory_order_relaxed);
    }
  }
  return total;
}

void ShardedWords::sum(std::span<std::uint64_t> out) const noexcept {
  for (const std::atomic<Word*>& cells : cells_) {
    if (const Word* of_shard = cells.load(std::memory_order_acquire)) {  // pairs with create()
      for (std::size_t i = 0; i < out.size() && i < words_; ++i) {
        out[i] += of_shard[i].load(std::memory_order_relaxed);
      }
    }
  }
}

}  // namespace tailrace::metrics
