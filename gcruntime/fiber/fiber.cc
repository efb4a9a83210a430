#include "gcruntime/fiber/fiber.h"

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/join.h"
#include "gcruntime/fiber/scheduler_impl.h"
#include "gcruntime/fiber/spawn_account.h"
#include "gcruntime/fiber/switch.h"
#include "gcruntime/fiber/timed_wait.h"
#include "gcruntime/gc/arena_record.h"
#include "gcruntime/gc/barrier.h"
#include "gcruntime/gc/escape.h"
#include "gcruntime/os/clock.h"

namespace tailrace::fiber {
namespace {

Worker* worker_of_fiber() noexcept {
  Worker* worker = current_worker();
  TAILRACE_CHECK(worker != nullptr && worker->current() != nullptr,
                 "a call that suspends was made on a thread without a fiber");
  return worker;
}

// [gc.shared] Captures by reference are addresses of the spawner's stack.
TAILRACE_NO_SANITIZE void note_lent_frames(Fiber* self, const void* payload, std::size_t bytes) {
  const auto* words = static_cast<const volatile std::uintptr_t*>(payload);
  const auto low = reinterpret_cast<std::uintptr_t>(self->stack.low);
  for (std::size_t i = 0; i < bytes / sizeof(std::uintptr_t); ++i) {
    if (words[i] - low < static_cast<std::size_t>(self->base() - self->stack.low)) {
      self->lends_frames.store(true, std::memory_order_relaxed);
      return;
    }
  }
}

}  // namespace

namespace internal {

Scheduler& current_scheduler() {
  Scheduler* scheduler = Scheduler::current();
  TAILRACE_CHECK(scheduler != nullptr,
                 "fiber::spawn was called on a thread that is no worker: use Scheduler::spawn");
  return *scheduler;
}

JoinHandle spawn(Scheduler& scheduler, const SpawnOptions& options, const Closure& closure,
                 void* source) {
  Scheduler::Impl& impl = *scheduler.impl_;
  auto join = std::make_unique<JoinControl>();  // both may throw: before anything is counted
  Fiber* const self = current();
  Bill* const bill = bill_for_spawn(self);
  JoinControl* const control = join.release();
  const unsigned size_class =
      options.stack_bytes == 0 ? impl.default_class : StackPool::class_of(options.stack_bytes);
  Fiber* fiber = nullptr;
  if (Worker* worker = impl.own_worker()) {
    worker->counters().spawned.add();
    fiber = worker->take_fiber(size_class);
  } else {
    impl.external_spawned.fetch_add(1, std::memory_order_seq_cst);
    impl.external_stack_bytes.fetch_add(StackPool::class_bytes(size_class),
                                        std::memory_order_relaxed);
    fiber = impl.registry.take(size_class);
  }

  const std::size_t room = fiber->sanitizer.bytes;
  TAILRACE_CHECK_VALUE(
      closure.bytes + closure.alignment <= room / 2,
      "what a spawned function captures must fit half of its stack: capture less, or "
      "give it a larger SpawnOptions::stack_bytes",
      closure.bytes);
  const std::uintptr_t alignment = closure.alignment > 16 ? closure.alignment : 16;
  const auto payload =
      (reinterpret_cast<std::uintptr_t>(fiber->base()) - closure.bytes) & ~(alignment - 1);
  fiber->job = nullptr;
  fiber->closure = &closure;
  fiber->payload = reinterpret_cast<void*>(payload);
  fiber->control = control;
  fiber->bill = bill;
  // [fiber.list] Scanned from before the captures move: they may leave their old place by it.
  // Relaxed: the record is kReady already, and a scan is right with the old value until the move.
  fiber->saved_sp.store(fiber->payload, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);  // the thread may be stopped in the move
  // [arena.escape] The fiber that is to run has no arena, and outlives the caller's.
  gc::internal::hand_over(source, closure.bytes);
  // [gc.barrier.stack] Captures are written to a stack that is not the writer's, by moves that may run
  // no barrier. Shaded before, as a move may leave nothing behind for the next answer to show, and after,
  // as it may make what it writes.
  gc::barrier_after_write(source, closure.bytes);
  try {
    closure.move_to(fiber->payload, source);
  } catch (...) {
    // The fiber is counted, and cannot begin.
    TAILRACE_CHECK(false,
                   "what a spawned function captured threw when it was moved to the new stack: "
                   "give it a move that does not throw");
  }
  gc::barrier_after_write(fiber->payload, closure.bytes);
  if (self != nullptr) note_lent_frames(self, fiber->payload, closure.bytes);
  prepare_fiber(fiber, options.name);
  // The move is user code: the worker is looked up again.
  impl.submit(entry_of(fiber));
  return JoinHandle(control);
}

}  // namespace internal

void set_label(std::string_view text) noexcept { set_label(LabelText(text)); }

void set_label(const LabelText& text) noexcept {
  if (Fiber* self = current()) self->label.set(text);
}

void clear_label() noexcept {
  if (Fiber* self = current()) self->label.clear();
}

Fiber* current() noexcept {
  Worker* worker = current_worker();
  return worker == nullptr ? nullptr : worker->current();
}

void yield() {
  static_cast<void>(worker_of_fiber());
  switch_out(Departure::Kind::kYield, nullptr, nullptr);
}

void park(WaitReason reason, bool (*commit)(Fiber* fiber, void* argument), void* argument) {
  Worker* worker = worker_of_fiber();
  worker->current()->reason.store(reason, std::memory_order_relaxed);
  const bool stray = worker->perturb().chance(8);
  if (stray) yield();
  switch_out(Departure::Kind::kPark, commit, argument, worker);
}

void ready(Fiber* fiber) {
  // Relaxed: who calls ready got the fiber from its commit, by whatever ordered that.
  TAILRACE_CHECK(fiber->state.load(std::memory_order_relaxed) == FiberState::kParked,
                 "ready() on a fiber that is not parked: one call a park, after its commit");
  fiber->state.store(FiberState::kReady, std::memory_order_relaxed);
  fiber->scheduler->submit(entry_of(fiber));
}

void sleep_for_ns(std::int64_t duration_ns) {
  // Not kNever, which says that somebody else ends the wait.
  constexpr std::int64_t kLatestNs = TimedWait::kNever - 1;
  const std::int64_t now_ns = os::now_ns();
  TimedWait wait;
  wait.wait(WaitReason::kTimer,
            duration_ns < kLatestNs - now_ns ? now_ns + duration_ns : kLatestNs);
}

gc::AllocCounts alloc_counts() noexcept {
  if (Worker* worker = current_worker()) {
    if (Fiber* self = worker->current()) {
      gc::internal::tell_arena_counts(*worker->mutator());
      return self->allocated + worker->mutator()->counts();
    }
  }
  gc::Mutator* mutator = base::current_mutator();
  if (mutator == nullptr) return {};
  gc::internal::tell_arena_counts(*mutator);
  return mutator->counts();
}

}  // namespace tailrace::fiber
