// One who waits in line for a Mutex or SharedMutex: a fiber, which parks, or a thread without one,
// which blocks. It lies on the waiter's stack and is gone as soon as it is woken.
#pragma once

#include <atomic>
#include <cstdint>

#include "gcruntime/fiber/fiber.h"

namespace tailrace::fiber {

struct Waiter {
  Waiter* next = nullptr;               // guarded by the lock's line
  bool shared = false;                  // asks for a share of it
  Fiber* fiber = nullptr;               // null: a thread
  std::atomic<std::uint32_t> woken{0};  // futex of a thread

  // Lets it go: *this may be gone at once. Any thread.
  void wake();
};

// First in first out; guarded by its lock.
class WaitLine {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  Waiter* first() const noexcept { return first_; }
  void push(Waiter* waiter) noexcept {
    waiter->next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = waiter;
    last_ = waiter;
  }
  Waiter* pop() noexcept {
    Waiter* waiter = first_;
    first_ = waiter->next;
    return waiter;
  }

 private:
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
};

// Blocks the caller until somebody calls waiter.wake(). `enqueue(context, waiter)` puts it in line,
// or returns false if there is nothing to wait for after all; on a fiber it runs after the switch.
void wait_in_line(Waiter& waiter, bool (*enqueue)(void* context, Waiter* waiter), void* context);

}  // namespace tailrace::fiber
