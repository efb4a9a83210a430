// One worker: an OS thread that runs fibers, one after the other. On the thread's own stack lives
// the scheduler context, a loop that takes an entry, switches to its fiber, and does what the fiber
// left it to do: push it again, commit its parking, or put away its stack.
//
// Members are touched by the own thread only, unless they say otherwise. That thread may run the
// scheduler context or a fiber; fiber code reaches its worker by current_worker() and must not keep
// it over a suspension.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "gcruntime/fiber/counter.h"
#include "gcruntime/fiber/current_worker.h"
#include "gcruntime/fiber/fiber_record.h"
#include "gcruntime/fiber/perturbation.h"
#include "gcruntime/fiber/run_queue.h"
#include "gcruntime/fiber/stack_sample.h"
#include "gcruntime/fiber/timer_heap.h"
#include "gcruntime/fiber/wait_times.h"
#include "gcruntime/gc/mutator.h"

namespace tailrace::fiber {

// What a fiber asks of the scheduler context as it leaves.
struct Departure {
  enum class Kind { kYield, kPark, kEnd };
  Kind kind = Kind::kYield;
  bool (*commit)(Fiber* fiber, void* argument) = nullptr;
  void* argument = nullptr;
};

struct WorkerCounters {
  // [fiber.stop] Impl::outstanding reads `finished` of all workers first and the others after it.
  Counter spawned, jobs_submitted, jobs_started, finished;
  Counter switches, steals, steal_misses, wakes, sleeps, polls, rescues, rescue_misses;
  Counter stack_bytes_taken, stack_bytes_returned;
};

class Worker {
 public:
  // Warm stacks kept by each worker.
  static constexpr std::size_t kWarm = 128;

  Worker(Scheduler::Impl& scheduler, unsigned index, std::uint64_t perturb_seed) noexcept
      : scheduler_(scheduler), index_(index), perturb_(perturb_seed, index), steal_from_(index) {}

  // The thread's function: until the scheduler has ended.
  void main();

  // --- For code on the own thread. ---
  Scheduler::Impl& scheduler() noexcept { return scheduler_; }
  unsigned index() const noexcept { return index_; }
  // Queues the entry and wakes a sleeper if one should look. The entry may be gone when it returns.
  void submit(Entry entry);
  // An idle record with a stack of that class.
  Fiber* take_fiber(unsigned size_class);
  WorkerCounters& counters() noexcept { return counters_; }
  TimerHeap& timers() noexcept { return timers_; }
  Perturbation& perturb() noexcept { return perturb_; }
  gc::Mutator* mutator() noexcept { return mutator_; }

  // --- For any thread; estimates and monotonic counts. ---
  // Relaxed: on the own thread exact, elsewhere a statistic.
  Fiber* current() const noexcept { return current_.load(std::memory_order_relaxed); }
  const RunQueue& queue() const noexcept { return queue_; }
  const WorkerCounters& counters() const noexcept { return counters_; }
  std::size_t warm() const noexcept { return warm_count_.load(std::memory_order_relaxed); }
  const WaitTimes& wait_times() const noexcept { return wait_times_; }
  // Acquire: pairs with enter(): who sees a fiber sees the count of its slice (or a later one).
  bool runs_fiber() const noexcept { return current_.load(std::memory_order_acquire) != nullptr; }
  StackSample& stack_sample() noexcept { return stack_sample_; }
  // Makes its next or present block return. Sticky; async-signal-safe.
  void ring() noexcept;

  std::thread thread;  // owned by the scheduler

 private:
  friend void fiber_main(void* scheduler_sp, Worker* worker) noexcept;
  friend void switch_out(Departure::Kind, bool (*)(Fiber*, void*), void*, Worker*) noexcept;

  // switch.h
  void enter(Fiber* fiber) noexcept;
  void arrive_on_fiber(void* scheduler_sp) noexcept;
  void enter_marked(Fiber* fiber) noexcept;  // switch.cc

  // worker.cc
  void resume(Fiber* fiber);
  Fiber* fiber_for(Job* job);
  void ring_watcher();
  void finish(Fiber* fiber);
  void admit(Entry entry, std::memory_order order);
  void queue_up(Entry entry, std::memory_order order);
  void measure_wait(std::int64_t& ready_ns);
  void make_ready(Fiber* fiber);
  void drain_ready_list();

  // find_work.cc
  Entry next();
  Entry found(Entry entry);
  Entry take_global(std::size_t most);
  Entry steal();
  void stop_searching();
  void housekeep();
  void mark();
  void poll_now(std::int64_t now_ns);
  void expire_timers(TimerHeap& timers, std::int64_t now_ns, bool try_only);
  void rescue_others(std::int64_t now_ns);
  bool sleep();
  bool sit_on_bench();
  void hand_over_queue();
  void give_back_stacks();
  std::int64_t until_next_timer(std::int64_t now_ns) const noexcept;
  void note_awake();
  void block(std::int64_t timeout_ns);

  Scheduler::Impl& scheduler_;
  const unsigned index_;

  // --- The switch. ---
  std::atomic<Fiber*> current_{nullptr};
  void* scheduler_sp_ = nullptr;            // of the scheduler context while a fiber runs
  ExceptionGlobals* exceptions_ = nullptr;  // the thread's; fetched once [fiber.exceptions]
  gc::Mutator* mutator_ = nullptr;
  Departure departure_;
  base::SanitizerStack sanitizer_;

  // --- Finding work. ---
  std::uint32_t tick_ = 0;  // entries looked for
  // When to look at the clock next, how many ticks after the last time, and when that was.
  std::uint32_t housekeep_at_ = 1;
  std::uint32_t clock_ticks_ = 1;
  std::int64_t housekept_ns_ = 0;
  std::uint32_t rescued_at_ = 0;  // the tick and the time of the last look at the others
  std::int64_t rescued_ns_ = 0;
  bool searching_ = false;
  bool just_woke_ = false;
  Perturbation perturb_;
  unsigned steal_from_;
  Fiber* warm_ = nullptr;
  std::atomic<std::size_t> warm_count_{0};  // relaxed: read as a statistic
  ReadyList ready_list_;
  WorkerCounters counters_;
  std::uint32_t until_sample_ = kWaitSample;  // entries to become ready before the next stamp
  WaitTimes wait_times_;
  StackSample stack_sample_;  // the monitor's and the signal handler's

  // --- Shared. ---
  RunQueue queue_;  // owner pushes, all pop
  TimerHeap timers_;
  // When it last polled, or somebody for it. Relaxed: a rescue too early or too late does no harm.
  std::atomic<std::int64_t> last_poll_ns_{0};
  std::atomic<std::uint32_t> rung_{0};  // futex, when there is no netpoll
};

// Notes that the entry is ready from now on; before it is queued, by whoever queues it.
void stamp_ready(Entry entry) noexcept;

// Readies an idle record for its first run: from here on the collector scans it.
void prepare_fiber(Fiber* fiber, const char* name) noexcept;

}  // namespace tailrace::fiber
