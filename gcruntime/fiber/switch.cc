#include "gcruntime/fiber/switch.h"

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/task.h"

namespace tailrace::fiber {
namespace {

namespace context = boost::context::detail;

void fiber_entry(context::transfer_t transfer) noexcept {
  fiber_main(transfer.fctx, static_cast<Worker*>(transfer.data));
}

}  // namespace

// [gc.scan] [gc.late] The fiber is about to run while marking is on: not before a claim on its stack is
// given up, and not without the open round's scan. In the switch's section.
TAILRACE_NOINLINE void Worker::enter_marked(Fiber* fiber) noexcept {
  gc::enter_stack(*mutator_, fiber->scan, fiber->saved_sp.load(std::memory_order_relaxed),
                  fiber->base(), written_by_others(fiber));
}

// The first frame of every fiber.
TAILRACE_NOINLINE void fiber_main(void* scheduler_sp, Worker* worker) noexcept {
  Fiber* self = worker->current();
  worker->arrive_on_fiber(scheduler_sp);
  run_task(self);
  switch_out(Departure::Kind::kEnd, nullptr, nullptr);
  TAILRACE_CHECK(false, "a fiber was resumed after its end");
}

void prepare_fiber(Fiber* fiber, const char* name) noexcept {
  fiber->name.store(name, std::memory_order_relaxed);
  fiber->label.clear();
  fiber->lends_frames.store(false, std::memory_order_relaxed);
  // What a walk has found on the record so far was an empty stack. Before the state.
  fiber->scan.store(0, std::memory_order_relaxed);
  fiber->exceptions = ExceptionGlobals{};
  fiber->allocated = gc::AllocCounts{};
  fiber->sanitizer.asan_fake_stack = nullptr;  // that of the last fiber here went with it
  base::create_sanitizer_fiber(fiber->sanitizer);
  char* top = fiber->payload != nullptr ? static_cast<char*>(fiber->payload) : fiber->base();
  void* sp =
      context::make_fcontext(top, static_cast<std::size_t>(top - fiber->stack.low), fiber_entry);
  fiber->saved_sp.store(sp, std::memory_order_relaxed);
  // Release: saved_sp before the state [fiber.scan].
  fiber->state.store(FiberState::kReady, std::memory_order_release);
}

}  // namespace tailrace::fiber
