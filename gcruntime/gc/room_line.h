// Those who wait at the memory limit until there may be room again, in the order of their coming.
//
// News (a cycle marked or swept, another limit) lets all of them go, and each tries again. That pages were
// given back is none: who waits has given back all that was idle, and has waited for what others had on its
// way. At the backstop those wait in such a line who want the cycle's end (Collector::wait_for_cycle).
// Who joins says which news it has tried since, so none is missed between an attempt and the wait.
//
// Any thread, in no section. A waiter lies on its owner's stack; who finds it in the line holds the line's
// lock, and its owner leaves under that lock before its frame goes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "gcruntime/base/spin_lock.h"

namespace tailrace::gc {

class RoomWaiter {
 public:
  // Called under the line's lock, once, when the waiter is out of the line; its owner may be gone on return.
  using Wake = void (*)(RoomWaiter*);
  explicit RoomWaiter(Wake wake) noexcept : wake_(wake) {}
  RoomWaiter(const RoomWaiter&) = delete;
  RoomWaiter& operator=(const RoomWaiter&) = delete;

 private:
  friend class RoomLine;
  const Wake wake_;
  RoomWaiter* next_ = nullptr;  // the four guarded by the line's lock
  RoomWaiter* previous_ = nullptr;
  std::uint64_t seen_ = 0;
  bool waits_ = false;
};

class RoomLine {
 public:
  // So many parked fibers take some hundredths of any limit; who comes after them is refused.
  static constexpr std::size_t kMostWaiters = 1024;

  // How much news there has been. Acquire: pairs with tell's release, so who tries after reading it finds the
  // room that the news is about.
  std::uint64_t news() const noexcept { return news_.load(std::memory_order_acquire); }

  // False: there is news already, nothing to wait for.
  bool join(RoomWaiter& waiter, std::uint64_t seen) noexcept {
    const std::lock_guard guard(lock_);
    if (news_.load(std::memory_order_relaxed) != seen)
      return false;  // relaxed: written under the lock
    waiter.seen_ = seen;
    waiter.waits_ = true;
    waiter.previous_ = last_;
    waiter.next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = &waiter;
    last_ = &waiter;
    // Relaxed: a bound that a few may pass.
    waiters_.store(waiters() + 1, std::memory_order_relaxed);
    return true;
  }
  // Whether it was let go or not.
  void leave(RoomWaiter& waiter) noexcept {
    const std::lock_guard guard(lock_);
    if (waiter.waits_) remove(waiter);
  }
  // Lets all go who have not seen this.
  void tell() noexcept {
    std::uint64_t news = 0;
    {
      const std::lock_guard guard(lock_);
      news = news_.load(std::memory_order_relaxed) + 1;
      // Release: pairs with news().
      news_.store(news, std::memory_order_release);
    }
    // One at a time, so that nobody waits for the lock while hundreds are made ready.
    for (;;) {
      const std::lock_guard guard(lock_);
      RoomWaiter* const waiter = first_;
      if (waiter == nullptr || waiter->seen_ >= news) return;
      remove(*waiter);
      waiter->wake_(waiter);
    }
  }
  std::size_t waiters() const noexcept { return waiters_.load(std::memory_order_relaxed); }

 private:
  void remove(RoomWaiter& waiter) noexcept {
    (waiter.previous_ != nullptr ? waiter.previous_->next_ : first_) = waiter.next_;
    (waiter.next_ != nullptr ? waiter.next_->previous_ : last_) = waiter.previous_;
    waiter.waits_ = false;
    waiters_.store(waiters() - 1, std::memory_order_relaxed);
  }

  std::atomic<std::uint64_t> news_{0};
  std::atomic<std::size_t> waiters_{0};
  base::SpinLock lock_;
  RoomWaiter* first_ = nullptr;
  RoomWaiter* last_ = nullptr;
};

}  // namespace tailrace::gc
