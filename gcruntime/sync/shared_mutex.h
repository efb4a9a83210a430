// A reader-writer lock for fibers: like Mutex, with shares. First come, first served: once somebody
// waits, newcomers wait too, and the line is let in from its head, readers that stand together at
// once. So neither side starves; a reader that already holds a share must not ask for a second one.
//
// Works with std::shared_lock, std::unique_lock, std::lock_guard.
#pragma once

#include <atomic>
#include <cstdint>

#include "gcruntime/gc/mutator.h"
#include "gcruntime/sync/waiter.h"

namespace tailrace::fiber {

class SharedMutex {
 public:
  SharedMutex() = default;
  ~SharedMutex();
  SharedMutex(const SharedMutex&) = delete;
  SharedMutex& operator=(const SharedMutex&) = delete;

  // Suspends while anybody holds it.
  void lock() {
    if (!try_lock()) lock_slow(false);
  }
  bool try_lock() noexcept {
    std::uint64_t free = 0;
    // Acquire: pairs with the releases of unlock and unlock_shared.
    return state_.compare_exchange_strong(free, kWriter, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  // Does not suspend.
  void unlock() {
    std::uint64_t held = kWriter;
    // Release: pairs with lock's and lock_shared's acquire.
    if (!state_.compare_exchange_strong(held, 0, std::memory_order_release,
                                        std::memory_order_relaxed)) {
      let_in_next();
    }
  }

  // Suspends while a writer holds it or anybody waits.
  void lock_shared() {
    if (!try_lock_shared()) lock_slow(true);
  }
  bool try_lock_shared() noexcept {
    std::uint64_t state = state_.load(std::memory_order_relaxed);
    while ((state & (kWriter | kLine)) == 0) {
      // Acquire: pairs with unlock's release.
      if (state_.compare_exchange_weak(state, state + kReader, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }
  // Does not suspend.
  void unlock_shared() {
    // Release: pairs with the acquire of the next writer; the last reader's let_in_next acquires.
    const std::uint64_t before = state_.fetch_sub(kReader, std::memory_order_acq_rel);
    if (before == (kReader | kLine)) let_in_next();
  }

 private:
  // state_: kWriter, or a number of readers; and kLine while the line is not empty. kLine is set
  // and cleared under line_lock_ only, and while it is set only let_in_next lets anybody in.
  static constexpr std::uint64_t kWriter = 1;
  static constexpr std::uint64_t kLine = 2;
  static constexpr std::uint64_t kReader = 4;
  void lock_slow(bool shared);
  void let_in_next();
  static bool enqueue(void* mutex, Waiter* waiter);

  std::atomic<std::uint64_t> state_{0};
  gc::SectionLock line_lock_;  // a few instructions, held inside flagged sections
  WaitLine line_;              // guarded by line_lock_
};

}  // namespace tailrace::fiber
