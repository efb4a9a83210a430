// Calls that block a thread (a file, a name lookup, a library that knows no fibers) without
// blocking a worker: fiber::blocking(f) runs f on a thread of the scheduler's pool while the
// calling fiber is parked, and returns what f returned.
//
//   const std::string text = fiber::blocking([&] { return read_file(path); });
//
// Threads are made when a call finds none idle, up to a bound, and end after some idle time. Beyond
// the bound calls wait in line, first come, first served; a call lies on its caller's stack, so the
// line costs no memory and nothing is ever refused. Where no thread can be had at all, f runs where
// it was called and holds up its worker: slow is better than wrong.
//
// [sync.blocking.limit] The bound may change at any time. Once limit() has returned, under the lock:
//   no call is in line while the pool has no thread, counting those being made
//   nobody is idle while there are more threads than the bound
// Lowered: the idle threads beyond it are dismissed at once, busy ones end after the call that they
// run, before they look at the line; as many as the bound stay, so somebody comes for the line.
// Lowered to 0: whoever is in line is let go to run its call where it is. Raised: a thread is made
// for each call in line, up to the new bound, as such calls may be what the running ones wait for.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/barrier.h"
#include "gcruntime/gc/escape.h"
#include "gcruntime/gc/mutator.h"

namespace tailrace::fiber {

struct BlockingOptions {
  unsigned max_threads = 64;              // 0: f runs where it is called
  std::int64_t idle_ns = 10'000'000'000;  // after which a thread without work ends
};

// Levels and monotonic counts.
struct BlockingStats {
  unsigned threads = 0;  // that work for the pool or are being made
  unsigned idle = 0;     // of them, waiting for work
  std::size_t queued = 0;
  std::uint64_t ran = 0;         // calls ended on a thread of the pool
  std::uint64_t ran_inline = 0;  // calls for which no thread could be had
};

namespace internal {

// One call, on its caller's stack. The pool's from the enqueue until the caller is made ready.
struct BlockingCall {
  void (*run)(BlockingCall* call) noexcept = nullptr;  // f; leaves its exception in `exception`
  BlockingCall* next = nullptr;                        // guarded by the pool's lock
  Fiber* fiber = nullptr;
  std::exception_ptr exception;
  gc::AllocCounts allocated;  // by f on the pool's thread: the caller's account
  bool ran = false;
};

}  // namespace internal

// One a scheduler, made at its first use and ended by Scheduler::stop.
class BlockingPool final : public SchedulerService {
 public:
  static BlockingPool& of(Scheduler& scheduler);
  // All zero if there is none yet; makes none. Not while the scheduler is being stopped.
  static BlockingStats stats_of(const Scheduler& scheduler) noexcept;

  BlockingPool() = default;
  // Ends the threads. No call is under way.
  ~BlockingPool() override;
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  // Any thread, any time: [sync.blocking.limit]. A new idle_ns holds for threads that become idle
  // from now on.
  void limit(const BlockingOptions& options);
  BlockingStats stats() noexcept;

  // On a fiber of this scheduler: suspends until the call has run.
  void run(internal::BlockingCall& call);

 private:
  struct Thread;

  static bool enqueue(Fiber* fiber, void* argument);
  bool dismiss_some() noexcept;
  bool grow_for_line();
  bool start_thread(Thread* thread);
  void give_up(Thread* thread);
  internal::BlockingCall* take_line() noexcept;
  static void let_go(internal::BlockingCall* calls);
  void main(Thread* self);
  internal::BlockingCall* next(Thread* self);
  bool retire_if_idle(Thread* self) noexcept;
  void retire(Thread* self) noexcept;
  void leave(Thread* self) noexcept;
  void reuse(Thread* thread) noexcept;

  gc::SectionLock lock_;  // a few instructions, held inside flagged sections; guards what follows
  BlockingOptions options_;
  internal::BlockingCall* first_ = nullptr;
  internal::BlockingCall* last_ = nullptr;
  std::size_t queued_ = 0;
  unsigned threads_ = 0;  // that run or are being made
  unsigned idle_count_ = 0;
  Thread* idle_ = nullptr;   // the last to become idle first, so that the others may end
  Thread* ended_ = nullptr;  // records without a thread, or whose thread is on its last steps
  Thread* all_ = nullptr;    // every record
  bool stopping_ = false;

  // Relaxed: statistics.
  std::atomic<std::uint64_t> ran_{0};
  std::atomic<std::uint64_t> ran_inline_{0};
};

namespace internal {

template <typename F, typename Result>
struct BlockingCallOf : BlockingCall {
  explicit BlockingCallOf(F& the_function) : function(&the_function) {
    run = [](BlockingCall* call) noexcept { static_cast<BlockingCallOf*>(call)->invoke(); };
  }
  void invoke() noexcept {
    try {
      if constexpr (std::is_void_v<Result>) {
        std::invoke(*function);
      } else if constexpr (std::is_reference_v<Result>) {
        result.emplace(std::addressof(std::invoke(*function)));
      } else {
        result.emplace(std::invoke(*function));
      }
      // [gc.barrier.stack] The result stands on the caller's stack, and this is another thread.
      gc::barrier_after_write(&result, sizeof(result));
    } catch (...) {
      exception = std::current_exception();
    }
  }

  using Stored = std::conditional_t<
      std::is_void_v<Result>, char,
      std::conditional_t<std::is_reference_v<Result>, std::remove_reference_t<Result>*, Result>>;
  F* function;
  std::optional<Stored> result;
};

// Stops the program when the caller is a worker without a fiber, which would be blocked.
void check_may_block();

}  // namespace internal

// Suspends while f runs on a thread of the pool; returns its result, or throws what it threw. f may
// touch managed memory and use the caller's variables (a managed pointer that it writes there is a
// gc::Member [gc.shared]); it must neither suspend nor spawn, as it is on no fiber. A stop of the collector interrupts its system calls as signals do (they restart, or
// fail with EINTR); long ones that touch nothing managed stand better in a gc::native scope. On a
// thread without a fiber f just runs.
template <typename F>
std::invoke_result_t<F&> blocking(F&& function) {
  using Result = std::invoke_result_t<F&>;
  if (current() == nullptr) {
    internal::check_may_block();
    return std::invoke(function);
  }
  // [arena.escape] It runs on another thread, and may use what it captured by reference.
  gc::internal::hand_over(&function, sizeof(function));
  internal::BlockingCallOf<std::remove_reference_t<F>, Result> call(function);
  BlockingPool::of(*Scheduler::current()).run(call);
  if (call.exception != nullptr) std::rethrow_exception(std::move(call.exception));
  if constexpr (std::is_reference_v<Result>) {
    return static_cast<Result>(**call.result);
  } else if constexpr (!std::is_void_v<Result>) {
    return std::move(*call.result);
  }
}

}  // namespace tailrace::fiber
