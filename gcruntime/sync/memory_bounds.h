// A Context for allocation: gc::make has no parameter for one, so it is said for the whole fiber.
//
//   fiber::MemoryWaitsUnder bounded(context);
//   auto* reply = gc::make<Reply>();  // throws gc::MemoryLimitExceeded if the context ends first
//
// Its deadline ends a wait at the memory limit exactly, a cancellation within a hundredth of a second.
#pragma once

#include <utility>

#include "gcruntime/gc/memory_wait.h"
#include "gcruntime/sync/context.h"

namespace tailrace::fiber {

// For the calling fiber, or thread without one, until the end of the scope. On its stack.
class MemoryWaitsUnder {
 public:
  explicit MemoryWaitsUnder(Context context) noexcept
      : context_(std::move(context)),
        bounds_{.deadline_ns = context_.deadline_ns(),
                .ended =
                    [](const void* of) noexcept { return static_cast<const Context*>(of)->done(); },
                .argument = &context_},
        scope_(bounds_) {}

 private:
  const Context context_;
  gc::AllocationBounds bounds_;
  gc::BoundsScope scope_;
};

}  // namespace tailrace::fiber
