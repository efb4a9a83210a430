// A wait that is published in several lines at once and ended by exactly one of those who find it
// there, or by its deadline: what blocking channel operations, select and conditions sleep on. A
// fiber parks; a thread without one blocks (in a native scope if it is attached). It lies on the
// waiter's stack and serves one wait.
//
// [sync.claim] Who finds it in a line holds that line's lock and calls claim(). One caller wins
// (TimedWait's word), does what the waiter waited for, still under the lock, and calls wake() after
// unlocking. Losers take the wait out of their line and forget it. The waiter itself leaves every
// line, under the lines' locks, before its frame goes.
#pragma once

#include <atomic>
#include <cstdint>

#include "gcruntime/fiber/timed_wait.h"

namespace tailrace::fiber {

// The monotonic clock's reading `duration_ns` from now: never beyond kNever, never before now.
std::int64_t deadline_after(std::int64_t duration_ns) noexcept;

class ClaimedWait {
 public:
  static constexpr std::int64_t kNever = TimedWait::kNever;

  ClaimedWait() = default;
  ClaimedWait(const ClaimedWait&) = delete;
  ClaimedWait& operator=(const ClaimedWait&) = delete;

  // Blocks until a claim or the deadline; false: the deadline came first, nobody will claim any
  // more. `enqueue(context)` publishes; on a fiber it runs after the switch, and must not touch
  // what lies on the waiter's stack after publishing. If it returns false there is nothing to wait
  // for, and the result is true.
  bool wait(WaitReason reason, std::int64_t deadline_ns, bool (*enqueue)(void* context),
            void* context);

  // Under a lock of a line in which the wait stands. True for one caller only.
  bool claim() noexcept { return timed_.claim(); }
  // After a won claim, without that lock: *this may be gone at once.
  void wake();
  // The parked fiber, for a claimer that makes it ready itself; null: a thread, to be woken.
  Fiber* fiber() const noexcept { return timed_.fiber(); }

 private:
  struct Call {
    bool (*enqueue)(void*);
    void* context;
  };
  bool wait_as_thread(std::int64_t deadline_ns);

  TimedWait timed_;
  std::atomic<std::uint32_t> woken_{0};  // futex of a thread
};

}  // namespace tailrace::fiber
