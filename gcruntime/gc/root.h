// Root<T>: keeps a managed object alive from anywhere: statics, malloc memory, std containers,
// exceptions, std::function. Any attached thread may make and copy it, any thread move and destroy it.
//
//   Root<User>            a pointer to a User; null by default
//   Root<Vector<Item>>    owns a Vector (String, Map): boxed in a managed object made on construction
//
// A Root is a pointer to a cell in the root table, which the collector scans. Writing one Root from two
// threads at once is a race, as with any pointer; publish through Atomic<T> inside a managed object.
#pragma once

#include <type_traits>
#include <utility>

#include "gcruntime/gc/make.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/vector.h"

namespace tailrace::gc {

namespace internal {
// The cell holds a managed pointer or null. Thread-safe; the thread must be attached.
void** acquire_root_cell();
void release_root_cell(void** cell) noexcept;

template <typename T>
inline constexpr bool kIsHandle = false;
template <>
inline constexpr bool kIsHandle<String> = true;
template <typename T>
inline constexpr bool kIsHandle<Vector<T>> = true;
template <typename K, typename V>
inline constexpr bool kIsHandle<Map<K, V>> = true;
}  // namespace internal

template <typename T>
class Root {
 public:
  static constexpr bool kOwnsValue = internal::kIsHandle<T>;

  Root() requires(!kOwnsValue) = default;
  Root() requires(kOwnsValue) { set(heap_make<T>()); }
  Root(T* object)  // NOLINT(google-explicit-constructor)
      requires(!kOwnsValue) {
    set(object);
  }
  explicit Root(const T& value) requires(kOwnsValue) { set(heap_make<T>(value)); }
  Root(const Root& other) { set(copy_of(other)); }
  Root(Root&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
  Root& operator=(const Root& other) {
    if (this != &other) set(copy_of(other));
    return *this;
  }
  Root& operator=(Root&& other) noexcept {
    if (this != &other) {
      reset();
      cell_ = std::exchange(other.cell_, nullptr);
    }
    return *this;
  }
  Root& operator=(T* object) requires(!kOwnsValue) {
    set(object);
    return *this;
  }
  ~Root() { reset(); }

  T* get() const noexcept {
    // Relaxed: the Root's owner is its only writer.
    return cell_ == nullptr
               ? nullptr
               : static_cast<T*>(std::atomic_ref<void*>(*cell_).load(std::memory_order_relaxed));
  }
  T* operator->() const noexcept { return get(); }
  T& operator*() const noexcept { return *get(); }
  explicit operator bool() const noexcept { return get() != nullptr; }

 private:
  static T* copy_of(const Root& other) {
    if constexpr (kOwnsValue) {
      return other.get() == nullptr ? nullptr : heap_make<T>(*other);
    } else {
      return other.get();
    }
  }
  static_assert(!internal::kMayBeOdd<T>,
                "a Root of a single byte: keep a pointer to the object that it is part of");
  static_assert(kOwnsValue || !internal::kIsBareHandle<T>,
                "a Root of a Member: write Root<T>, which is a pointer to a T already");
  void set(T* object) {
    static_cast<void>(mutator());  // attached?
    if (cell_ == nullptr) {
      if (object == nullptr) return;
      cell_ = internal::acquire_root_cell();
    }
    store(cell_, static_cast<void*>(object));
  }
  void reset() noexcept {
    if (cell_ != nullptr) internal::release_root_cell(cell_);
    cell_ = nullptr;
  }

  void** cell_ = nullptr;
};

}  // namespace tailrace::gc
