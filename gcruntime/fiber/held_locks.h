// A std::mutex held over a suspension is a bug that shows rarely: the fiber may go on, and unlock,
// on another thread, and whoever waits for the lock meanwhile blocks a whole worker. Where debug
// checks are on and no sanitizer has its hands on these functions (the dev and verify presets), we
// stand in front of pthread_mutex_* and pthread_rwlock_* and count what each thread holds; a fiber
// that leaves its worker while the count is not zero stops the program with its name.
//
// Who is counted: std::mutex and its kin, std::shared_mutex, glibc's users of the public names.
// Not: malloc and stdio, which lock by other means; a condition variable's wait, which hands its
// mutex back as it took it. The scheduler's own locks are taken and released in the scheduler
// context, after the count was looked at, or by fibers that release them before they suspend.
//
// Libraries, dlopened ones too, find our functions before the C library's as the linker exports what
// a shared library also defines, so they are counted; not counted is a library opened with
// RTLD_DEEPBIND or dlmopen, nor any if a version script hides our names; a program linked with
// -static has no function behind ours and stops at its first lock.
#pragma once

#include <cstdint>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"

#if TAILRACE_DCHECKS && !TAILRACE_ASAN && !TAILRACE_TSAN
#define TAILRACE_COUNTS_LOCKS 1
#else
#define TAILRACE_COUNTS_LOCKS 0
#endif

#if TAILRACE_COUNTS_LOCKS
extern "C" {
extern thread_local std::int32_t tailrace_tls_locks_held;
}
#endif

namespace tailrace::fiber {

class Fiber;

// Locks that the calling thread holds; always 0 where they are not counted. One instruction, as
// in base/thread_state.h: no address that could be kept over a switch.
TAILRACE_ALWAYS_INLINE std::int32_t locks_held() noexcept {
#if TAILRACE_COUNTS_LOCKS
  std::int32_t held;
  asm volatile("movl %%fs:tailrace_tls_locks_held@tpoff, %0" : "=r"(held));
  return held;
#else
  return 0;
#endif
}

// Stops the program: the fiber leaves its worker, for the reason that its record names or, with
// `how`, for another.
[[noreturn, gnu::cold]] void held_over_switch(const Fiber* fiber, const char* how,
                                              std::int32_t held) noexcept;

}  // namespace tailrace::fiber
