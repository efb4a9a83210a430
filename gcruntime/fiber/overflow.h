// The SIGSEGV handler that turns a fiber's stack overflow into a message: the fiber's name and
// label, its stack's size and bounds, and its frames.
//
// It runs on the alternate signal stack that every attached thread has (gc::ThreadScope): the
// fiber's own is used up. Faults outside the guards go to the handler that was there before, or to
// the default.
#pragma once

namespace tailrace::fiber {

// Once a process; called by StackPool.
void install_overflow_handler() noexcept;

}  // namespace tailrace::fiber
