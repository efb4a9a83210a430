#include "gcruntime/sync/waiter.h"

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/current_worker.h"
#include "gcruntime/fiber/futex.h"
#include "gcruntime/gc/mutator.h"

namespace tailrace::fiber {

void Waiter::wake() {
  if (fiber != nullptr) {
    ready(fiber);
    return;
  }
  // Release: pairs with wait_in_line's acquire.
  woken.store(1, std::memory_order_release);
  futex_wake(woken);
}

void wait_in_line(Waiter& waiter, bool (*enqueue)(void* context, Waiter* waiter), void* context) {
  struct Call {
    Waiter* waiter;
    bool (*enqueue)(void*, Waiter*);
    void* context;
  };
  if (current() != nullptr) {
    Call call{&waiter, enqueue, context};
    park(
        WaitReason::kMutex,
        [](Fiber* fiber, void* argument) {
          const Call to_make = *static_cast<Call*>(argument);
          to_make.waiter->fiber = fiber;
          return to_make.enqueue(to_make.context, to_make.waiter);
        },
        &call);
    return;
  }
  TAILRACE_CHECK(
      current_worker() == nullptr,
      "a contended fiber lock was taken on a worker outside a fiber, which would block it");
  if (!enqueue(context, &waiter)) return;
  gc::native([&] {
    // Acquire: pairs with wake's release.
    while (waiter.woken.load(std::memory_order_acquire) == 0) futex_wait(waiter.woken, 0);
  });
}

}  // namespace tailrace::fiber
