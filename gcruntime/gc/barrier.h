// [gc.barrier] The write barrier: store first, then test the thread's phase byte, then shade the stored
// value. The slow path, and the same for words that something else has written.
//
// The rule that matters: the test never stands above the load of the pointer. A pointer that was loaded
// before the barrier was on in this thread is then either shaded by the test's slow path or, while the
// thread has not reached the test, in a register or on the stack, where the thread's answer to the next
// handshake shows it. Threads that are not attached do nothing here: they have no phase.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/mutant.h"
#include "gcruntime/base/thread_state.h"

namespace tailrace::heap {
struct ObjectPlace;
}

namespace tailrace::gc {

class Mutator;

namespace internal {
// In a section of the own thread's, with the phase on: an object turns grey, if it is white.
void shade_place(Mutator& self, const heap::ObjectPlace& place) noexcept;
// A word from a stack: shades what it points into or just behind. In a section of the own thread's, with
// the phase on.
void shade_conservatively(Mutator& self, std::uintptr_t word) noexcept;
void shade_value(std::uintptr_t value) noexcept;
void shade_words(const void* words, std::size_t count) noexcept;
}  // namespace internal

// In a section, with the phase on: an object that was found by other ways than through a scanned word.
void shade_loaded(void* object) noexcept;

// After the value was stored.
TAILRACE_ALWAYS_INLINE void barrier_after_store(const void* value) noexcept {
  if (base::mutant(base::Mutant::kNoBarrier)) return;
  if (base::barrier_on()) [[unlikely]]
    internal::shade_value(reinterpret_cast<std::uintptr_t>(value));
}

// After words that may be managed pointers were written where another stack's or object's scan may have
// passed, by something that runs no barrier (the captures of a new fiber). Whole words; the range is
// cut to them.
TAILRACE_ALWAYS_INLINE void barrier_after_write(const void* begin, std::size_t bytes) noexcept {
  if (base::mutant(base::Mutant::kNoBarrier)) return;
  if (base::barrier_on()) [[unlikely]] {
    const auto low = (reinterpret_cast<std::uintptr_t>(begin) + 7) & ~std::uintptr_t{7};
    const auto high = (reinterpret_cast<std::uintptr_t>(begin) + bytes) & ~std::uintptr_t{7};
    if (low < high) internal::shade_words(reinterpret_cast<const void*>(low), (high - low) / 8);
  }
}

}  // namespace tailrace::gc
