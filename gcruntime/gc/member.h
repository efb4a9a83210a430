// Member<T>: a pointer to a managed object, for use inside managed objects and on stacks.
//
// 8 bytes, null when zero. Every write goes through gc::store. Not trivially copyable on purpose: that
// is what keeps containers from moving it by memcpy past the barrier. Trivially destructible.
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>

#include "gcruntime/gc/handle_place.h"
#include "gcruntime/gc/store.h"

namespace tailrace::gc {

namespace internal {
// Such an object inside another may have an odd address, which the marker takes for an inline String's
// word: nothing would keep the outer object alive.
template <typename T>
inline constexpr bool kMayBeOdd = false;
template <typename T>
requires(std::is_arithmetic_v<T> ||
         std::is_enum_v<T>) inline constexpr bool kMayBeOdd<T> = sizeof(T) == 1;
}  // namespace internal

template <typename T>
class Member {
  static_assert(!internal::kMayBeOdd<T>,
                "a Member to a single byte: keep a pointer to the object that it is part of");

 public:
  Member() noexcept { store_initial_null(&slot_); }
  // Implicit from T* (and derived), never from integers. NOLINTBEGIN(google-explicit-constructor)
  template <typename U>
  requires std::convertible_to<U*, T*>
  explicit(false) Member(U* object) noexcept { store(&slot_, static_cast<T*>(object)); }
  Member(std::nullptr_t) noexcept { store_initial_null(&slot_); }
  Member(const Member& other) noexcept { store(&slot_, other.get()); }
  template <typename U>
  requires std::convertible_to<U*, T*>
  explicit(false) Member(const Member<U>& other) noexcept {
    store(&slot_, static_cast<T*>(other.get()));
  }
  // NOLINTEND(google-explicit-constructor)
  Member& operator=(const Member& other) noexcept {
    if (base::mutant(base::Mutant::kHoistedTest)) {
      assign_hoisted(other);
    } else {
      store(&slot_, other.get());
    }
    return *this;
  }
  template <typename U>
  requires std::convertible_to<U*, T*> Member& operator=(U* object) noexcept {
    store(&slot_, static_cast<T*>(object));
    return *this;
  }
  Member& operator=(std::nullptr_t) noexcept {
    store(&slot_, static_cast<T*>(nullptr));
    return *this;
  }
  ~Member() = default;

  // Relaxed: a Member that several fibers write is Atomic<T> instead.
  T* get() const noexcept { return std::atomic_ref<T*>(slot_).load(std::memory_order_relaxed); }
  T* operator->() const noexcept { return get(); }
  std::add_lvalue_reference_t<T> operator*() const noexcept { return *get(); }
  explicit operator bool() const noexcept { return get() != nullptr; }

  friend bool operator==(const Member& a, const Member& b) noexcept { return a.get() == b.get(); }
  template <typename U>
  friend bool operator==(const Member& a, U* b) noexcept {
    return a.get() == b;
  }
  friend bool operator==(const Member& a, std::nullptr_t) noexcept { return a.get() == nullptr; }

 private:
  // The mutant: what a compiler would do that moves the test above the load.
  void assign_hoisted(const Member& other) noexcept {
    const bool marking = base::barrier_on();
    base::mutant_delay(2, 8);
    T* const object = other.get();
    internal::before_store(&slot_, object);
    std::atomic_ref<T*>(slot_).store(object, std::memory_order_release);
    if (marking) barrier_after_store(object);
  }

  [[no_unique_address]] internal::HandlePlace<Member> place_;
  mutable T* slot_;
};

// Atomic<T>: a pointer to a managed object that several fibers read and write; what is published
// through it is immutable from then on. Default orders: acquire for loads, release for stores.
template <typename T>
class Atomic {
 public:
  Atomic() noexcept { store_initial_null(&slot_); }
  explicit Atomic(T* object) noexcept { gc::store(&slot_, object); }
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;
  ~Atomic() = default;

  // Acquire pairs with the release of store, exchange and compare_exchange.
  T* load() const noexcept { return std::atomic_ref<T*>(slot_).load(std::memory_order_acquire); }
  void store(T* object) noexcept { gc::store(&slot_, object); }
  // Returns what was there. Release publishes the new one, acquire reads the old one.
  T* exchange(T* object) noexcept {
    will_store(&slot_, object);
    T* const old = std::atomic_ref<T*>(slot_).exchange(object, std::memory_order_acq_rel);
    stored(object, old);
    return old;
  }
  // True if `expected` was there and `object` is now; else expected is what is there.
  bool compare_exchange(T*& expected, T* object) noexcept {
    will_store(&slot_, object);
    const bool changed = std::atomic_ref<T*>(slot_).compare_exchange_strong(
        expected, object, std::memory_order_acq_rel, std::memory_order_acquire);
    if (changed) stored(object, expected);
    return changed;
  }

 private:
  [[no_unique_address]] internal::HandlePlace<Atomic> place_;
  mutable T* slot_;
};

}  // namespace tailrace::gc
