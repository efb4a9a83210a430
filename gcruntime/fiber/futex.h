// Waiting of OS threads on a word, for threads that have no fiber to park. Thin calls of futex(2),
// private to the process. A wait may return early for no reason: the caller looks at the word
// again.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <atomic>
#include <cstdint>
#include <ctime>

namespace tailrace::fiber {

static_assert(sizeof(std::atomic<std::uint32_t>) == 4, "the kernel reads the bare word");

// Blocks while the word holds `expected`, at most timeout_ns (negative: for ever). Attached threads
// call it in a native scope.
inline void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       std::int64_t timeout_ns = -1) noexcept {
  timespec timeout{};
  timeout.tv_sec = timeout_ns / 1'000'000'000;
  timeout.tv_nsec = timeout_ns % 1'000'000'000;
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, timeout_ns < 0 ? nullptr : &timeout,
            nullptr, 0);
}

// The word may be gone by now (its owner saw the new value and left): the kernel uses the address
// as a key only. Async-signal-safe.
inline void futex_wake(std::atomic<std::uint32_t>& word, int threads = 1) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0);
}

}  // namespace tailrace::fiber
