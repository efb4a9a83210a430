#include "gcruntime/sync/condition.h"

#include "gcruntime/base/check.h"

namespace tailrace::fiber {

struct Condition::Waiting {
  Condition* condition;
  Mutex* mutex;
  bool in_line = false;  // guarded by line_lock_, as the links
  Waiting* next = nullptr;
  Waiting* previous = nullptr;
  ClaimedWait wait{};
};

Condition::~Condition() {
  TAILRACE_CHECK(first_ == nullptr, "a Condition was destroyed while somebody waits on it");
}

bool Condition::commit(void* argument) {
  auto* waiting = static_cast<Waiting*>(argument);
  Condition* const self = waiting->condition;
  std::lock_guard guard(self->line_lock_);
  waiting->in_line = true;
  waiting->previous = self->last_;
  (self->last_ == nullptr ? self->first_ : self->last_->next) = waiting;
  self->last_ = waiting;
  waiting->mutex->unlock();
  return true;
}

bool Condition::wait_unlocked(Mutex& mutex, std::int64_t deadline_ns) {
  Waiting waiting{.condition = this, .mutex = &mutex};
  if (waiting.wait.wait(WaitReason::kOther, deadline_ns, commit, &waiting)) return true;
  std::lock_guard guard(line_lock_);
  if (waiting.in_line) remove(&waiting);
  return false;
}

void Condition::remove(Waiting* waiting) noexcept {
  (waiting->previous == nullptr ? first_ : waiting->previous->next) = waiting->next;
  (waiting->next == nullptr ? last_ : waiting->next->previous) = waiting->previous;
  waiting->in_line = false;
}

// The first in line that its deadline has not taken; it is out of the line.
Condition::Waiting* Condition::claim_first() noexcept {
  while (Waiting* waiting = first_) {
    remove(waiting);
    if (waiting->wait.claim()) return waiting;
  }
  return nullptr;
}

void Condition::notify_one() {
  Waiting* woken = nullptr;
  {
    std::lock_guard guard(line_lock_);
    woken = claim_first();
  }
  if (woken != nullptr) woken->wait.wake();
}

void Condition::notify_all() {
  Waiting* woken = nullptr;
  Waiting** end = &woken;
  {
    std::lock_guard guard(line_lock_);
    while (Waiting* waiting = claim_first()) {
      waiting->next = nullptr;
      *end = waiting;  // out of the line: the link is free for this list
      end = &waiting->next;
    }
  }
  while (woken != nullptr) {
    // Read before the wake, after which it is gone.
    ClaimedWait& wait = woken->wait;
    woken = woken->next;
    wait.wake();
  }
}

}  // namespace tailrace::fiber
