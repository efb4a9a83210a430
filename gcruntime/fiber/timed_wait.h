// A wait that a waker or a deadline ends, whichever comes first: exactly one of them wins, and only
// the winner makes the fiber ready. It lies on the waiting fiber's stack and serves one wait.
//
//   TimedWait wait;                                          // the waiting fiber
//   auto outcome = wait.wait(WaitReason::kIo, deadline_ns, publish, &where);
//   if (where_is_published->wake()) { ... }                  // the waker, any thread
//
// [fiber.timed_wait] state_ goes once from kWaiting to kWoken or kTimedOut, by CAS. After the
// switch, and under the heap's lock, the timer is armed and the wait published: the timer cannot
// let the fiber go before the publication is done, and a fiber that a waker let go waits in
// cancel() for that lock. A timer claims under the lock too, so no timer looks at the wait after
// wait() has returned. A waker that lost might: who publishes a wait takes it out again, after a
// timeout, under the same lock under which wakers find it and call claim() or wake().
#pragma once

#include <atomic>
#include <cstdint>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/timer_heap.h"

namespace tailrace::fiber {

class TimedWait {
 public:
  enum class Outcome : std::uint8_t { kWoken, kTimedOut };
  static constexpr std::int64_t kNever = TimerHeap::kNever;

  TimedWait() = default;
  TimedWait(const TimedWait&) = delete;
  TimedWait& operator=(const TimedWait&) = delete;

  // Suspends until wake() or until the monotonic clock (os::now_ns) reaches deadline_ns. `commit`
  // is park's: it publishes this wait; if it returns false the wait is over at once (kWoken). Null:
  // only the deadline ends it. On a fiber.
  Outcome wait(WaitReason reason, std::int64_t deadline_ns,
               bool (*commit)(Fiber* fiber, void* argument) = nullptr, void* argument = nullptr);

  // True if this call ended the wait; then the fiber is ready and *this may be gone. Any thread.
  bool wake();
  // The two halves of wake(), for a waker that claims under its own lock and readies after it.
  bool claim() noexcept { return claim(kWoken); }
  Fiber* fiber() const noexcept { return fiber_; }

 private:
  enum : std::uint32_t { kWaiting, kWoken, kTimedOut };
  struct ClaimingTimer : Timer {
    TimedWait* owner;
  };
  bool claim(std::uint32_t winner) noexcept {
    std::uint32_t waiting = kWaiting;
    // Acq_rel: the winner sees the parked fiber; what the waker did before is passed on by ready().
    return state_.compare_exchange_strong(waiting, winner, std::memory_order_acq_rel,
                                          std::memory_order_relaxed);
  }
  static bool commit_wait(Fiber* fiber, void* self);
  static Fiber* claim_by_timer(Timer* timer) noexcept;

  std::atomic<std::uint32_t> state_{kWaiting};
  Fiber* fiber_ = nullptr;  // written before the wait is armed or published
  std::int64_t deadline_ns_ = kNever;
  bool (*user_commit_)(Fiber*, void*) = nullptr;
  void* user_argument_ = nullptr;
  ClaimingTimer timer_{};
};

}  // namespace tailrace::fiber
