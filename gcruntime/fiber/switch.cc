// The switch between a worker's scheduler context and a fiber. [fiber.switch]
//
// Every switch is one flagged section: it begins in the context that leaves and ends in the one that is
// entered. In between the thread's stack bounds, exception globals, allocation counts and the fiber's
// state change together, so whoever is stopped by the collector is on one side or the other.
//
// After jump_fcontext returns on a fiber, the thread may be another one: the worker comes with the
// transfer, and everything else is reached through it.
#include <boost/context/detail/fcontext.hpp>
#include <cxxabi.h>
#include <exception>
#include <unistd.h>

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/task.h"
#include "gcruntime/fiber/worker.h"

namespace tailrace::fiber {
namespace {

namespace context = boost::context::detail;

void fiber_entry(context::transfer_t transfer) noexcept {
  fiber_main(transfer.fctx, static_cast<Worker*>(transfer.data));
}

}  // namespace

// Scheduler context -> fiber, and back when the fiber has left.
TAILRACE_NOINLINE void Worker::enter(Fiber* fiber) noexcept {
  gc::enter_section();
  // Relaxed: inside the section; other threads use it for statistics only.
  fiber->state.store(FiberState::kRunning, std::memory_order_relaxed);
  current_.store(fiber, std::memory_order_relaxed);
  *exceptions_ = fiber->exceptions;
  fiber->allocated = fiber->allocated - mutator_->counts();
  mutator_->set_stack(fiber->stack.low, fiber->base());
  counters_.switches.add();

  base::start_switch(sanitizer_, fiber->sanitizer);
  const context::transfer_t transfer =
      context::jump_fcontext(fiber->saved_sp.load(std::memory_order_relaxed), this);
  base::finish_switch(sanitizer_);

  mutator_->set_stack(reinterpret_cast<const void*>(mutator_->thread_stack_low()),
                      reinterpret_cast<const void*>(mutator_->thread_stack_high()));
  mutator_->set_thread_frames(nullptr);
  current_.store(nullptr, std::memory_order_relaxed);
  fiber->saved_sp.store(transfer.fctx, std::memory_order_relaxed);
  const FiberState state = departure_.kind == Departure::Kind::kYield  ? FiberState::kReady
                           : departure_.kind == Departure::Kind::kPark ? FiberState::kParked
                                                                       : FiberState::kIdle;
  // Release: saved_sp before the state [fiber.scan].
  fiber->state.store(state, std::memory_order_release);
  gc::leave_section();
}

// On the fiber, first thing after each jump.
TAILRACE_ALWAYS_INLINE void Worker::arrive_on_fiber(void* scheduler_sp) noexcept {
  base::finish_switch(current()->sanitizer);
  scheduler_sp_ = scheduler_sp;
  mutator_->set_thread_frames(scheduler_sp);
  gc::leave_section();
}

TAILRACE_NOINLINE void switch_out(const Departure& departure) noexcept {
  // A stop is answered before the fiber is left, not between two fibers.
  gc::poll();
  Worker* worker = current_worker();
  Fiber* self = worker->current();
  worker->departure_ = departure;

  gc::enter_section();
  self->exceptions = *worker->exceptions_;
  *worker->exceptions_ = ExceptionGlobals{};
  self->allocated = self->allocated + worker->mutator_->counts();
  base::start_switch(self->sanitizer, worker->sanitizer_, departure.kind == Departure::Kind::kEnd);
  const context::transfer_t transfer = context::jump_fcontext(worker->scheduler_sp_, nullptr);
  // `worker` may be another thread's from here on.
  static_cast<Worker*>(transfer.data)->arrive_on_fiber(transfer.fctx);
}

TAILRACE_NOINLINE void fiber_main(void* scheduler_sp, Worker* worker) noexcept {
  Fiber* self = worker->current();
  worker->arrive_on_fiber(scheduler_sp);
  run_task(self);
  switch_out(Departure{Departure::Kind::kEnd, nullptr, nullptr});
  TAILRACE_CHECK(false, "a fiber was resumed after its end");
}

void prepare_fiber(Fiber* fiber, const char* name) noexcept {
  fiber->name.store(name, std::memory_order_relaxed);
  fiber->exceptions = ExceptionGlobals{};
  fiber->allocated = gc::AllocCounts{};
  base::unpoison_memory(fiber->stack.low, fiber->sanitizer.bytes);
  base::create_sanitizer_fiber(fiber->sanitizer);
  char* top = fiber->payload != nullptr ? static_cast<char*>(fiber->payload) : fiber->base();
  void* sp = context::make_fcontext(top, static_cast<std::size_t>(top - fiber->stack.low),
                                    fiber_entry);
  fiber->saved_sp.store(sp, std::memory_order_relaxed);
  // Release: saved_sp before the state [fiber.scan].
  fiber->state.store(FiberState::kReady, std::memory_order_release);
}

}  // namespace tailrace::fiber
