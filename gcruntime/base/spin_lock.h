// A lock for a few dozen instructions, on paths that must not sleep.
//
// Its holder may lose its processor all the same: whoever has looked for a while gives up its own at
// every further look, so that the holder is not kept from it for a whole time slice. Fit for signal
// handlers and a stopped world: it neither allocates nor sets errno.
//
// Whatever the collector locks while the world is stopped is held by mutators inside flagged sections
// only (gc/mutator.h), so a stopped thread never holds one.
#pragma once

#include <atomic>

namespace tailrace::base {

class SpinLock {
 public:
  void lock() noexcept {
    // Acquire pairs with unlock's release.
    if (__builtin_expect(locked_.exchange(true, std::memory_order_acquire), 0)) lock_slow();
  }
  // Acquire pairs with unlock's release.
  bool try_lock() noexcept { return !locked_.exchange(true, std::memory_order_acquire); }
  // Release pairs with the acquire of lock and try_lock.
  void unlock() noexcept { locked_.store(false, std::memory_order_release); }

 private:
  void lock_slow() noexcept;

  std::atomic<bool> locked_{false};
};

}  // namespace tailrace::base
