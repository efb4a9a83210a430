// Marking on workers: slices that take the place of a fiber for a moment, so that the process never has
// more runnable threads than it was given processors. [gc.slices]
#pragma once

#include <atomic>
#include <cstdint>

#include "gcruntime/base/annotations.h"

namespace tailrace::gc {

namespace internal {
extern std::atomic<bool> mark_wanted;
}

// A cycle is marking. Relaxed: advice.
TAILRACE_ALWAYS_INLINE bool marking_wanted() noexcept {
  return internal::mark_wanted.load(std::memory_order_relaxed);
}
// On an attached thread that holds no managed pointer in its hands, between two fibers: marks for at most
// 250 us if the cycle's share of the processors allows it. Returns the ns that it took; 0: nothing was
// done.
std::int64_t mark_slice() noexcept;

}  // namespace tailrace::gc
