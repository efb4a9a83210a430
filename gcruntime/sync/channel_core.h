// What every channel is inside, without its element type: a lock, a ring, a line of senders and a
// line of receivers. select.h, context.h and alarm.h build on it too.
//
// Invariants, under the lock: whoever stands in the line of receivers and is not claimed elsewhere
// finds the ring empty; whoever so stands in the line of senders finds it full. After close() the
// lines stay empty. Lines are first in, first out.
//
// [sync.channel] A blocking operation tries under the lock; if it would block, it leaves the fiber,
// and its commit tries again under the lock and only then joins the line. So between "it would
// block" and "it stands in line" nobody else holds the lock: no wake is lost, and no lock is held
// over a switch. A sender that finds a receiver in line claims it [sync.claim] and moves the value
// straight into the receiver's frame, and a receiver that makes room moves the first waiting
// sender's value into the ring, both under the lock: a value is in one place at a time.
//
// [sync.select] A select stands in the lines of all its cases with one ClaimedWait. To join, its
// commit holds the locks of all its channels (taken in the order of their addresses), so it tries
// all and joins all as one step: whoever comes later finds it in every line.
//   two channels become ready at once    both find it, one claims; the other looks further down its
//                                        own line, and its value stays with it
//   claimed before the commit unlocked   cannot be: the claimer needs a lock that the commit holds.
//     (all of them)                      With the last lock of one line it may be woken while the
//                                        commit unlocks the rest; it cannot return before, because
//                                        it takes every other lock once to leave that line
//   deadline against claim               one word, one CAS; the timer claims under its heap's lock,
//                                        held by the commit until it has joined everywhere
// Lock order: timer heap, channels by address, then none that the collector takes: wakes come after
// the unlock. The lock is a spin lock outside sections. A thread that is stopped while it holds one
// does no harm: those who spin for it are stopped as well. So it must not be taken inside a
// section.
//
// [sync.close] close() stores the hint, then closed_ (release), both under the lock, and empties the
// lines; every later unlock stores the same hint. So whoever has seen closed() (acquire) reads that
// hint, takes the lock, which waits for the closer, and is told kClosed or gets what is left: never
// kWouldBlock. With the hint stored by the closer's unlock only:
//   closer  closed_ = true, claims the first of its line ...              hint = both; unlock
//   reader                                 closed(): true, hint: none -> kWouldBlock
//
// Nothing is allocated under the lock. A position in the ring is below its capacity (2^24 at most)
// and wrapped by comparison: no counter runs over.
//
// Elements are moved under the lock, some of them on the scheduler context: an element's move must
// not throw, suspend or use this channel.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/base/spin_lock.h"
#include "gcruntime/sync/claimed_wait.h"

namespace tailrace::fiber {

enum class ChannelStatus : std::uint8_t {
  kOk,          // a value was sent or received
  kClosed,      // not sent; or nothing left to receive, and nothing will come
  kWouldBlock,  // try_ only
  kTimedOut,    // the deadline, or the Context's
  kCancelled,   // the Context was cancelled
};

namespace internal {

class ChannelCore;
enum class Side : std::uint8_t { kSend, kReceive };

// How elements are moved; all null for a core that carries none.
struct ElementOps {
  std::size_t stride = 0;  // bytes from one element of the ring to the next
  // Constructs at `to`; the source stays, moved from.
  void (*move)(void* to, void* from) noexcept = nullptr;
  // The same, and ends the source, which is a place of the ring.
  void (*take)(void* to, void* from) noexcept = nullptr;
};

// One operation that waits or may have to: a case of a select. On its caller's stack.
struct Case {
  // --- Written by the caller. ---
  ChannelCore* channel = nullptr;  // null: never ready
  Side side = Side::kReceive;
  // A value to be sent, or room for one that is received; in the caller's frame, which is scanned.
  void* slot = nullptr;
  std::int64_t deadline_ns = ClaimedWait::kNever;  // when the case is ready by itself
  // --- Guarded by the channel's lock until the wait is over. ---
  ChannelStatus status = ChannelStatus::kWouldBlock;
  bool in_line = false;
  Case* next = nullptr;
  Case* previous = nullptr;
  ClaimedWait* wait = nullptr;
  Case** winner = nullptr;  // where whoever claims says which case it was
};

class CaseLine {
 public:
  Case* first() const noexcept { return first_; }
  void push(Case* waiting) noexcept;
  void remove(Case* waiting) noexcept;

