// Allocation on fibers: at the memory limit the fiber parks, instead of its thread.
#pragma once

namespace tailrace::fiber {

// From each scheduler's constructor. Any thread, any number of times.
void install_memory_waits() noexcept;

}  // namespace tailrace::fiber
