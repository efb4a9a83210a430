// Where a bare handle (Member, Atomic, String, Vector, Map) may live: in a managed object, or on the stack
// of an attached thread or of a fiber. Elsewhere (statics, malloc memory, std containers, exceptions,
// std::function) the collector does not look, and it is Root<T> instead.
//
// Two nets. At compile time std::allocator refuses handles and pairs of them, which stops std::vector,
// std::map and their kin. At run time, in builds with debug checks (dev, asan, verify), every handle
// looks at its own address when it is constructed, and stops the program with its type's name. In other
// builds HandlePlace is an empty class and costs nothing. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"

namespace tailrace::gc {

template <typename T>
class Member;
template <typename T>
class Atomic;
class String;
template <typename T>
class Vector;
template <typename K, typename V>
class Map;

namespace internal {

template <typename T>
inline constexpr bool kIsBareHandle = false;
template <typename T>
inline constexpr bool kIsBareHandle<Member<T>> = true;
template <typename T>
inline constexpr bool kIsBareHandle<Atomic<T>> = true;
template <>
inline constexpr bool kIsBareHandle<String> = true;
template <typename T>
inline constexpr bool kIsBareHandle<Vector<T>> = true;
template <typename K, typename V>
inline constexpr bool kIsBareHandle<Map<K, V>> = true;
template <typename A, typename B>
inline constexpr bool kIsBareHandle<std::pair<A, B>> =
    kIsBareHandle<std::remove_const_t<A>> || kIsBareHandle<std::remove_const_t<B>>;

// Stacks that the collector scans: [low, high) of each attached thread, and the fibers' reservation. At
// most kHandleRanges at a time; with more, handles are no longer checked.
inline constexpr std::size_t kHandleRanges = 1024;
void add_handle_range(const void* low, const void* high) noexcept;
void remove_handle_range(const void* low) noexcept;

// Stops the program unless a handle may live at that address.
void check_handle_place(std::uintptr_t address, const char* type) noexcept;

// The first member of each handle, so that its constructor runs before any other's.
template <typename Handle>
class HandlePlace {
#if TAILRACE_DCHECKS
 public:
  HandlePlace() noexcept {
    // As a number: the object is not constructed yet, and compilers warn of a pointer to it.
    check_handle_place(reinterpret_cast<std::uintptr_t>(this), name());
  }
  HandlePlace(const HandlePlace&) noexcept : HandlePlace() {}
  HandlePlace& operator=(const HandlePlace&) noexcept { return *this; }
  ~HandlePlace() = default;

 private:
  static const char* name() noexcept { return __PRETTY_FUNCTION__; }
#endif
};

template <typename T>
inline constexpr bool kNever = false;

}  // namespace internal
}  // namespace tailrace::gc

// What std containers ask for memory. Its memory is malloc's, where no handle may live.
template <typename T>
requires(tailrace::gc::internal::kIsBareHandle<T>) class std::allocator<
    T> {  // NOLINT(cert-dcl58-cpp): specialised for types of ours only
 public:
  static_assert(tailrace::gc::internal::kNever<T>,
                "a bare handle in a std container: the collector does not see it there; use "
                "Root<T>, or a gc::Vector or gc::Map");
  using value_type = T;
  T* allocate(std::size_t);
  void deallocate(T*, std::size_t);
};
