// What the compiler and the sanitizers must be told about code that scans stacks and switches them.
#pragma once

#include <pthread.h>
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define TAILRACE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TAILRACE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define TAILRACE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TAILRACE_TSAN 1
#endif
#endif
#ifndef TAILRACE_ASAN
#define TAILRACE_ASAN 0
#endif
#ifndef TAILRACE_TSAN
#define TAILRACE_TSAN 0
#endif

#if TAILRACE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if TAILRACE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

// For loops that read other fibers' stacks and objects word by word. They must not call memcpy
// either: the sanitizers intercept it.
#if defined(__clang__)
#define TAILRACE_NO_SANITIZE \
  __attribute__((no_sanitize("address", "thread", "undefined"), noinline))
#else
#define TAILRACE_NO_SANITIZE \
  __attribute__((no_sanitize("address"), no_sanitize("thread"), no_sanitize("undefined"), noinline))
#endif

#define TAILRACE_ALWAYS_INLINE inline __attribute__((always_inline))
#define TAILRACE_NOINLINE __attribute__((noinline))

namespace tailrace::base {

// Free slots are poisoned under AddressSanitizer, so that a stale read names itself.
inline void poison_memory([[maybe_unused]] const void* address,
                          [[maybe_unused]] std::size_t bytes) {
#if TAILRACE_ASAN
  __asan_poison_memory_region(address, bytes);
#endif
}
inline void unpoison_memory([[maybe_unused]] const void* address,
                            [[maybe_unused]] std::size_t bytes) {
#if TAILRACE_ASAN
  __asan_unpoison_memory_region(address, bytes);
#endif
}

// What the sanitizers know of one stack. Switch protocol, in the leaving context:
//   start_switch(from, to);  jump;  and in the entered one:  finish_switch(self).
struct SanitizerStack {
  const void* bottom = nullptr;  // lowest address
  std::size_t bytes = 0;
  void* asan_fake_stack = nullptr;
  void* tsan_fiber = nullptr;
};

inline void create_sanitizer_fiber([[maybe_unused]] SanitizerStack& stack) {
#if TAILRACE_TSAN
  stack.tsan_fiber = __tsan_create_fiber(0);
#endif
}
inline void destroy_sanitizer_fiber([[maybe_unused]] SanitizerStack& stack) {
#if TAILRACE_TSAN
  __tsan_destroy_fiber(stack.tsan_fiber);
#endif
}
// For a thread's own stack.
inline void adopt_thread_stack([[maybe_unused]] SanitizerStack& stack) {
#if TAILRACE_TSAN
  stack.tsan_fiber = __tsan_get_current_fiber();
#endif
#if TAILRACE_ASAN
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    void* address = nullptr;
    pthread_attr_getstack(&attributes, &address, &stack.bytes);
    stack.bottom = address;
    pthread_attr_destroy(&attributes);
  }
#endif
}
// `from_ends`: the leaving context never runs again.
TAILRACE_ALWAYS_INLINE void start_switch([[maybe_unused]] SanitizerStack& from,
                                         [[maybe_unused]] SanitizerStack& to,
                                         [[maybe_unused]] bool from_ends = false) {
#if TAILRACE_ASAN
  __sanitizer_start_switch_fiber(from_ends ? nullptr : &from.asan_fake_stack, to.bottom, to.bytes);
#endif
#if TAILRACE_TSAN
  __tsan_switch_to_fiber(to.tsan_fiber, 0);
#endif
}
TAILRACE_ALWAYS_INLINE void finish_switch([[maybe_unused]] SanitizerStack& self) {
#if TAILRACE_ASAN
  __sanitizer_finish_switch_fiber(self.asan_fake_stack, nullptr, nullptr);
#endif
}

}  // namespace tailrace::base
