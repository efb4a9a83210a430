// What fibers allocate for the one that spawned them: so that a request's figures include its helpers'.
//
//   fiber::SpawnAccount account(&add_late, &route);   // on the fiber that is to be charged
//   const gc::AllocCounts before = fiber::alloc_counts();
//   handle(request);                                  // may spawn
//   account.close();
//   const gc::AllocCounts used = fiber::alloc_counts() - before + account.settled();
//
// [fiber.account] Fibers that are spawned while the account stands, and those that they spawn, settle: at
// their end, before who joins them goes on, and when they say done() to a WaitGroup. What is settled before
// close() is in settled(); all that comes later is given to `late`, on the fiber that allocated it, for as
// long as it lives. Each byte is in one of them. (A value that comes through a channel settles nothing: its
// sender is still at work.)
//
// A fiber without an account and its children pay two loads for it. The account is its fiber's; `late` is
// called on any fiber, neither waits nor throws, and what it writes to outlives the scheduler's fibers.
#pragma once

#include "gcruntime/heap/alloc_counts.h"

namespace tailrace::fiber {

class Fiber;
namespace internal {
class Ledger;
}

class SpawnAccount {
 public:
  using Late = void (*)(void* to, const gc::AllocCounts& counts) noexcept;

  // Until its end the calling fiber's, instead of one that it has.
  SpawnAccount(Late late, void* to) noexcept;
  // Closes it; if nobody has before, what was settled is late too.
  ~SpawnAccount();
  SpawnAccount(const SpawnAccount&) = delete;
  SpawnAccount& operator=(const SpawnAccount&) = delete;

  // Nothing has been spawned: settled() is all zero.
  bool empty() const noexcept { return ledger_ == nullptr; }
  // What has been settled so far, up to close().
  gc::AllocCounts settled() const noexcept;
  // From now on all is late. False: it is empty.
  bool close() noexcept {
    closed_ = true;
    if (ledger_ == nullptr) [[likely]]
      return false;
    close_ledger();
    return true;
  }

 private:
  friend class internal::Ledger;

  void close_ledger() noexcept;

  const Late late_;
  void* const to_;
  Fiber* const fiber_;
  SpawnAccount* const outer_;
  internal::Ledger* ledger_ = nullptr;  // made by the first spawn
  bool closed_ = false;
};

namespace internal {

// One spawned fiber's part, from its spawn to its end.
struct Bill {
  Ledger* ledger;           // a reference
  gc::AllocCounts settled;  // of what the fiber allocated
};

// For a fiber that `spawner` (null: a thread) is about to spawn; null: nobody asks. May throw bad_alloc.
Bill* bill_for_spawn(Fiber* spawner);
// Of the calling fiber, if it has one; on a thread without a fiber nothing.
void settle_own() noexcept;
// Of the calling fiber, which has one.
void end_bill(Fiber* self) noexcept;

}  // namespace internal
}  // namespace tailrace::fiber
