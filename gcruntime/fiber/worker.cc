#include "gcruntime/fiber/worker.h"

#include <cxxabi.h>
#include <pthread.h>
#include <cstdio>

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/futex.h"
#include "gcruntime/fiber/join.h"
#include "gcruntime/fiber/scheduler_impl.h"
#include "gcruntime/fiber/switch.h"
#include "gcruntime/os/clock.h"

namespace tailrace::fiber {

TAILRACE_NOINLINE void stamp_ready(Entry entry) noexcept {
  Job* job = job_of(entry);
  (job != nullptr ? job->ready_ns : fiber_of(entry)->ready_ns) = os::now_ns();
}

// Runs a fiber until it leaves, and does what it left to do.
TAILRACE_ALWAYS_INLINE void Worker::resume(Fiber* fiber) {
  for (;;) {
    enter(fiber);
    switch (departure_.kind) {
      case Departure::Kind::kYield:
        // Release: the worker itself is awake and will come to it.
        admit(entry_of(fiber), std::memory_order_release);
        return;
      case Departure::Kind::kPark: {
        perturb_.delay();
        // [fiber.park] The fiber is out: commit may publish it, and from then on it may be
        // anywhere.
        const Departure departure = departure_;
        if (departure.commit(fiber, departure.argument)) return;
        // Not published: it goes on at once.
        fiber->state.store(FiberState::kReady, std::memory_order_relaxed);
        break;
      }
      case Departure::Kind::kEnd:
        finish(fiber);
        return;
    }
  }
}

void Worker::main() {
  char name[16];
  std::snprintf(name, sizeof(name), "worker-%u", index_);
  ::pthread_setname_np(::pthread_self(), name);

  gc::ThreadScope attached;
  mutator_ = gc::mutator();
  exceptions_ = reinterpret_cast<ExceptionGlobals*>(abi::__cxa_get_globals());
  base::adopt_thread_stack(sanitizer_);
  StackSample::allow_on_this_thread();
  last_poll_ns_.store(os::now_ns(), std::memory_order_relaxed);
  set_current_worker(this);
  // [fiber.bench] All are benched at first. V1
  scheduler_.sleepers.get_up(index_);
  just_woke_ = true;

  for (;;) {
    // Relaxed: whoever lowers it rings those that may sleep; others come by here. [fiber.bench]
    if (index_ >= scheduler_.active.load(std::memory_order_relaxed)) [[unlikely]] {
      if (!sit_on_bench()) break;
    }
    const Entry entry = next();
    if (entry == 0) {
      if (!sleep()) break;
      continue;
    }
    if (just_woke_) ring_watcher();
    Job* job = job_of(entry);
    std::int64_t& ready_ns = job == nullptr ? fiber_of(entry)->ready_ns : job->ready_ns;
    if (ready_ns != 0) [[unlikely]]
      measure_wait(ready_ns);
    resume(job == nullptr ? fiber_of(entry) : fiber_for(job));
  }

  set_current_worker(nullptr);
  give_back_stacks();
}

void Worker::give_back_stacks() {
  while (Fiber* fiber = warm_) {
    warm_ = fiber->pool_next;
    scheduler_.registry.give(fiber);
  }
  warm_count_.store(0, std::memory_order_relaxed);
}

// [fiber.watch] V2: from now on this worker may be stuck in a fiber.
void Worker::ring_watcher() {
  just_woke_ = false;
  const int watcher = scheduler_.sleepers.find_watcher();
  if (watcher >= 0) scheduler_.workers[static_cast<unsigned>(watcher)]->ring();
}

Fiber* Worker::fiber_for(Job* job) {
  Fiber* fiber = take_fiber(scheduler_.default_class);
  fiber->job = job;
  fiber->payload = nullptr;
  fiber->control = nullptr;
  prepare_fiber(fiber, "job");
  counters_.jobs_started.add();
  return fiber;
}

// The fiber has ended and is switched out. Its joiner is woken last: it sees the count go down
// first.
void Worker::finish(Fiber* fiber) {
  JoinControl* control = fiber->control;
  base::destroy_sanitizer_fiber(fiber->sanitizer);
  counters_.stack_bytes_returned.add(StackPool::class_bytes(fiber->stack.size_class));
  if (fiber->stack.size_class == scheduler_.default_class && warm() < kWarm) {
    fiber->pool_next = warm_;
    warm_ = fiber;
    warm_count_.store(warm() + 1, std::memory_order_relaxed);
  } else {
    scheduler_.registry.give(fiber);
  }
  counters_.finished.add();
  if (control != nullptr) control->complete();
}

Fiber* Worker::take_fiber(unsigned size_class) {
  counters_.stack_bytes_taken.add(StackPool::class_bytes(size_class));
  if (warm_ == nullptr || size_class != scheduler_.default_class) {
    return scheduler_.registry.take(size_class);
  }
  Fiber* fiber = warm_;
  warm_ = fiber->pool_next;
  warm_count_.store(warm() - 1, std::memory_order_relaxed);
  Registry::take_up(fiber);
  return fiber;
}

void Worker::submit(Entry entry) {
  // Seq_cst: S1 of [fiber.sleep].
  admit(entry, std::memory_order_seq_cst);
  if (scheduler_.wake_one()) counters_.wakes.add();
}

// An entry has become ready; what is only moved from queue to queue goes to queue_up().
TAILRACE_ALWAYS_INLINE void Worker::admit(Entry entry, std::memory_order order) {
  if (--until_sample_ == 0) [[unlikely]] {
    until_sample_ = kWaitSample;
    stamp_ready(entry);
  }
  queue_up(entry, order);
}

TAILRACE_NOINLINE void Worker::measure_wait(std::int64_t& ready_ns) {
  wait_times_.note(os::now_ns() - ready_ns);
  ready_ns = 0;
}

void Worker::queue_up(Entry entry, std::memory_order order) {
  if (perturb_.chance(8)) {
    scheduler_.global.push(&entry, 1);
    return;
  }
  if (queue_.push(entry, order)) return;
  // Half of the ring and the new entry go to the global queue together, so this is rare.
  Entry batch[RunQueue::kHalf + 1];
  std::uint32_t count = queue_.take_half(batch);
  batch[count++] = entry;
  scheduler_.global.push(batch, count);
}

// For entries that a poll or a timer has won. Their sleepers are woken by the caller, once.
void Worker::make_ready(Fiber* fiber) {
  const FiberState before = fiber->state.load(std::memory_order_relaxed);
  TAILRACE_CHECK(before == FiberState::kParked, "ready() on a fiber that is not parked");
  fiber->state.store(FiberState::kReady, std::memory_order_relaxed);
  admit(entry_of(fiber), std::memory_order_seq_cst);
}

void Worker::drain_ready_list() {
  const std::size_t count = ready_list_.size();
  for (std::size_t i = 0; i < count; ++i) {
    const Entry entry = ready_list_.entry(i);
    if (job_of(entry) != nullptr) {
      counters_.jobs_submitted.add();
      admit(entry, std::memory_order_seq_cst);
    } else {
      make_ready(fiber_of(entry));
    }
  }
  ready_list_.clear();
  // One of several is for this worker; the others may be somebody else's.
  if (count >= 2 && scheduler_.wake_one()) counters_.wakes.add();
}

void Worker::ring() noexcept {
  if (scheduler_.options.netpoll != nullptr) {
    scheduler_.options.netpoll->wake(index_);
    return;
  }
  // Release: pairs with block()'s acquire exchange. Only the first ring needs the system call.
  if (rung_.exchange(1, std::memory_order_release) == 0) futex_wake(rung_);
}

}  // namespace tailrace::fiber
