// A Context says when work is to end: by a deadline, or because somebody cancelled it. It is handed
// down by value; children end with their parents.
//
//   CancelScope limited = with_timeout(context, 50'000'000);   // ends when it goes out of scope
//   while (auto item = items.receive(limited)) use(*item);
//   if (limited.error() == ContextError::kDeadline) ...
//
// Handles share a record by reference count: contexts stand in closures and std containers as well
// as on stacks, and a dropped child must leave its parent's list at once, not at some cycle's end.
// The record keeps its parent; the parent only knows its children. It holds no managed pointer.
//
// [sync.context] A deadline is no timer: whatever waits under a context waits with the context's
// deadline, which is never later than its parent's, and error() compares it with the clock. So
// nobody has to be told when it passes, and a deadline that is never reached costs no timer. Only
// cancel() goes down the tree, without recursion: under a record's lock it sets the error and takes
// the first children out of the list, with a reference each; then it closes the record's channel,
// on which waiters stand, cancels those children, and comes back for the next ones. A few at a
// time, so that a parent of many holds nobody up for long who makes or drops a child of it:
//   a child joins meanwhile         it finds the error under the lock and ends at once: the list
//                                   only becomes shorter once the error is set
//   a child dies meanwhile          it is in the list, so its memory stays until it has had the
//                                   lock; cancel takes it out without a reference, it finds itself
//                                   out and goes. Or it was first, and cancel never meets it
//   a child is ended by its parent  it is ended under the parent's lock, before its own: a
//                                   grandchild that joins it in between is in its list, or saw the
//                                   error, when cancel comes to it with its lock
//   two cancel at once              each takes other children. Whoever finds the list empty may
//                                   return while the other is still on the way down
//
// Any thread may use a handle; one handle is written by one thread at a time.
#pragma once

#include <cstdint>
#include <utility>

#include "gcruntime/sync/channel_core.h"

namespace tailrace::fiber {

enum class ContextError : std::uint8_t { kNone, kCancelled, kDeadline };

class CancelScope;
namespace internal {
struct ContextRecord;
}

class Context {
 public:
  static constexpr std::int64_t kNever = ClaimedWait::kNever;

  // The background: never ends.
  Context() = default;
  static Context background() noexcept { return {}; }
  Context(const Context& other) noexcept;
  Context(Context&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  Context& operator=(Context other) noexcept {
    std::swap(record_, other.record_);
    return *this;
  }
  ~Context();

  // kNone while the work may go on. Once it is something else it stays so. What the canceller wrote
  // before is visible then.
  ContextError error() const noexcept;
  bool done() const noexcept { return error() != ContextError::kNone; }
  // On the monotonic clock (os::now_ns); kNever: none.
  std::int64_t deadline_ns() const noexcept;
  // Until the deadline: 0 if it has passed or the work was cancelled; kNever: none.
  std::int64_t remaining_ns() const noexcept;
  // Suspends until it is done or the deadline comes; false then. A background needs a deadline.
  bool wait_until(std::int64_t deadline_ns = kNever) const;

  // For select and channels: a case that is ready when the context is done.
  void fill(internal::Case& one) const noexcept;

 protected:
  explicit Context(internal::ContextRecord* record) noexcept : record_(record) {}
  internal::ContextRecord* record_ = nullptr;

 private:
  friend CancelScope with_deadline(const Context& parent, std::int64_t deadline_ns);
};

// A Context that its maker ends: by cancel(), or by letting it go. Copies of it as Context live on.
class [[nodiscard]] CancelScope : public Context {
 public:
  CancelScope(CancelScope&& other) noexcept = default;
  CancelScope& operator=(CancelScope&&) = delete;
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;
  ~CancelScope() { cancel(); }

  // Ends it and its descendants, and wakes whoever waits under them. Does not suspend. If another
  // cancel(), of it or above it, is under way, some descendants may end only a moment after this one
  // has returned; the children have ended.
  void cancel();

 private:
  friend CancelScope with_deadline(const Context& parent, std::int64_t deadline_ns);
  using Context::Context;
};

CancelScope with_cancel(const Context& parent);
CancelScope with_deadline(const Context& parent, std::int64_t deadline_ns);
CancelScope with_timeout(const Context& parent, std::int64_t timeout_ns);

// Suspends for that long, or until the context is done; its error.
ContextError sleep_for_ns(const Context& context, std::int64_t duration_ns);

namespace internal {
// How an operation under a context that ended before it looks like.
ChannelStatus status_of(ContextError error) noexcept;
// For tests: records that are alive; the most children that a cancel took while it held one lock.
std::size_t context_records() noexcept;
std::size_t most_children_at_once() noexcept;
}  // namespace internal

}  // namespace tailrace::fiber
