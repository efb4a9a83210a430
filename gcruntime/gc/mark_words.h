// How the marker reads words: what of them is a managed pointer, and what a pointer may lead to. For the
// loops of mark_scan.cc and mark_sweep.cc; any thread that marks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "gcruntime/heap/page_map.h"

namespace tailrace::gc::internal {

// Objects' words are read while mutators write them.
TAILRACE_ALWAYS_INLINE std::uintptr_t load_word(const std::uintptr_t* word) noexcept {
#if TAILRACE_TSAN
  // An object whose address was on a stack may be read while its constructor runs, which writes zeros or
  // what it will hold by plain stores. Whole words either way, so it is not for TSan to see.
  std::uintptr_t value;
  asm volatile("movq %1, %0" : "=r"(value) : "m"(*word) : "memory");
  return value;
#else
  // Acquire pairs with gc::store's release: the object's allocation bit, header and contents are visible.
  return __atomic_load_n(word, __ATOMIC_ACQUIRE);
#endif
}

// Where the heap is: in registers, as far as the compiler is concerned.
struct Cage {
  const std::uintptr_t base = heap::page_map.base;
  const std::size_t bytes = heap::page_map.bytes;

  // 1 for a word that holds a managed pointer, or else 0: no branch, as nulls and pointers alternate as
  // they like. Odd: an inline String.
  TAILRACE_ALWAYS_INLINE std::size_t holds(std::uintptr_t word) const noexcept {
    return static_cast<std::size_t>(word - base < bytes) & ~word & 1;
  }
};

// What a word of an object with pointers leads to is an object: false stops the program, but in the verify
// build, where the verifier, which comes next, tells whose word it is and where both objects came from.
// [gc.traced] A marker that reads a pointer sees the allocation bit of what it points to: the bit was set
// before the pointer was published by gc::store's release, which load_word's acquire pairs with.
TAILRACE_ALWAYS_INLINE bool is_object([[maybe_unused]] std::uintptr_t word) noexcept {
#if TAILRACE_DCHECKS
  const heap::ObjectPlace place = heap::find_object(word);
  if (place.slot == 0 || place.allocated()) return true;
#if defined(TAILRACE_VERIFY)
  return false;
#else
  TAILRACE_CHECK_VALUE(false, "a traced word points to a free slot: its object was lost", word);
#endif
#else
  return true;
#endif
}

// A bit's number; bits != 0.
TAILRACE_ALWAYS_INLINE std::size_t lowest(std::uint64_t bits) noexcept {
  return static_cast<std::size_t>(__builtin_ctzll(bits));
}

}  // namespace tailrace::gc::internal
