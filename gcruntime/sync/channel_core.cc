#include "gcruntime/sync/channel_core.h"

#include <utility>

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/current_worker.h"
#include "gcruntime/fiber/fiber_record.h"
#include "gcruntime/fiber/worker.h"

namespace tailrace::fiber::internal {

void CaseLine::push(Case* waiting) noexcept {
  waiting->in_line = true;
  waiting->next = nullptr;
  waiting->previous = last_;
  (last_ == nullptr ? first_ : last_->next) = waiting;
  last_ = waiting;
}

void CaseLine::remove(Case* waiting) noexcept {
  (waiting->previous == nullptr ? first_ : waiting->previous->next) = waiting->next;
  (waiting->next == nullptr ? last_ : waiting->next->previous) = waiting->previous;
  waiting->in_line = false;
}

ChannelCore::ChannelCore(const ElementOps& ops, void* ring, std::size_t capacity) noexcept
    : ops_(ops), ring_(ring), capacity_(capacity) {
  if (capacity > 0) hint_.store(bit(Side::kSend), std::memory_order_relaxed);
}

void ChannelCore::check_idle() const noexcept {
  TAILRACE_CHECK(senders_.first() == nullptr && receivers_.first() == nullptr,
                 "a channel, context or timer was destroyed while somebody waits on it");
}

void ChannelCore::unlock() noexcept {
  // Relaxed: see hint() and size().
  const bool is_closed = closed_.load(std::memory_order_relaxed);
  const std::size_t count = size();
  std::uint32_t hint = 0;
  if (is_closed || count < capacity_ || receivers_.first() != nullptr) hint |= bit(Side::kSend);
  if (is_closed || count > 0 || senders_.first() != nullptr) hint |= bit(Side::kReceive);
  if (hint != hint_.load(std::memory_order_relaxed)) hint_.store(hint, std::memory_order_relaxed);
  // The last access: whoever gets the lock next may be the one who destroys the channel.
  lock_.unlock();
}

Case* ChannelCore::claim_first(CaseLine& line, ChannelStatus status) noexcept {
  while (Case* waiting = line.first()) {
    line.remove(waiting);
    if (!waiting->wait->claim()) continue;  // another case of its select has won, or its deadline
    waiting->status = status;
    *waiting->winner = waiting;
    return waiting;
  }
  return nullptr;
}

void ChannelCore::append(void* value) noexcept {
  const std::size_t count = size();
  ops_.move(place(wrapped(head_ + count)), value);
  count_.store(count + 1, std::memory_order_relaxed);  // as size()
}

ChannelStatus ChannelCore::send_locked(void* value, ClaimedWait*& wake) noexcept {
  // Relaxed: written under the lock.
  if (closed_.load(std::memory_order_relaxed)) return ChannelStatus::kClosed;
  if (Case* receiver = claim_first(receivers_, ChannelStatus::kOk)) {
    ops_.move(receiver->slot, value);
    wake = receiver->wait;
    return ChannelStatus::kOk;
  }
  if (size() == capacity_) return ChannelStatus::kWouldBlock;
  append(value);
  return ChannelStatus::kOk;
}

ChannelStatus ChannelCore::receive_locked(void* slot, ClaimedWait*& wake) noexcept {
  if (const std::size_t count = size(); count > 0) {
    ops_.take(slot, place(head_));
    head_ = wrapped(head_ + 1);
    count_.store(count - 1, std::memory_order_relaxed);  // as size()
    if (Case* sender = claim_first(senders_, ChannelStatus::kOk)) {
      append(sender->slot);
      wake = sender->wait;
    }
    return ChannelStatus::kOk;
  }
  if (Case* sender = claim_first(senders_, ChannelStatus::kOk)) {
    ops_.move(slot, sender->slot);
    wake = sender->wait;
    return ChannelStatus::kOk;
  }
  // Relaxed: written under the lock.
  return closed_.load(std::memory_order_relaxed) ? ChannelStatus::kClosed
                                                 : ChannelStatus::kWouldBlock;
}

ChannelStatus ChannelCore::try_locked(Side side, void* slot, ClaimedWait*& wake) noexcept {
  return side == Side::kSend ? send_locked(slot, wake) : receive_locked(slot, wake);
}

ChannelStatus ChannelCore::try_operate(Side side, void* slot) {
  if (!hint(side)) return ChannelStatus::kWouldBlock;
  ClaimedWait* wake = nullptr;
  lock();
  const ChannelStatus status = try_locked(side, slot, wake);
  unlock();
  if (wake != nullptr) wake->wake();
  return status;
}

struct ChannelCore::Waiting {
  Case waiting;
  ClaimedWait wait;
  Case* winner = nullptr;
};

// After the switch: tries again, then joins the line.
bool ChannelCore::commit(void* call) {
  auto* self = static_cast<Waiting*>(call);
  ChannelCore* const channel = self->waiting.channel;
  ClaimedWait* wake = nullptr;
  channel->lock();
  const ChannelStatus status = channel->try_locked(self->waiting.side, self->waiting.slot, wake);
  if (status == ChannelStatus::kWouldBlock) {
    channel->join_line(&self->waiting);
    channel->unlock();
    return true;
  }
  self->waiting.status = status;
  channel->unlock();
  if (wake != nullptr) wake->wake();
  return false;
}

ChannelStatus ChannelCore::operate(Side side, void* slot, std::int64_t deadline_ns) {
  const ChannelStatus status = try_operate(side, slot);
  if (status != ChannelStatus::kWouldBlock) return status;
  Waiting call;
  call.waiting.channel = this;
  call.waiting.side = side;
  call.waiting.slot = slot;
  call.waiting.wait = &call.wait;
  call.waiting.winner = &call.winner;
  if (call.wait.wait(WaitReason::kChannel, deadline_ns, commit, &call)) return call.waiting.status;
  lock();
  leave_line(&call.waiting);
  unlock();
  return ChannelStatus::kTimedOut;
}

bool ChannelCore::close() {
  Case* woken = nullptr;
  Case** end = &woken;
  lock();
  // Both operations end now. Said before closed_ is: whoever has seen closed() must not be told by
  // an old hint that it would block, though the lines are still being emptied [sync.close].
  hint_.store(bit(Side::kSend) | bit(Side::kReceive), std::memory_order_relaxed);
  // Release: pairs with closed()'s acquire; the hint goes before it.
  const bool first = !closed_.exchange(true, std::memory_order_release);
  for (CaseLine* line : {&senders_, &receivers_}) {
    while (Case* waiting = claim_first(*line, ChannelStatus::kClosed)) {
      waiting->next = nullptr;
      *end = waiting;  // out of its line: the link is free for this list
      end = &waiting->next;
    }
  }
  unlock();
  while (woken != nullptr) {
    // Read before the wake, after which the case is gone.
    ClaimedWait* const wait = woken->wait;
    woken = woken->next;
    wait->wake();
  }
  return first;
}

Fiber* ChannelCore::send_from_timer(void* value) {
  ClaimedWait* wake = nullptr;
  lock();
  static_cast<void>(send_locked(value, wake));  // full: the tick before was not taken yet
  unlock();
  if (wake == nullptr) return nullptr;
  Fiber* const fiber = wake->fiber();
  if (fiber != nullptr && fiber->scheduler == &current_worker()->scheduler()) return fiber;
  wake->wake();
  return nullptr;
}

}  // namespace tailrace::fiber::internal
