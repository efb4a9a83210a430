#include "gcruntime/sync/claimed_wait.h"

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/current_worker.h"
#include "gcruntime/fiber/futex.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/os/clock.h"

namespace tailrace::fiber {

std::int64_t deadline_after(std::int64_t duration_ns) noexcept {
  const std::int64_t now_ns = os::now_ns();
  if (duration_ns <= 0) return now_ns;
  return duration_ns < ClaimedWait::kNever - now_ns ? now_ns + duration_ns : ClaimedWait::kNever;
}

bool ClaimedWait::wait(WaitReason reason, std::int64_t deadline_ns, bool (*enqueue)(void*),
                       void* context) {
  if (current() == nullptr) {
    TAILRACE_CHECK(current_worker() == nullptr,
                   "a channel, condition or context was waited for on a worker outside a fiber, "
                   "which would block it");
    return !enqueue(context) || wait_as_thread(deadline_ns);
  }
  Call call{enqueue, context};
  return timed_.wait(
             reason, deadline_ns,
             [](Fiber*, void* argument) {
               const Call to_make = *static_cast<Call*>(argument);
               return to_make.enqueue(to_make.context);
             },
             &call) == TimedWait::Outcome::kWoken;
}

bool ClaimedWait::wait_as_thread(std::int64_t deadline_ns) {
  bool timed_out = false;
  gc::native([&] {
    // Acquire: pairs with wake's release.
    while (woken_.load(std::memory_order_acquire) == 0) {
      if (deadline_ns == kNever) {
        futex_wait(woken_, 0);
        continue;
      }
      // Compared first: a deadline long past may be any number.
      if (const std::int64_t now_ns = os::now_ns(); deadline_ns > now_ns) {
        futex_wait(woken_, 0, deadline_ns - now_ns);
      } else if (claim()) {
        timed_out = true;
        return;
      } else {
        deadline_ns = kNever;  // claimed by a waker, who is about to wake us
      }
    }
  });
  return !timed_out;
}

void ClaimedWait::wake() {
  if (Fiber* const parked = fiber()) {
    ready(parked);
    return;
  }
  // Release: pairs with wait_as_thread's acquire.
  woken_.store(1, std::memory_order_release);
  futex_wake(woken_);
}

}  // namespace tailrace::fiber
