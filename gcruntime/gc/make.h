// make<T>: a managed object of type T, in the arena of the calling fiber if it has one (arena.h), else on the
// collected heap. heap_make<T>: always on the heap.
//
// T is described (BOOST_DESCRIBE_STRUCT) or holds no pointers, and its destructor is trivial, or the type
// opts in to it (finalizer.h): it is then run with the arena's end, or after a cycle. The result lives as long as something reaches it: a fiber's stack
// or registers, a Member, a Root. At the memory limit the calling fiber waits, so hold no std::mutex over it,
// and MemoryLimitExceeded is thrown where waiting does not help (memory_limit.h).
#pragma once

#include <new>
#include <type_traits>
#include <utility>

#include "gcruntime/gc/allocate.h"
#include "gcruntime/gc/arena_destructors.h"
#include "gcruntime/gc/finalizer.h"
#include "gcruntime/gc/trace.h"

namespace tailrace::gc {

namespace internal {

template <typename T, typename... Args>
T* construct(void* memory, Args&&... args) {
  if constexpr (std::is_constructible_v<T, Args...>) {
    return ::new (memory) T(std::forward<Args>(args)...);
  } else {
    return ::new (memory) T{std::forward<Args>(args)...};
  }
}
template <typename T>
void call_destructor(void* object, void*) {
  static_cast<T*>(object)->~T();
}

// Memory for a T in a slot of `extra_bytes` more than it needs.
template <typename T>
TAILRACE_ALWAYS_INLINE void* allocate_for(Place place, std::size_t extra_bytes = 0) {
  static_assert(Traceable<T>, "describe the type with BOOST_DESCRIBE_STRUCT");
  static_assert(
      std::is_trivially_destructible_v<T> || kFinalized<T>,
      "a managed type has a trivial destructor, as the collector runs none: keep what needs a "
      "destructor outside the heap, with a Root to this object, or let the type opt in to a "
      "finalizer (gc/finalizer.h)");
  static_assert(alignof(T) <= 16, "managed objects are aligned to 16 bytes at most");
  if constexpr (!kNoscan<T>) {
    TAILRACE_DCHECK(kTypeNumber<T> != 0,
                    "a managed object with pointers is made before main() began");
  }
  if constexpr (kNoscan<T>) {
    const std::size_t bytes = sizeof(T) + extra_bytes;
    if constexpr (alignof(T) == 16)
      return allocate_noscan(bytes < 32 ? (bytes + 15) / 16 * 16 : bytes, place);
    return allocate_noscan(bytes, place);
  } else if constexpr (alignof(T) == 16) {
    // The header keeps its place at the slot's start; the payload begins 16 bytes in.
    static_assert(sizeof(T) + 16 <= heap::kMaxSmallBytes);
    if (Arena* const arena = mutator()->arena; arena != nullptr && place == Place::kHere) {
      void* const payload = arena_allocate(arena, sizeof(T) + extra_bytes, kTypeNumber<T>, 1);
      if (payload != nullptr) return payload;
    }
    const std::size_t bytes = sizeof(T) + 16 + extra_bytes;
    return static_cast<char*>(allocate_scanned_slot(heap::size_class_of(bytes), kTypeNumber<T>,
                                                    Header::kAligned16, 1)) +
           16;
  } else {
    return allocate_scanned(sizeof(T) + extra_bytes, kTypeNumber<T>, 1, place);
  }
}

}  // namespace internal

template <typename T, typename... Args>
T* heap_make(Args&&... args) {
  T* const object =
      internal::construct<T>(internal::allocate_for<T>(Place::kHeap), std::forward<Args>(args)...);
  if constexpr (!std::is_trivially_destructible_v<T>) {
    internal::destroy_with_arena(nullptr, object, internal::call_destructor<T>);
  }
  return object;
}
template <typename T, typename... Args>
T* make(Args&&... args) {
  if constexpr (std::is_trivially_destructible_v<T>) {
    return internal::construct<T>(internal::allocate_for<T>(Place::kHere),
                                  std::forward<Args>(args)...);
  } else {
    internal::ArenaDestructor* const reserved = internal::reserve_arena_destructor();
    if (reserved == nullptr) return heap_make<T>(std::forward<Args>(args)...);
    T* const object = internal::construct<T>(internal::allocate_for<T>(Place::kHere),
                                             std::forward<Args>(args)...);
    internal::destroy_with_arena(reserved, object, internal::call_destructor<T>);
    return object;
  }
}
// The same in a slot of exactly `slot_bytes`, which is a size class that holds it; the rest of the slot is
// zeroed and not traced.
template <typename T, typename... Args>
T* make_in_slot(std::size_t slot_bytes, Args&&... args) {
  static_assert(!kNoscan<T> && alignof(T) <= 8 && std::is_trivially_destructible_v<T>);
  TAILRACE_CHECK_VALUE(heap::exact_size_class(slot_bytes) < heap::kSizeClasses &&
                           slot_bytes >= sizeof(T) + kHeaderBytes,
                       "not a size class that holds the type", slot_bytes);
  return internal::construct<T>(
      internal::allocate_for<T>(Place::kHere, slot_bytes - sizeof(T) - kHeaderBytes),
      std::forward<Args>(args)...);
}

}  // namespace tailrace::gc
