#include "gcruntime/fiber/join.h"

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/fiber_record.h"
#include "gcruntime/fiber/futex.h"
#include "gcruntime/fiber/worker.h"

namespace tailrace::fiber {

bool JoinControl::publish(Fiber* fiber, void* control) {
  auto* self = static_cast<JoinControl*>(control);
  std::uintptr_t nobody = 0;
  // Release: the fiber is switched out (pairs with complete's acquire). Acquire on failure: what
  // the joined fiber wrote.
  return self->waiter_.compare_exchange_strong(nobody, reinterpret_cast<std::uintptr_t>(fiber),
                                               std::memory_order_release,
                                               std::memory_order_acquire);
}

void JoinControl::wait() {
  // Acquire: pairs with complete's exchange; what the joined fiber wrote is visible.
  if (waiter_.load(std::memory_order_acquire) == kDone) return;
  if (current() != nullptr) {
    park(WaitReason::kJoin, publish, this);
    return;
  }
  TAILRACE_CHECK(current_worker() == nullptr, "join() on a worker outside a fiber would block it");
  std::uintptr_t nobody = 0;
  if (!waiter_.compare_exchange_strong(nobody, kThread, std::memory_order_acquire,
                                       std::memory_order_acquire)) {
    return;
  }
  gc::native([this] {
    // Acquire: pairs with complete's release.
    while (done_.load(std::memory_order_acquire) == 0) futex_wait(done_, 0);
  });
}

void JoinControl::complete() {
  // Acq_rel: publishes what the fiber wrote, and sees a parked joiner wholly.
  const std::uintptr_t waiter = waiter_.exchange(kDone, std::memory_order_acq_rel);
  if (waiter == kThread) {
    // Release: pairs with wait's acquire. The fiber's reference keeps the word alive for the wake.
    done_.store(1, std::memory_order_release);
    futex_wake(done_);
  } else if (waiter != 0) {
    ready(reinterpret_cast<Fiber*>(waiter));
  }
  drop();
}

// --- The handle. ---

JoinHandle& JoinHandle::operator=(JoinHandle&& other) noexcept {
  if (this != &other) {
    if (control_ != nullptr) static_cast<JoinControl*>(control_)->drop();
    control_ = std::exchange(other.control_, nullptr);
  }
  return *this;
}

JoinHandle::~JoinHandle() {
  if (control_ != nullptr) static_cast<JoinControl*>(control_)->drop();
}

void JoinHandle::join() {
  TAILRACE_CHECK(control_ != nullptr, "join() on an empty handle: it was joined or moved from");
  auto* control = static_cast<JoinControl*>(std::exchange(control_, nullptr));
  control->wait();
  control->drop();
}

}  // namespace tailrace::fiber
