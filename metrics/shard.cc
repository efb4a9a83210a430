// Making the cells of shards.
#include "metrics/shard.h"

#include <cstddef>
#include <new>

#include "gcruntime/base/check.h"

namespace tailrace::metrics {
namespace {

constexpr std::size_t kLineBytes = 64;

// What threads write to when there is no memory for cells.
alignas(kLineBytes) constinit std::array<Word, ShardedWords::kMaxWords> sink{};

}  // namespace

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
