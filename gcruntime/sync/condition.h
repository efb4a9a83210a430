// A condition for fibers: waits, with a Mutex released meanwhile, until somebody notifies. First
// come, first served. Threads without a fiber may wait and notify too.
//
//   std::unique_lock lock(mutex);                  // or the Mutex itself
//   ready.wait(lock, [&] { return !queue.empty(); });
//
// No wake is spurious, but what was true at the notification may have changed before the lock was
// had again: wait with a predicate. A notification with nobody waiting is lost.
//
// [sync.condition] The waiter's commit joins the line and then unlocks the Mutex, both under
// line_lock_: whoever changes the state under the Mutex afterwards and notifies finds it in line,
// and nobody can let it go while the Mutex is still being unlocked for it. Lock order: line_lock_,
// Mutex's line.
#pragma once

#include <cstdint>
#include <mutex>

#include "gcruntime/base/spin_lock.h"
#include "gcruntime/sync/claimed_wait.h"
#include "gcruntime/sync/mutex.h"

namespace tailrace::fiber {

class Condition {
 public:
  static constexpr std::int64_t kNever = ClaimedWait::kNever;

  Condition() = default;
  ~Condition();
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  // Suspends; the lock, a locked Mutex or std::unique_lock<Mutex>, is held again on return.
  template <typename Lock>
  void wait(Lock& lock) {
    wait_until(lock, kNever);
  }
  template <typename Lock, typename Predicate>
  void wait(Lock& lock, Predicate&& predicate) {
    while (!predicate()) wait(lock);
  }
  // False: the deadline came first (os::now_ns).
  template <typename Lock>
  bool wait_until(Lock& lock, std::int64_t deadline_ns) {
    const bool notified = wait_unlocked(mutex_of(lock), deadline_ns);
    mutex_of(lock).lock();
    return notified;
  }
  // What the predicate says in the end.
  template <typename Lock, typename Predicate>
  bool wait_until(Lock& lock, std::int64_t deadline_ns, Predicate&& predicate) {
    while (!predicate()) {
      if (!wait_until(lock, deadline_ns)) return predicate();
    }
    return true;
  }
  template <typename Lock>
  bool wait_for(Lock& lock, std::int64_t timeout_ns) {
    return wait_until(lock, deadline_after(timeout_ns));
  }
  template <typename Lock, typename Predicate>
  bool wait_for(Lock& lock, std::int64_t timeout_ns, Predicate&& predicate) {
    return wait_until(lock, deadline_after(timeout_ns), predicate);
  }

  // Wakes the first in line, or all. With or without the Mutex held. Does not suspend.
  void notify_one();
  void notify_all();

 private:
  struct Waiting;
  static Mutex& mutex_of(Mutex& mutex) noexcept { return mutex; }
  static Mutex& mutex_of(std::unique_lock<Mutex>& lock) noexcept { return *lock.mutex(); }
  // Returns with the mutex unlocked.
  bool wait_unlocked(Mutex& mutex, std::int64_t deadline_ns);
  static bool commit(void* argument);
  void remove(Waiting* waiting) noexcept;
  Waiting* claim_first() noexcept;

  base::SpinLock line_lock_;  // outside sections, as a channel's
  Waiting* first_ = nullptr;  // guarded by line_lock_
  Waiting* last_ = nullptr;   // guarded by line_lock_
};

}  // namespace tailrace::fiber
