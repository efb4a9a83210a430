// The one way by which a managed pointer is written into memory that others may read: Member, Root,
// Atomic, containers and channels all come through here, so that the collector's barrier [gc.barrier]
// and the arena's escape test [arena.escape] have one place to stand: the test before the store, as nobody may
// see a pointer to what is not faded yet, the barrier after it.
//
// Release: whoever loads the pointer with acquire, the marker above all, sees the object's contents
// (its header, its zeroed or constructed words). On x86-64 it costs nothing over a plain store.
#pragma once

#include <atomic>
#include <cstddef>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/mutant.h"
#include "gcruntime/gc/barrier.h"
#include "gcruntime/gc/escape.h"
#include "gcruntime/gc/mutator.h"

namespace tailrace::gc {

namespace internal {
// The deletion half of a hybrid barrier: a build option, to cross-check. Nothing rests on it, as a C++
// program's deletions cannot all be seen.
class OldValue {
 public:
#if defined(TAILRACE_DELETION_BARRIER)
  template <typename T>
  explicit OldValue(T** slot) noexcept
      : value_(std::atomic_ref<T*>(*slot).load(std::memory_order_relaxed)) {}
  void shade() const noexcept { barrier_after_store(value_); }

 private:
  const void* value_;
#else
  template <typename T>
  explicit OldValue(T**) noexcept {}
  static void shade() noexcept {}
#endif
};
}  // namespace internal

template <typename T>
TAILRACE_ALWAYS_INLINE void store(T** slot, T* value) noexcept {
  check_may_touch();
  if (!base::mutant(base::Mutant::kFadeLate)) internal::before_store(slot, value);
  const internal::OldValue old(slot);
  std::atomic_ref<T*>(*slot).store(value, std::memory_order_release);
  if (base::mutant(base::Mutant::kFadeLate)) {
    if (internal::is_unfaded(value)) base::mutant_delay(4, 4);
    internal::before_store(slot, value);
  }
  barrier_after_store(value);
  old.shade();
}
// The same for those who change the slot by an atomic step of their own: before it, and after it.
template <typename T>
TAILRACE_ALWAYS_INLINE void will_store(T** slot, const T* value) noexcept {
  check_may_touch();
  if (!base::mutant(base::Mutant::kEscapeAtomic)) internal::before_store(slot, value);
}
template <typename T>
TAILRACE_ALWAYS_INLINE void stored(const T* value, [[maybe_unused]] const T* old) noexcept {
  check_may_touch();
  barrier_after_store(value);
#if defined(TAILRACE_DELETION_BARRIER)
  barrier_after_store(old);
#endif
}

// Writes a null into a slot that nobody can have read yet (construction in fresh memory). Relaxed:
// null publishes nothing.
template <typename T>
TAILRACE_ALWAYS_INLINE void store_initial_null(T** slot) noexcept {
  std::atomic_ref<T*>(*slot).store(nullptr, std::memory_order_relaxed);
}

// Copies `words` words, some of which are managed pointers, between objects or within one (the ranges
// may overlap). Word by word and atomically, because the marker may be reading the destination;
// memcpy could tear a pointer and is a data race besides.
TAILRACE_ALWAYS_INLINE void store_range(void* destination, const void* source,
                                        std::size_t words) noexcept {
  check_may_touch();
  auto* to = static_cast<std::uintptr_t*>(destination);
  auto* from = const_cast<std::uintptr_t*>(static_cast<const std::uintptr_t*>(source));
  // [gc.barrier] Each value is shaded as it is moved: a test behind the loop would shade what the
  // destination holds by then, and not what another fiber may have read from it.
  const auto move_word = [&](std::size_t i) {
    // Relaxed load: the words are the mutator's own. Release store: as in store().
    const std::uintptr_t value =
        std::atomic_ref<std::uintptr_t>(from[i]).load(std::memory_order_relaxed);
    internal::before_word_store(&to[i], value);
    std::atomic_ref<std::uintptr_t>(to[i]).store(value, std::memory_order_release);
    barrier_after_store(reinterpret_cast<const void*>(value));
  };
  if (to <= from) {
    for (std::size_t i = 0; i < words; ++i) move_word(i);
  } else {
    for (std::size_t i = words; i-- > 0;) move_word(i);
  }
}

// Zeroes words that a container vacates, so that they keep nothing alive.
TAILRACE_ALWAYS_INLINE void clear_range(void* destination, std::size_t words) noexcept {
  auto* to = static_cast<std::uintptr_t*>(destination);
  // Relaxed: zeros publish nothing.
  for (std::size_t i = 0; i < words; ++i) {
    std::atomic_ref<std::uintptr_t>(to[i]).store(0, std::memory_order_relaxed);
  }
}

}  // namespace tailrace::gc
