// See use_fiber.h.
#include "server/use_fiber.h"

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/scheduler.h"
#include "server/netpoll.h"

namespace tailrace::http {
namespace {

// The calling worker's netpoll if it is a server's, else null.
Netpoll* current_netpoll() noexcept {
  const fiber::Scheduler* scheduler = fiber::Scheduler::current();
  return scheduler == nullptr ? nullptr : dynamic_cast<Netpoll*>(scheduler->netpoll());
}

Poller* current_poller() noexcept {
  Netpoll* netpoll = current_netpoll();
  return netpoll == nullptr
             ? nullptr
             : &netpoll->poller(static_cast<unsigned>(fiber::Scheduler::current_worker()));
}

}  // namespace

boost::asio::io_context::executor_type executor() {
  Poller* poller = current_poller();
  TAILRACE_CHECK(poller != nullptr,
                 "http::executor() was called outside a server's fibers: only its workers have an "
                 "Asio context");
  return poller->asio().context().get_executor();
}

namespace internal {

AsioWait::AsioWait() {
  TAILRACE_CHECK(fiber::current() != nullptr,
                 "use_fiber was used on a thread without a fiber, or in an Asio handler: start the "
                 "operation on a fiber");
}

void AsioWait::wait() {
  // Acquire: pairs with complete(); the result is visible.
  if (waiter_.load(std::memory_order_acquire) == kDone) return;
  fiber::park(
      fiber::WaitReason::kIo,
      [](fiber::Fiber* fiber, void* self) {
        std::uintptr_t nobody = 0;
        // Release: the fiber is wholly out before the handler finds it; pairs with complete().
        // Acquire on failure: the result is visible, the fiber goes on at once.
        return static_cast<AsioWait*>(self)->waiter_.compare_exchange_strong(
            nobody, reinterpret_cast<std::uintptr_t>(fiber), std::memory_order_release,
            std::memory_order_acquire);
      },
      this);
}

void AsioWait::complete() noexcept {
  // Acq_rel: publishes the result; sees the parked fiber whole. From here on `this` may be gone.
  const std::uintptr_t waiter = waiter_.exchange(kDone, std::memory_order_acq_rel);
  if (waiter != 0) fiber::ready(reinterpret_cast<fiber::Fiber*>(waiter));
}

void asio_work_started(boost::asio::execution_context* context) noexcept {
  Poller* const own = current_poller();
  if (context != nullptr) {
    Poller* const owner = PollerAsio::owner_of(*context);
    if (owner == nullptr) return;  // somebody else's, who runs it
    owner->asio().mark_used();
    if (owner != own) owner->wake();
    return;
  }
  // It may be any worker's.
  if (Netpoll* netpoll = current_netpoll()) netpoll->wake_asio(own);
}

}  // namespace internal
}  // namespace tailrace::http
