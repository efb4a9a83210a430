#include "gcruntime/sync/shared_mutex.h"

#include <mutex>

#include "gcruntime/base/check.h"

namespace tailrace::fiber {

SharedMutex::~SharedMutex() {
  // Relaxed: whoever destroys it knows that nobody uses it.
  TAILRACE_CHECK(state_.load(std::memory_order_relaxed) == 0, "a locked SharedMutex was destroyed");
}

void SharedMutex::lock_slow(bool shared) {
  Waiter waiter;
  waiter.shared = shared;
  wait_in_line(waiter, enqueue, this);
}

bool SharedMutex::enqueue(void* mutex, Waiter* waiter) {
  auto* self = static_cast<SharedMutex*>(mutex);
  gc::Section section;
  std::lock_guard lock(self->line_lock_);
  std::uint64_t state = self->state_.load(std::memory_order_relaxed);
  for (;;) {
    const bool open = waiter->shared ? (state & (kWriter | kLine)) == 0 : state == 0;
    const std::uint64_t entered = waiter->shared ? state + kReader : kWriter;
    // Acquire: as the fast paths. Relaxed would do for kLine: the holder's unlock finds it and
    // comes for line_lock_.
    if (self->state_.compare_exchange_weak(state, open ? entered : state | kLine,
                                           std::memory_order_acquire, std::memory_order_relaxed)) {
      if (open) return false;
      self->line_.push(waiter);
      return true;
    }
  }
}

// The lock is held by nobody any more (or by the calling writer) and the line is not empty.
void SharedMutex::let_in_next() {
  Waiter* first = nullptr;
  Waiter* last = nullptr;
  {
    gc::Section section;
    std::lock_guard lock(line_lock_);
    TAILRACE_CHECK((state_.load(std::memory_order_relaxed) & kLine) != 0,
                   "unlock() of a SharedMutex that is not locked");
    first = last = line_.pop();
    std::uint64_t state = kWriter;
    if (first->shared) {
      state = kReader;
      while (!line_.empty() && line_.first()->shared) {
        last = line_.pop();  // still linked behind the one before
        state += kReader;
      }
    }
    if (!line_.empty()) state |= kLine;
    // Release: pairs with the fast paths' acquire. Nobody else changes state_ now: kLine was set,
    // and there is no holder but the caller.
    state_.store(state, std::memory_order_release);
  }
  for (Waiter* waiter = first;;) {
    // Read before the wake, after which the waiter is gone.
    Waiter* const next = waiter->next;
    const bool done = waiter == last;
    waiter->wake();
    if (done) break;
    waiter = next;
  }
}

}  // namespace tailrace::fiber
