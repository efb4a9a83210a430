// A SpinLock that somebody holds. Out of line, so that the free lock stays one exchange.
#include "gcruntime/base/spin_lock.h"

#include <sched.h>

namespace tailrace::base {
namespace {

// Longer than a section takes whose holder runs; a yield costs about as much.
constexpr int kPauses = 64;

}  // namespace

void SpinLock::lock_slow() noexcept {
  int pauses = 0;
  do {
    // Relaxed: only a hint that the exchange is worth another try.
    while (locked_.load(std::memory_order_relaxed)) {
      if (pauses < kPauses) {
        ++pauses;
        __builtin_ia32_pause();
      } else {
        ::sched_yield();  // the holder may have lost its processor
      }
    }
    // Acquire pairs with unlock's release.
  } while (locked_.exchange(true, std::memory_order_acquire));
}

}  // namespace tailrace::base
