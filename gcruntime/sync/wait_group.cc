#include "gcruntime/sync/wait_group.h"

#include <mutex>

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/spawn_account.h"

namespace tailrace::fiber {

WaitGroup::~WaitGroup() {
  // Relaxed: whoever destroys it knows that nobody uses it.
  TAILRACE_CHECK(state_.load(std::memory_order_relaxed) == 0,
                 "a WaitGroup was destroyed while its count is not zero, or somebody waits");
}

void WaitGroup::add(std::int32_t count) {
  // [fiber.account] Whoever waits takes done() for the end of the work.
  if (count < 0) internal::settle_own();
  const std::int64_t change = count * kOne;
  // Acq_rel: pairs with wait's acquire; whoever brings it to zero passes on what all others did.
  const std::int64_t before = state_.fetch_add(change, std::memory_order_acq_rel);
  const std::int64_t after = before + change;
  TAILRACE_CHECK(after >= 0, "done() of a WaitGroup more often than add() announced");
  TAILRACE_CHECK(!(before == kLine && count > 0),
                 "add() to a WaitGroup whose count is zero while somebody waits: add before wait");
  if (after == kLine && count != 0) let_all_go();
}

void WaitGroup::wait() {
  // Acquire: pairs with add's release.
  if (state_.load(std::memory_order_acquire) < kOne) return;
  Waiter waiter;
  wait_in_line(waiter, enqueue, this);
}

bool WaitGroup::enqueue(void* group, Waiter* waiter) {
  auto* self = static_cast<WaitGroup*>(group);
  std::lock_guard guard(self->line_lock_);
  // Acquire: as wait.
  std::int64_t state = self->state_.load(std::memory_order_acquire);
  do {
    if (state < kOne) return false;
    // Acquire: as wait. That kLine is seen by the last done() is the word's own order.
  } while (!self->state_.compare_exchange_weak(state, state | kLine, std::memory_order_acquire,
                                               std::memory_order_acquire));
  self->line_.push(waiter);
  return true;
}

void WaitGroup::let_all_go() {
  Waiter* waiter = nullptr;
  {
    std::lock_guard guard(line_lock_);
    waiter = line_.first();
    while (!line_.empty()) line_.pop();  // they stay linked
    // Relaxed: those in line are woken with what came before; others read the count.
    state_.fetch_and(~kLine, std::memory_order_relaxed);
  }
  while (waiter != nullptr) {
    // Read before the wake, after which the waiter is gone.
    Waiter* const next = waiter->next;
    waiter->wake();
    waiter = next;
  }
}

}  // namespace tailrace::fiber
