// A row of words in which a pool's items stand: each a pointer to an item, or null. For managed items the
// row is a managed object, which a Root keeps and the collector scans; for others it is plain memory.
//
// [pool.word] Whoever takes what a word holds does so by one atomic exchange with null: so one item has
// one taker, whatever else happens. Release by who puts, acquire by who takes: the item's contents. And
// release by who takes, acquire by who finds the word empty: what the taker had seen (BoundedPool needs it).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <new>
#include <type_traits>

#include "gcruntime/gc/make.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/store.h"
#include "gcruntime/gc/trace.h"

namespace tailrace::gc {

namespace internal {
struct PoolWord {
  void* item;
};
}  // namespace internal

template <>
struct Trace<internal::PoolWord> {
  static constexpr bool kKnown = true;
  static constexpr void words(WordSet& set, std::size_t offset) { set.add(offset); }
};

namespace internal {

struct PoolRow {
  static constexpr std::size_t kWords = 64;
  std::array<PoolWord, kWords> words;
};
BOOST_DESCRIBE_STRUCT(PoolRow, (), (words))

template <bool kManaged>
class PoolWords {
 public:
  static constexpr std::size_t kWords = PoolRow::kWords;

  // All null. Managed ones: may wait and throw, as make() may.
  PoolWords() {
    if constexpr (kManaged) {
      root_ = heap_make<PoolRow>();
      row_ = root_.get();
    } else {
      row_ = new PoolRow();
    }
  }
  ~PoolWords() {
    if constexpr (!kManaged) delete row_;
  }
  PoolWords(const PoolWords&) = delete;
  PoolWords& operator=(const PoolWords&) = delete;

  // A hint, unless it is the one who puts that looks. Acquire pairs with take()'s release.
  bool empty(std::size_t i) const noexcept {
    return std::atomic_ref<void*>(word(i)).load(std::memory_order_acquire) == nullptr;
  }
  // Into an empty word that nobody else puts into at the time.
  void put(std::size_t i, void* item) noexcept {
    if constexpr (kManaged) {
      store(&word(i), item);
    } else {
      // Release pairs with take()'s acquire.
      std::atomic_ref<void*>(word(i)).store(item, std::memory_order_release);
    }
  }
  // What stands there, or null.
  void* take(std::size_t i) noexcept {
    // Acquire pairs with put()'s release, release with the acquire of empty() and of another's exchange.
    void* const item = std::atomic_ref<void*>(word(i)).exchange(nullptr, std::memory_order_acq_rel);
    if constexpr (kManaged) stored<void>(nullptr, item);
    return item;
  }

 private:
  struct Nothing {};

  void*& word(std::size_t i) const noexcept { return row_->words[i].item; }

  [[no_unique_address]] std::conditional_t<kManaged, Root<PoolRow>, Nothing> root_;
  PoolRow* row_ = nullptr;
};

}  // namespace internal
}  // namespace tailrace::gc
