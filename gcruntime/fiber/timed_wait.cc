#include "gcruntime/fiber/timed_wait.h"

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/current_worker.h"
#include "gcruntime/fiber/worker.h"

namespace tailrace::fiber {

TimedWait::Outcome TimedWait::wait(WaitReason reason, std::int64_t deadline_ns,
                                   bool (*commit)(Fiber*, void*), void* argument) {
  TAILRACE_CHECK(commit != nullptr || deadline_ns != kNever, "nobody could ever end this wait");
  deadline_ns_ = deadline_ns;
  user_commit_ = commit;
  user_argument_ = argument;
  timer_.place = Timer::kNowhere;
  timer_.owner = this;
  timer_.claim = claim_by_timer;
  park(reason, commit_wait, this);
  // Relaxed: settled before the fiber was made ready, which ordered it before this. kWaiting: the
  // commit returned false.
  if (state_.load(std::memory_order_relaxed) == kTimedOut) return Outcome::kTimedOut;
  if (timer_.heap != nullptr) timer_.heap->cancel(&timer_);
  return Outcome::kWoken;
}

// On the scheduler context, the fiber is out.
bool TimedWait::commit_wait(Fiber* fiber, void* self) {
  auto* wait = static_cast<TimedWait*>(self);
  wait->fiber_ = fiber;
  const auto user_commit = wait->user_commit_;
  void* const user_argument = wait->user_argument_;
  if (wait->deadline_ns_ == kNever) return user_commit(fiber, user_argument);
  TimerHeap& timers = current_worker()->timers();
  if (user_commit == nullptr) {
    timers.add(&wait->timer_, wait->deadline_ns_);
    return true;
  }
  return timers.add_then(&wait->timer_, wait->deadline_ns_,
                         [&] { return user_commit(fiber, user_argument); });
}

Fiber* TimedWait::claim_by_timer(Timer* timer) noexcept {
  TimedWait* wait = static_cast<ClaimingTimer*>(timer)->owner;
  return wait->claim(kTimedOut) ? wait->fiber_ : nullptr;
}

bool TimedWait::wake() {
  Fiber* const fiber = fiber_;
  if (!claim(kWoken)) return false;
  ready(fiber);
  return true;
}

}  // namespace tailrace::fiber
