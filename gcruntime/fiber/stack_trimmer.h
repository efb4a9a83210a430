// Gives back the pages of stacks that rest: a parked fiber's below its stack pointer, and all but
// the top of an idle one. A thread of the scheduler's, which makes a pass after each collection
// cycle (ten a second at most) and otherwise at a slow tick. What is at rest in two passes, without
// having run between them, is trimmed.
//
// [fiber.trim] The stack must not be trimmed while somebody runs on it, and a switch must not pay
// for that. Fiber::rest is written by the trimmer; whoever is about to run on a stack only looks at
// it:
//
//   the trimmer                                  who resumes, or takes an idle record
//   T1 rest: kSeen -> kClaimed   (CAS)           R1 state = kReady        (plain store)
//   T2 membarrier: a full fence on every         R2 read rest             (plain load)
//      running thread of the process                not kRan: leave_rest()
//   T3 rest: kClaimed -> kTrimming (CAS)
//   T4 read state: kParked or kIdle, or no trim
//   T5 madvise below the saved pointer
//   T6 rest = kTrimmed (release)
//
// R1 and R2 are a store and a load of different words, which a processor may swap: T2 is the fence
// between them. If R2 was before T2 on its processor, then so was R1, and T4 sees it (kReady or
// what followed) and lets go. If R2 comes after T2 it sees T1. Then leave_rest() takes the claim
// back by a CAS, or, when T3 was first, waits for T6. A fiber that ran and parked again between R2
// and T4 is at rest again: T4's acquire brings the new pointer, and its next R2 is after T2. kReady
// is never trimmed: a spawn writes captures and the first frame below the saved pointer in that
// state.
//
// R1 of a parked fiber may be another thread's (ready) than R2 (the worker that dequeues it): the
// queue orders the two, and a fence on both comes between just the same.
//
// A record that is destroyed is taken off its list and out of the trimmer's claims under the list's
// lock, which T1 and T3 hold too, and then leaves its rest: so the trimmer touches none that is gone.
// (A claim that was taken back still stands among the claims, and its fiber may end before T3 comes.)
// The collector reads above the saved pointer only: it and the trimmer do not meet.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "gcruntime/base/annotations.h"
#include "gcruntime/fiber/fiber_record.h"
#include "gcruntime/fiber/perturbation.h"

namespace tailrace::fiber {

class Registry;

// R2: before anything is written to the stack or a switch to it. The caller has stored kReady (or
// kReady was stored before the entry was queued).
void leave_rest_slow(Fiber* fiber) noexcept;
TAILRACE_ALWAYS_INLINE void leave_rest(Fiber* fiber) noexcept {
  // The compiler keeps R1 before R2; the processor's order is T2's business.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  // Acquire: pairs with T6; what is written to the stack comes after the madvise.
  if (__builtin_expect(fiber->rest.load(std::memory_order_acquire) != Rest::kRan, 0)) {
    leave_rest_slow(fiber);
  }
}

// Relaxed counts; written by the trimmer and by those who destroy records.
struct StackCounts {
  // Pages that a stack was found to have touched since it was made, trimmed, or last looked at.
  // Looked at is a stack when it is trimmed and when it goes back to the pool, so a page that was
  // touched is counted later, and one that was touched twice between two looks is counted once.
  std::atomic<std::uint64_t> faults{0};
  std::atomic<std::uint64_t> trims{0};  // of stacks that had pages to give back
  std::atomic<std::uint64_t> trimmed_bytes{0};

  // Counts the pages that the stack has by now; returns those of [stack.low, keep).
  std::size_t look_at(Fiber* fiber, const char* keep) noexcept;
};

class StackTrimmer {
 public:
  explicit StackTrimmer(Registry& registry) noexcept : registry_(registry) {}
  ~StackTrimmer();
  StackTrimmer(const StackTrimmer&) = delete;
  StackTrimmer& operator=(const StackTrimmer&) = delete;

  // Called by the scheduler's start and stop. every_ns: the slow tick; 0: nothing is trimmed. Nor
  // is it where the kernel has no membarrier or no thread can be had, which is said on stderr.
  void start(std::int64_t every_ns, std::uint64_t perturb_seed);
  void stop();
  // A cycle has come by. Async-signal-safe; also while the world is stopped.
  void ring() noexcept;
  // A record is about to go. The list is locked.
  void forget(const Fiber* fiber) noexcept {
    for (Fiber*& claim : claims_) {
      if (claim == fiber) claim = nullptr;
    }
  }

 private:
  static constexpr std::size_t kMostClaims = 64;

  void main();
  bool pass();
  std::size_t claim_some(bool& more);
  Fiber* take_claim(std::size_t index) noexcept;
  void trim(Fiber* fiber) noexcept;
  bool wait(std::int64_t timeout_ns, bool for_bell) noexcept;

  Registry& registry_;
  Fiber* claims_[kMostClaims] = {};  // T1 to T3; null: done. Guarded by the list's lock
  std::thread thread_;
  // Eventfds: a cycle has come by (release in start, acquire in ring); the thread should end.
  std::atomic<int> bell_fd_{-1};
  int stop_fd_ = -1;
  std::int64_t every_ns_ = 0;
  Perturbation perturb_{0, 0};  // the thread's own
};

}  // namespace tailrace::fiber
