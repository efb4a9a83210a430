// Checks for bugs of ours. A failed check prints a constant text, the place and the values, and
// aborts; it neither allocates nor unwinds, so it may fail anywhere, signal handlers included.
// Operating errors (a full disk, bad input) are values and never come here.
#pragma once

#include <cstdint>

namespace tailrace::base {

// Prints "file:line: check failed: condition (message)" to stderr and aborts. Async-signal-safe.
[[noreturn, gnu::cold]] void check_failed(const char* file, int line, const char* condition,
                                          const char* message) noexcept;
// The same with one number, printed in decimal and hexadecimal.
[[noreturn, gnu::cold]] void check_failed_value(const char* file, int line, const char* condition,
                                                const char* message, std::uint64_t value) noexcept;

// For the heap verifier: what is wrong with which word of which object.
[[noreturn, gnu::cold]] void check_failed_object(const char* what, std::uint64_t slot,
                                                 std::uint64_t word, std::uint64_t value) noexcept;

}  // namespace tailrace::base

// Always on. The message says what it means for the reader, not what the condition says already.
#define TAILRACE_CHECK(condition, message)           \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::tailrace::base::check_failed(__FILE__, __LINE__, #condition, (message)))
#define TAILRACE_CHECK_VALUE(condition, message, value)                                  \
  (__builtin_expect(static_cast<bool>(condition), 1)                                     \
       ? static_cast<void>(0)                                                            \
       : ::tailrace::base::check_failed_value(__FILE__, __LINE__, #condition, (message), \
                                              static_cast<std::uint64_t>(value)))

// On in builds with debug checks (dev, asan) and in the verify build.
#if !defined(NDEBUG) || defined(TAILRACE_VERIFY)
#define TAILRACE_DCHECKS 1
#define TAILRACE_DCHECK(condition, message) TAILRACE_CHECK(condition, message)
#else
#define TAILRACE_DCHECKS 0
#define TAILRACE_DCHECK(condition, message) static_cast<void>(sizeof(condition))
#endif
