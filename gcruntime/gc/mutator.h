// A mutator is an OS thread that may touch managed memory, as the collector sees it: the record of
// an attached thread, the protocol by which it is asked and stopped, and the seam through which the
// scheduler tells the collector about stacks that no thread is running on.
//
// [gc.handshake] The collector asks every thread for the same thing (to change its phase, to show its
// stack) and goes on when all have done it; nobody waits for anybody else. status_ is kRunning, kNative,
// kClaimed or kStopped.
//   collector                                   mutator
//   A1 stop_request = kAskAnswer (seq_cst)      B1 status kNative -> kRunning (CAS, seq_cst)
//   A2 status kNative -> kClaimed (CAS):        B2 read stop_request (seq_cst): if asked, answer
//      answers in its place, then -> kNative
// A running thread answers at a poll (allocation slow path, fiber switch) or, after 100 us, in the
// handler of a signal; in a flagged section the handler only leaves a mark that the section's exit
// answers. A native thread touches nothing managed and its registers are spilled into a frame that
// stays, so the collector may answer for it; B1 fails while it does, and the thread waits. Whoever
// passes B1 before A2 is running, and is waited for.
//
// [gc.stop] Stop-the-world is the same with another request: who answers waits until it is withdrawn.
// Store-then-load on both sides: if the collector reads kNative or kStopped after A1 then B1 came after
// it, so B2 sees the request and the thread goes back to kStopped before it touches managed memory.
//
// So whoever answers is never inside a section: whatever locks the collector needs (span lists, fiber
// list, root table) are taken inside sections only. The collector calls neither malloc nor stdio while
// the world is stopped or a thread is claimed: a thread may be inside them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "gcruntime/base/spin_lock.h"
#include "gcruntime/base/thread_state.h"
#include "gcruntime/gc/grey_buffer.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/phase.h"
#include "gcruntime/gc/stack_copy.h"
#include "gcruntime/heap/worker_cache.h"

namespace tailrace::heap {
struct ArenaBlock;
}

namespace tailrace::gc {

class Arena;

class Mutator {
 public:
  enum class Status : std::uint32_t { kRunning, kNative, kClaimed, kStopped };

  // The span caches and the allocation counters, what the barrier shaded and no marker has seen, and the
  // slot bytes of that: only the own thread touches them, in sections, and the collector while this
  // thread is stopped or claimed.
  heap::WorkerCache cache;
  GreyBuffer greys;
  std::uint64_t shaded_bytes = 0;
  AllocCounts counts() const noexcept { return cache.counts; }  // by the own thread
  // Of the fiber that runs, or of a thread without one; the scheduler sets it inside the switch's section.
  Arena* arena = nullptr;
  ArenaCounts arena_counts;
  // For its next arenas: the own thread's, in sections, and the collector's while it is stopped or claimed.
  heap::ArenaBlock* arena_blocks = nullptr;
  Arena* spare_arena = nullptr;
  // Relaxed: only the own thread makes it so; elsewhere a moment's reading.
  bool in_native_scope() const noexcept {
    return status_.load(std::memory_order_relaxed) == Status::kNative;
  }

  // The stack the thread runs on now: the thread's own, or a fiber's. [low, high). The scheduler sets
  // them inside the switch's section.
  // `scan`: the stack's scan word if it may move to another thread, else null.
  void set_stack(const void* low, const void* high, std::atomic<std::uint64_t>* scan) noexcept {
    stack_low_ = reinterpret_cast<std::uintptr_t>(low);
    stack_high_ = reinterpret_cast<std::uintptr_t>(high);
    stack_scan_ = scan;
  }
  // While a fiber runs: where the thread's own (suspended) scheduler frames begin. 0: not on a fiber.
  void set_thread_frames(const void* saved_sp) noexcept {
    thread_frames_ = reinterpret_cast<std::uintptr_t>(saved_sp);
  }
  // On the stack the thread runs on now, or on its own.
  bool on_own_stack(std::uintptr_t address) const noexcept {
    return address - stack_low_ < stack_high_ - stack_low_ ||
           address - thread_stack_low_ < thread_stack_high_ - thread_stack_low_;
  }
  // Of the stack the thread runs on now; for those who must know how much of it is left.
  std::uintptr_t stack_low() const noexcept { return stack_low_; }
  std::uintptr_t stack_high() const noexcept { return stack_high_; }
  std::uintptr_t thread_stack_low() const noexcept { return thread_stack_low_; }
  std::uintptr_t thread_stack_high() const noexcept { return thread_stack_high_; }

 private:
  friend class World;

  std::uintptr_t stack_low_ = 0;
  std::uintptr_t stack_high_ = 0;
  std::atomic<std::uint64_t>* stack_scan_ = nullptr;
  std::uintptr_t thread_frames_ = 0;
  std::uintptr_t thread_stack_low_ = 0;
  std::uintptr_t thread_stack_high_ = 0;

  // --- Handshakes; see handshake.cc. ---
  // The last one that was answered. Release by who answers, acquire by the collector.
  std::atomic<std::uint64_t> answered_{0};
  volatile std::uint8_t* phase_ = nullptr;  // the thread's byte
  // What its answer to a round's handshake shows: words of stacks and registers, copied.
  StackCopy copy_;
  std::uint64_t black_from_bytes_ = 0;  // allocated when it began to allocate black
  bool hold_ = false;  // its stack outran the marker: holds still for a moment [gc.hold]

