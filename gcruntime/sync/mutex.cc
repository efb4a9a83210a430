#include "gcruntime/sync/mutex.h"

#include <mutex>

#include "gcruntime/base/check.h"

namespace tailrace::fiber {
namespace {

// Short critical sections on other workers end within a few of these; a park and a wake cost more.
constexpr int kSpins = 40;

}  // namespace

Mutex::~Mutex() {
  // Relaxed: whoever destroys it knows that nobody uses it.
  TAILRACE_CHECK(state_.load(std::memory_order_relaxed) == kFree, "a locked Mutex was destroyed");
}

void Mutex::lock_slow() {
  for (int spin = 0; spin < kSpins; ++spin) {
    const std::uint32_t state = state_.load(std::memory_order_relaxed);
    if (state == kContended) break;  // others wait in line already
    if (state == kFree && try_lock()) return;
    __builtin_ia32_pause();
  }
  Waiter waiter;
  wait_in_line(waiter, enqueue, this);
}

bool Mutex::enqueue(void* mutex, Waiter* waiter) {
  auto* self = static_cast<Mutex*>(mutex);
  gc::Section section;
  std::lock_guard lock(self->line_lock_);
  std::uint32_t state = self->state_.load(std::memory_order_relaxed);
  for (;;) {
    if (state == kFree) {
      // Acquire: as try_lock.
      if (self->state_.compare_exchange_weak(state, kLocked, std::memory_order_acquire,
                                             std::memory_order_relaxed)) {
        return false;
      }
    } else if (state == kContended ||
               self->state_.compare_exchange_weak(state, kContended, std::memory_order_relaxed,
                                                  std::memory_order_relaxed)) {
      // The holder's unlock finds kContended and comes for line_lock_.
      self->line_.push(waiter);
      return true;
    }
  }
}

// Hands the lock to the first in line: it stays locked, the waiter becomes its holder.
void Mutex::unlock_slow() {
  Waiter* next = nullptr;
  {
    gc::Section section;
    std::lock_guard lock(line_lock_);
    TAILRACE_CHECK(state_.load(std::memory_order_relaxed) == kContended,
                   "unlock() of a Mutex that is not locked");
    next = line_.pop();
    // Relaxed: what the holder wrote goes to the next one by the line's lock and by the wake.
    if (line_.empty()) state_.store(kLocked, std::memory_order_relaxed);
  }
  next->wake();
}

}  // namespace tailrace::fiber
