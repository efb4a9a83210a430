// Weak<T>: a reference that does not keep its object. lock() gives the object while something else keeps
// it, and null for ever once nothing did when a cycle looked.
//
//   Weak<User> cached = user;
//   if (User* user = cached.lock()) …   // the pointer keeps the object, as any on the stack does
//
// It may live where a Root may: statics, malloc memory, std containers. Not in managed objects, as it has
// a destructor: it is refused there at compile time, but for types that opt in to a finalizer (finalizer.h),
// which may hold an Opaque<Weak<T>>. Only attached threads make, copy, assign and lock it; any thread moves
// and destroys it. Many threads may lock one Weak at once; writing it meanwhile is a race.
//
// lock() is a load and two tests outside cycles. In a cycle's last moments it may wait until the collector
// has decided, so it is a suspension point and not for sections.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "gcruntime/gc/member.h"
#include "gcruntime/gc/mutator.h"

namespace tailrace::gc {

namespace internal {
// A cell of the weak table, which no cycle traces, with a reference to the object. Attached threads.
void** acquire_weak_cell(void* object);
// Any thread.
void release_weak_cell(void** cell) noexcept;
void store_weak(void** cell, void* object) noexcept;
void* load_weak(void* const* cell) noexcept;
}  // namespace internal

template <typename T>
class Weak {
  static_assert(!internal::kMayBeOdd<T>,
                "a Weak to a single byte: keep one to the object that it is part of");
  static_assert(!internal::kIsBareHandle<T>,
                "a Weak to a handle: keep one to the managed object that has it as a member");

 public:
  Weak() noexcept = default;
  Weak(T* object) { set(object); }  // NOLINT(google-explicit-constructor)
  Weak(const Weak& other) { set(other.lock()); }
  Weak(Weak&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
  Weak& operator=(const Weak& other) {
    if (this != &other) set(other.lock());
    return *this;
  }
  Weak& operator=(Weak&& other) noexcept {
    if (this != &other) {
      release();
      cell_ = std::exchange(other.cell_, nullptr);
    }
    return *this;
  }
  Weak& operator=(T* object) {
    set(object);
    return *this;
  }
  ~Weak() { release(); }

  T* lock() const noexcept {
    return cell_ == nullptr ? nullptr : static_cast<T*>(internal::load_weak(cell_));
  }

 private:
  void set(T* object) {
    if (cell_ != nullptr) {
      internal::store_weak(cell_, const_cast<std::remove_cv_t<T>*>(object));
    } else if (object != nullptr) {
      cell_ = internal::acquire_weak_cell(const_cast<std::remove_cv_t<T>*>(object));
    }
  }
  void release() noexcept {
    if (cell_ != nullptr) internal::release_weak_cell(cell_);
    cell_ = nullptr;
  }

  void** cell_ = nullptr;
};

// The collector's, once a cycle: when every thread is in phase 3 and nothing is grey any more, or with the
// world stopped after marking; before anything is marked for finalizers. Sets to null every cell whose
// object is unmarked; returns how many. Marks stay as they are until the phase is off everywhere.
std::size_t clear_dead_weak() noexcept;
std::size_t weak_table_bytes() noexcept;

}  // namespace tailrace::gc
