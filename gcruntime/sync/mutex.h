// A mutual exclusion lock for fibers: who must wait parks, so the worker goes on with other fibers.
// A thread without a fiber may use it too and blocks (in a native scope if it is attached). It may
// be held over suspensions and unlocked on another worker. First come, first served: unlocking with
// a line hands the lock over, so a newcomer cannot overtake and nobody starves.
//
// Not recursive. Works with std::lock_guard, std::unique_lock, std::scoped_lock. What was written
// before unlock is visible after the next lock.
#pragma once

#include <atomic>
#include <cstdint>

#include "gcruntime/gc/mutator.h"
#include "gcruntime/sync/waiter.h"

namespace tailrace::fiber {

class Mutex {
 public:
  Mutex() = default;
  ~Mutex();
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // Suspends if the lock is taken.
  void lock() {
    if (!try_lock()) lock_slow();
  }
  bool try_lock() noexcept {
    std::uint32_t free = kFree;
    // Acquire: pairs with unlock's release.
    return state_.compare_exchange_strong(free, kLocked, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  // Does not suspend.
  void unlock() {
    std::uint32_t locked = kLocked;
    // Release: pairs with lock's acquire.
    if (!state_.compare_exchange_strong(locked, kFree, std::memory_order_release,
                                        std::memory_order_relaxed)) {
      unlock_slow();
    }
  }

 private:
  // kContended: locked and the line is not empty. Entered and left under line_lock_ only.
  enum : std::uint32_t { kFree, kLocked, kContended };
  void lock_slow();
  void unlock_slow();
  static bool enqueue(void* mutex, Waiter* waiter);

  std::atomic<std::uint32_t> state_{kFree};
  gc::SectionLock line_lock_;  // a few instructions, held inside flagged sections
  WaitLine line_;              // guarded by line_lock_
};

}  // namespace tailrace::fiber
