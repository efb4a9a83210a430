// How deep a recursion may go on the stack it runs on, whatever the stack's size and the build's
// frames.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/base/thread_state.h"
#include "gcruntime/gc/mutator.h"

namespace tailrace::json::internal {

// Left for what a reader calls at its deepest: allocation, the collector's answers, a validation
// hook.
inline constexpr std::size_t kStackReserveBytes = 48 * 1024;

// The address below which the calling fiber (or attached thread) must not recurse. It stays right
// when the fiber moves to another thread. Unattached threads get no floor: their stacks hold 1024
// levels.
inline std::uintptr_t stack_floor() noexcept {
  const gc::Mutator* const mutator = base::current_mutator();
  return mutator == nullptr ? 0 : mutator->stack_low() + kStackReserveBytes;
}

}  // namespace tailrace::json::internal