 private:
  Case* first_ = nullptr;
  Case* last_ = nullptr;
};

class ChannelCore {
 public:
  // `ring` has room for `capacity` elements and is its caller's.
  ChannelCore(const ElementOps& ops, void* ring, std::size_t capacity) noexcept;
  ~ChannelCore() { check_idle(); }
  ChannelCore(const ChannelCore&) = delete;
  ChannelCore& operator=(const ChannelCore&) = delete;

  // Suspends until it is done, closed or the deadline. kTimedOut then.
  ChannelStatus operate(Side side, void* slot, std::int64_t deadline_ns);
  // kWouldBlock if it would.
  ChannelStatus try_operate(Side side, void* slot);
  // True if this call closed it. Wakes everybody in line.
  bool close();
  // Stops the program if somebody waits. For whoever is about to destroy it.
  void check_idle() const noexcept;
  // For timers: sends if it would not block, on a core of capacity 1; the fiber to make ready, or
  // null (threads and other schedulers' fibers are woken here).
  Fiber* send_from_timer(void* value);

  std::size_t capacity() const noexcept { return capacity_; }
  // Estimates, unless the caller knows that nobody uses the channel. Relaxed: so they are.
  std::size_t size() const noexcept { return count_.load(std::memory_order_relaxed); }
  // Acquire: pairs with close's release; what was written before close() is visible, and no try_
  // blocks any more [sync.close].
  bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }
  // False: at this moment the operation would block. Relaxed: a hint, looked at again under the
  // lock by whoever is about to wait; a poller that is told otherwise sees its news by coherence.
  bool hint(Side side) const noexcept {
    return (hint_.load(std::memory_order_relaxed) & bit(side)) != 0;
  }

  // --- With the lock held. ---
  void lock() noexcept { lock_.lock(); }
  void unlock() noexcept;
  // Does it if it would not block. `wake`: who is to be woken after the unlock, or null.
  ChannelStatus try_locked(Side side, void* slot, ClaimedWait*& wake) noexcept;
  void join_line(Case* waiting) noexcept { line(waiting->side).push(waiting); }
  void leave_line(Case* waiting) noexcept {
    if (waiting->in_line) line(waiting->side).remove(waiting);
  }

 private:
  static std::uint32_t bit(Side side) noexcept { return side == Side::kSend ? 1 : 2; }
  CaseLine& line(Side side) noexcept { return side == Side::kSend ? senders_ : receivers_; }
  void* place(std::size_t index) const noexcept {
    return static_cast<char*>(ring_) + index * ops_.stride;
  }
  std::size_t wrapped(std::size_t index) const noexcept {
    return index < capacity_ ? index : index - capacity_;
  }
  // The first in line that nobody else has; it is out of the line.
  static Case* claim_first(CaseLine& line, ChannelStatus status) noexcept;
  ChannelStatus send_locked(void* value, ClaimedWait*& wake) noexcept;
  ChannelStatus receive_locked(void* slot, ClaimedWait*& wake) noexcept;
  void append(void* value) noexcept;
  struct Waiting;
  static bool commit(void* call);

  base::SpinLock lock_;
  std::atomic<std::uint32_t> hint_{0};  // bits of sides; written under the lock
  const ElementOps& ops_;
  void* const ring_;
  const std::size_t capacity_;
  std::size_t head_ = 0;               // guarded by the lock, as all below
  std::atomic<std::size_t> count_{0};  // elements in the ring
  std::atomic<bool> closed_{false};
  CaseLine senders_;
  CaseLine receivers_;
};

inline constexpr std::size_t kMaxCases = 32;

// Does one of the cases that are ready, each as likely as the others; its status is written. If
// none is: returns `count` at once if `has_default`, else suspends.
std::size_t select_cases(Case* cases, std::size_t count, bool has_default);

}  // namespace internal
}  // namespace tailrace::fiber
