// What a fiber does: the spawned closure or the job, between the first switch in and the last one
// out.
#pragma once

#include "gcruntime/fiber/fiber_record.h"

namespace tailrace::fiber {

// On the fiber. Runs its closure and destroys it, or runs its job. An exception that leaves it ends
// the process with a message that names the fiber.
void run_task(Fiber* self) noexcept;

}  // namespace tailrace::fiber
