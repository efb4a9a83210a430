#include "gcruntime/sync/context.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "gcruntime/base/check.h"
#include "gcruntime/base/spin_lock.h"
#include "gcruntime/os/clock.h"

namespace tailrace::fiber {
namespace internal {
namespace {

constexpr ElementOps kNoElements{};
// Children that cancel takes while it holds their parent's lock: some microseconds.
constexpr std::size_t kAtOnce = 64;
// Relaxed: statistics.
constinit std::atomic<std::size_t> records{0};
constinit std::atomic<std::size_t> most_at_once{0};

}  // namespace

struct ContextRecord {
  ContextRecord(ContextRecord* above, std::int64_t deadline) noexcept
      : parent(above), deadline_ns(deadline) {
    records.fetch_add(1, std::memory_order_relaxed);
  }
  ~ContextRecord() { records.fetch_sub(1, std::memory_order_relaxed); }
  ContextRecord(const ContextRecord&) = delete;
  ContextRecord& operator=(const ContextRecord&) = delete;

  // Relaxed: whoever adds one holds one.
  void add_reference() noexcept { references.fetch_add(1, std::memory_order_relaxed); }
  // False if it is dying. The parent's lock, under which it is called, keeps the record's memory.
  bool add_reference_if_alive() noexcept {
    std::uint32_t count = references.load(std::memory_order_relaxed);
    while (count != 0) {
      // Relaxed: as add_reference.
      if (references.compare_exchange_weak(count, count + 1, std::memory_order_relaxed,
                                           std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }
  // Sets the error, once. Acq_rel: pairs with error()'s acquire.
  void end(ContextError why) noexcept {
    ContextError none = ContextError::kNone;
    error.compare_exchange_strong(none, why, std::memory_order_acq_rel, std::memory_order_acquire);
  }
  bool overdue() const noexcept {
    return deadline_ns != Context::kNever && deadline_ns <= os::now_ns();
  }
  ContextError present_error() noexcept {
    // Acquire: pairs with end's release.
    const ContextError known = error.load(std::memory_order_acquire);
    if (known != ContextError::kNone || !overdue()) return known;
    end(ContextError::kDeadline);
    return error.load(std::memory_order_acquire);
  }

  void join_parent() noexcept;
  void leave_parent() noexcept;
  void take_some_children(ContextRecord*& stack) noexcept;
  static void drop(ContextRecord* record) noexcept;
  static void cancel(ContextRecord* record);

  std::atomic<std::uint32_t> references{1};
  std::atomic<ContextError> error{ContextError::kNone};
  ContextRecord* const parent;  // a reference; null: the background
  const std::int64_t deadline_ns;
  ChannelCore channel{kNoElements, nullptr, 0};  // closed by cancel; nothing is sent

  base::SpinLock lock;                // outside sections, as a channel's
  ContextRecord* children = nullptr;  // guarded by lock
  // In the parent's list; guarded by the parent's lock. Once taken out by cancel, `next` is
  // cancel's.
  bool listed = false;
  ContextRecord* next = nullptr;
  ContextRecord* previous = nullptr;
};

void ContextRecord::join_parent() noexcept {
  if (parent == nullptr) return;
  std::lock_guard guard(parent->lock);
  // Relaxed: cancel sets it under this lock; a deadline that passed is this record's too.
  const ContextError ended = parent->error.load(std::memory_order_relaxed);
  if (ended != ContextError::kNone) {
    end(ended);
    return;
  }
  next = parent->children;
  if (next != nullptr) next->previous = this;
  parent->children = this;
  listed = true;
}

void ContextRecord::leave_parent() noexcept {
  std::lock_guard guard(parent->lock);
  if (!listed) return;
  (previous == nullptr ? parent->children : previous->next) = next;
  if (next != nullptr) next->previous = previous;
  listed = false;
}

// Under the lock, with the error set: so they end before anybody finds the list without them.
void ContextRecord::take_some_children(ContextRecord*& stack) noexcept {
  const ContextError why = error.load(std::memory_order_relaxed);  // set by the caller
  std::size_t taken = 0;
  for (; children != nullptr && taken < kAtOnce; ++taken) {
    ContextRecord* const child = children;
    children = child->next;
    if (children != nullptr) children->previous = nullptr;
    child->listed = false;
    // One that dies waits for the lock to leave the list, and finds that it has left.
    if (!child->add_reference_if_alive()) continue;
    child->end(child->overdue() ? ContextError::kDeadline : why);
    child->next = stack;
    stack = child;
  }
  if (taken > most_at_once.load(std::memory_order_relaxed)) {
    most_at_once.store(taken, std::memory_order_relaxed);
  }
}

void ContextRecord::drop(ContextRecord* record) noexcept {
  // Acq_rel: the last one sees what the others did before it frees the record.
  while (record != nullptr && record->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    ContextRecord* const above = record->parent;
    if (above != nullptr) record->leave_parent();
    delete record;
    record = above;
  }
}

void ContextRecord::cancel(ContextRecord* record) {
  record->add_reference();
  // Linked by `next`, and a reference each. At the bottom stands `record`, which is still in its
  // parent's list: its `next` is not ours.
  ContextRecord* stack = record;
  while (stack != nullptr) {
    ContextRecord* const now = stack;
    bool all_taken = false;
    {
      std::lock_guard guard(now->lock);
      now->end(now->overdue() ? ContextError::kDeadline : ContextError::kCancelled);
      now->take_some_children(stack);
      all_taken = now->children == nullptr;
    }
    // At the first visit; two who do so at once do no harm.
    if (!now->channel.closed()) now->channel.close();
    if (stack != now || !all_taken) continue;  // it is visited again after those above it
    stack = now == record ? nullptr : now->next;
    drop(now);
  }
}

ChannelStatus status_of(ContextError error) noexcept {
  return error == ContextError::kDeadline ? ChannelStatus::kTimedOut : ChannelStatus::kCancelled;
}

std::size_t context_records() noexcept { return records.load(std::memory_order_relaxed); }
std::size_t most_children_at_once() noexcept {
  return most_at_once.load(std::memory_order_relaxed);
}

}  // namespace internal

using internal::ContextRecord;

Context::Context(const Context& other) noexcept : record_(other.record_) {
  if (record_ != nullptr) record_->add_reference();
}
Context::~Context() { ContextRecord::drop(record_); }

ContextError Context::error() const noexcept {
  return record_ == nullptr ? ContextError::kNone : record_->present_error();
}
std::int64_t Context::deadline_ns() const noexcept {
  return record_ == nullptr ? kNever : record_->deadline_ns;
}
std::int64_t Context::remaining_ns() const noexcept {
  if (done()) return 0;
  const std::int64_t deadline = deadline_ns();
  return deadline == kNever ? kNever : std::max<std::int64_t>(0, deadline - os::now_ns());
}

void Context::fill(internal::Case& one) const noexcept {
  if (record_ == nullptr) return;
  one.channel = &record_->channel;
  one.side = internal::Side::kReceive;
  // Ended by its deadline, and seen to be: ready, though the channel stays open. Or cancelled, and
  // the channel is about to be closed: ready at once. Acquire: as present_error.
  const bool ended = record_->error.load(std::memory_order_acquire) != ContextError::kNone;
  one.deadline_ns = ended ? 0 : record_->deadline_ns;
}

bool Context::wait_until(std::int64_t deadline_ns) const {
  TAILRACE_CHECK(record_ != nullptr || deadline_ns != kNever,
                 "a wait for the background context, which never ends");
  internal::Case cases[2];
  fill(cases[0]);
  cases[1].deadline_ns = deadline_ns;
  internal::select_cases(cases, 2, false);
  return done();
}

void CancelScope::cancel() {
  if (record_ != nullptr) ContextRecord::cancel(record_);
}

CancelScope with_deadline(const Context& parent, std::int64_t deadline_ns) {
  ContextRecord* const above = parent.record_;
  auto* const record = new ContextRecord(above, std::min(deadline_ns, parent.deadline_ns()));
  if (above != nullptr) above->add_reference();
  record->join_parent();
  if (record->error.load(std::memory_order_relaxed) != ContextError::kNone) {
    record->channel.close();  // relaxed: nobody else knows it; nobody waits yet
  }
  return CancelScope(record);
}
CancelScope with_cancel(const Context& parent) { return with_deadline(parent, Context::kNever); }
CancelScope with_timeout(const Context& parent, std::int64_t timeout_ns) {
  return with_deadline(parent, deadline_after(timeout_ns));
}

ContextError sleep_for_ns(const Context& context, std::int64_t duration_ns) {
  context.wait_until(deadline_after(duration_ns));
  return context.error();
}

}  // namespace tailrace::fiber
