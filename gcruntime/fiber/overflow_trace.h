// The stack of a fiber that overflowed, printed from the SIGSEGV handler.
//
// backtrace() may allocate and its unwinder takes locks, so the frame pointers are followed: we
// compile everything with them, and each step must lead upwards inside the fiber's stack, so a
// library's function without one ends or thins the trace and does no harm. Where the modules of the
// program lie is noted beforehand; a frame is printed as "module+offset", which addr2line takes.
#pragma once

#include <cstdint>

#include "gcruntime/fiber/stack_pool.h"

namespace tailrace::fiber {

// Notes where the program and its libraries are loaded. Not for signal handlers; those loaded later
// are printed as bare addresses.
void note_modules() noexcept;

// Prints the innermost and the outermost frames and how many lie between. Async-signal-safe.
void print_frames(const Stack& stack, std::uintptr_t instruction, std::uintptr_t stack_pointer,
                  std::uintptr_t frame) noexcept;

}  // namespace tailrace::fiber