  // Valid while status_ is not kRunning: all live managed pointers of the thread lie in
  // [scan_low_, stack_high_) or in the signal frame.
  std::uintptr_t scan_low_ = 0;
  const void* signal_context_ = nullptr;
  std::atomic<Status> status_{Status::kRunning};
  // Waits for start(), or has not been on a core since: the next stop lets it pass first.
  std::atomic<bool> held_{false};
  // To this thread, for the stop under way.
  std::atomic<bool> signal_sent_{false};
  int thread_id_ = 0;
  void* signal_stack_ = nullptr;
  // What sigaltstack had before the thread was attached.
  void* previous_signal_stack_ = nullptr;
  std::size_t previous_signal_stack_bytes_ = 0;
  int previous_signal_stack_flags_ = 0;
  Mutator* next_ = nullptr;  // World's list, under its lock
};

// Attaches the calling thread for the scope's life. Allocating, storing through Member or writing a
// Root on an unattached thread stops the program with a message. Nested scopes are fine. The thread
// gets an alternate signal stack; SIGRTMIN+5 is ours on it.
class ThreadScope {
 public:
  ThreadScope();
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  bool outermost_;
};

// --- Flagged sections --------------------------------------------------------------------------

// Answers a stop request; the thread is stopped and resumed inside.
void poll_slow() noexcept;
// 0, or what is asked of every thread.
inline constexpr std::uint32_t kAskStop = 1;
inline constexpr std::uint32_t kAskAnswer = 2;
extern std::atomic<std::uint32_t> stop_request;

// A place where the thread may be stopped. Never inside a section. One load when nobody asks.
TAILRACE_ALWAYS_INLINE void poll() noexcept {
  // Relaxed: a late look is answered by the next poll or by the signal.
  if (__builtin_expect(stop_request.load(std::memory_order_relaxed) != 0, 0)) poll_slow();
}

TAILRACE_ALWAYS_INLINE void enter_section() noexcept {
  TAILRACE_DCHECK(!base::in_section(), "flagged sections do not nest");
  base::set_section();
}
TAILRACE_ALWAYS_INLINE void leave_section() noexcept {
  base::clear_section();
  if (__builtin_expect(base::pending(), 0)) poll_slow();
}
class Section {
 public:
  TAILRACE_ALWAYS_INLINE Section() noexcept { enter_section(); }
  TAILRACE_ALWAYS_INLINE ~Section() { leave_section(); }
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;
};

// A lock that the collector takes too while the world is stopped: held only inside a section.
using SectionLock = base::SpinLock;

// --- Native scopes -----------------------------------------------------------------------------

// Runs `function` with the thread counted as stopped: it may block, and must not touch managed memory
// (nor pointers to it beyond holding them). The caller's registers are spilled into a frame that stays
// until the function returns. Nested calls just run the function. Works unattached too.
void run_native(void (*function)(void*), void* argument) noexcept;

template <typename F>
void native(F&& function) noexcept {
  run_native([](void* callable) { (*static_cast<std::remove_reference_t<F>*>(callable))(); },
             &function);
}

// --- Stacks that no thread runs on -------------------------------------------------------------

// The collector asks it for the stacks of fibers that are not running. Must not allocate, and may take
// SectionLocks.
class StackSource {
 public:
  // [low, high): from the saved stack pointer (the saved registers lie above it) to the base.
  using Visit = void (*)(void* visitor, const void* low, const void* high);
  // While the world is stopped.
  virtual void for_each_parked_stack(Visit visit, void* visitor) noexcept = 0;
  // Of these, in a cycle that marks beside: those that have not run since their scan, nor been written to.
  virtual void for_each_clean_stack(Visit visit, void* visitor) noexcept = 0;
  // [gc.scan] While it runs: visits, each under a claim, the parked stacks that the round lacks; some at
  // a time. kBusy: the next one is being resumed just now. Those that others may write to by reference
  // [gc.shared] come last, and in every round, unless they are resumed before.
  enum class Walk { kDone, kMore, kBusy };
  virtual void begin_round() noexcept = 0;
  virtual Walk scan_some(std::uint64_t round, Visit visit, void* visitor) noexcept = 0;
  // Some thread of its has nothing to run, so that marking beside it takes nobody's processor.
  virtual bool has_idle_thread() const noexcept = 0;
  // For MemStats: bytes in use and in all, resident estimate.
  virtual void stack_bytes(std::uint64_t& inuse, std::uint64_t& sys) const noexcept = 0;

 protected:
  ~StackSource() = default;
};
// [gc.scan] [gc.late] A stack that moves between threads is about to run on this one, with the barrier
// on: waits while it is claimed, and scans [low, high) if the open round lacks it. `shared`: others may
// have written to it since it was scanned. In a section.
void enter_stack(Mutator& self, std::atomic<std::uint64_t>& scan, const void* low, const void* high,
                 bool shared) noexcept;

// Registers and unregisters; waits for a handshake under way. Any thread.
void add_stack_source(StackSource* source);
void remove_stack_source(StackSource* source);

inline constexpr const char* kNativeTouch =
    "managed memory was touched in a native scope (Asio's handlers run in one), where the "
    "collector does not wait for the thread: leave it to the fiber";
// For those who touch it without asking for the record. Debug builds only.
inline void check_may_touch() noexcept {
#if TAILRACE_DCHECKS
  const Mutator* const current = base::current_mutator();
  TAILRACE_CHECK(current == nullptr || !current->in_native_scope(), kNativeTouch);
#endif
}

// The calling thread's record; the thread must be attached.
inline Mutator* attached_mutator() noexcept {
  Mutator* current = base::current_mutator();
  TAILRACE_CHECK(current != nullptr,
                 "managed memory was touched by a thread that is not attached: hold a "
                 "tailrace::gc::ThreadScope on it, or run the code on a fiber");
  return current;
}
// The same for those who go on to touch managed memory.
inline Mutator* mutator() noexcept {
  Mutator* current = attached_mutator();
  TAILRACE_DCHECK(!current->in_native_scope(), kNativeTouch);
  return current;
}

}  // namespace tailrace::gc
