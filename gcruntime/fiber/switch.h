// The switch between a worker's scheduler context and a fiber. [fiber.switch]
//
// Every switch is one flagged section: it begins in the context that leaves and ends in the one
// that is entered. In between the thread's stack bounds, exception globals, allocation counts and
// the fiber's state change together, so whoever is stopped by the collector is on one side or the
// other.
//
// After jump_fcontext returns on a fiber, the thread may be another one: the worker comes with the
// transfer, and everything else is reached through it.
//
// All is inlined: a processor predicts returns by a stack of its own, which knows nothing of ours,
// so every function that returns after a switch costs a misprediction (5 to 9 ns). The scheduler
// context never returns from its loop, and a fiber returns once, from the call that suspended it.
#pragma once

#include <boost/context/detail/fcontext.hpp>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "gcruntime/base/mutant.h"
#include "gcruntime/fiber/held_locks.h"
#include "gcruntime/fiber/jump.h"
#include "gcruntime/fiber/stack_trimmer.h"
#include "gcruntime/fiber/worker.h"
#include "gcruntime/gc/mutator.h"

namespace tailrace::fiber {

// Scheduler context -> fiber, and back when the fiber has left.
TAILRACE_ALWAYS_INLINE void Worker::enter(Fiber* fiber) noexcept {
  leave_rest(fiber);  // [fiber.trim] R2
  if (!base::mutant(base::Mutant::kSwitchUnflagged)) gc::enter_section();
  // Relaxed: inside the section. Before the claim below, whose CAS publishes it [gc.scan].
  fiber->state.store(FiberState::kRunning, std::memory_order_relaxed);
  if (base::barrier_on()) [[unlikely]]
    enter_marked(fiber);
  counters_.switches.add();
  // Release: the slice is counted before its fiber is seen; pairs with runs_fiber [fiber.slices].
  current_.store(fiber, std::memory_order_release);
  if (!base::mutant(base::Mutant::kExceptionsNotSwapped)) *exceptions_ = fiber->exceptions;
  fiber->allocated = fiber->allocated - mutator_->counts();
  mutator_->set_stack(fiber->stack.low, fiber->base(), &fiber->scan);
  mutator_->arena = fiber->arena;
  if (base::mutant(base::Mutant::kSwitchUnflagged)) base::mutant_delay();

  base::start_switch(sanitizer_, fiber->sanitizer);
  const boost::context::detail::transfer_t transfer =
      jump(fiber->saved_sp.load(std::memory_order_relaxed), this);
  base::finish_switch(sanitizer_);

  mutator_->set_stack(reinterpret_cast<const void*>(mutator_->thread_stack_low()),
                      reinterpret_cast<const void*>(mutator_->thread_stack_high()), nullptr);
  mutator_->set_thread_frames(nullptr);
  fiber->arena = mutator_->arena;
  mutator_->arena = nullptr;
  current_.store(nullptr, std::memory_order_relaxed);
  const bool late = base::mutant(base::Mutant::kLateStackPointer);
  if (!late) fiber->saved_sp.store(transfer.fctx, std::memory_order_relaxed);
  const FiberState state = departure_.kind == Departure::Kind::kYield  ? FiberState::kReady
                           : departure_.kind == Departure::Kind::kPark ? FiberState::kParked
                                                                       : FiberState::kIdle;
  // Release: saved_sp before the state [fiber.scan].
  fiber->state.store(state, std::memory_order_release);
  gc::leave_section();
  if (late) {
    base::mutant_delay(4, 4);
    fiber->saved_sp.store(transfer.fctx, std::memory_order_relaxed);
  }
}

// On the fiber, first thing after each jump.
TAILRACE_ALWAYS_INLINE void Worker::arrive_on_fiber(void* scheduler_sp) noexcept {
  base::finish_switch(current()->sanitizer);
  scheduler_sp_ = scheduler_sp;
  mutator_->set_thread_frames(scheduler_sp);
  gc::leave_section();
}

// Leaves the calling fiber for its worker's scheduler context; returns when it is resumed, maybe on
// another thread. Not in a flagged section.
TAILRACE_ALWAYS_INLINE void switch_out(Departure::Kind kind, bool (*commit)(Fiber*, void*),
                                       void* argument, Worker* worker = nullptr) noexcept {
  // A stop is answered before the fiber is left, not between two fibers.
  gc::poll();
  // `worker` is what the caller read before another suspension: stale [fiber.tls].
  if (!base::mutant(base::Mutant::kCachedWorker) || worker == nullptr) worker = current_worker();
  Fiber* self = worker->current();
  TAILRACE_DCHECK(!worker->mutator_->in_native_scope(),
                  "a fiber suspends in a native scope, whose frame the collector scans until it "
                  "returns: leave the scope first");
  if (const std::int32_t held = locks_held(); held != 0) [[unlikely]] {
    held_over_switch(self,
                     kind == Departure::Kind::kYield ? " yields"
                     : kind == Departure::Kind::kEnd ? " ends"
                                                     : nullptr,
                     held);
  }
  worker->departure_.kind = kind;
  worker->departure_.commit = commit;
  worker->departure_.argument = argument;

  if (!base::mutant(base::Mutant::kSwitchUnflagged)) gc::enter_section();
  if (!base::mutant(base::Mutant::kExceptionsNotSwapped)) {
    self->exceptions = *worker->exceptions_;
    *worker->exceptions_ = ExceptionGlobals{};
  }
  self->allocated = self->allocated + worker->mutator_->counts();
  base::start_switch(self->sanitizer, worker->sanitizer_, kind == Departure::Kind::kEnd);
  const boost::context::detail::transfer_t transfer = jump(worker->scheduler_sp_, nullptr);
  // `worker` may be another thread's from here on.
  static_cast<Worker*>(transfer.data)->arrive_on_fiber(transfer.fctx);
}

}  // namespace tailrace::fiber
