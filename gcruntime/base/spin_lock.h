// A lock for a few dozen instructions, on paths that must not sleep.
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
    while (locked_.exchange(true, std::memory_order_acquire)) {
      // Relaxed: only a hint that the exchange is worth another try.
      while (locked_.load(std::memory_order_relaxed)) __builtin_ia32_pause();
    }
  }
  // Acquire pairs with unlock's release.
  bool try_lock() noexcept { return !locked_.exchange(true, std::memory_order_acquire); }
  // Release pairs with the acquire of lock and try_lock.
  void unlock() noexcept { locked_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> locked_{false};
};

}  // namespace tailrace::base
