#include "gcruntime/fiber/held_locks.h"

#include <atomic>
#include <cstdlib>

#include "gcruntime/fiber/fiber_record.h"
#include "gcruntime/fiber/signal_line.h"

#if TAILRACE_COUNTS_LOCKS
#include <dlfcn.h>
#include <pthread.h>
#include <cerrno>
#include <ctime>

// Named in assembly: `used` keeps it, constinit and zero put it into .tbss.
extern "C" {
[[gnu::used]] constinit thread_local std::int32_t tailrace_tls_locks_held = 0;
}
#endif

namespace tailrace::fiber {
namespace {

const char* text_of(WaitReason reason) noexcept {
  switch (reason) {
    case WaitReason::kNone:
      return "nothing";
    case WaitReason::kIo:
      return "a socket";
    case WaitReason::kMutex:
      return "a lock of fibers";
    case WaitReason::kTimer:
      return "a timer";
    case WaitReason::kJoin:
      return "another fiber's end";
    case WaitReason::kChannel:
      return "a channel";
    case WaitReason::kIdle:
      return "work";
    case WaitReason::kBlocking:
      return "a blocking call";
    case WaitReason::kMemory:
      return "memory";
    default:
      return "something else";
  }
}

}  // namespace

void held_over_switch(const Fiber* fiber, const char* how, std::int32_t held) noexcept {
  char label[Label::kBytes];
  fiber->label.copy_to(label);
  SignalLine line;
  line.text("fiber ").text(fiber->name.load(std::memory_order_relaxed));
  if (label[0] != 0) line.text(" (").text(label).text(")");
  if (how != nullptr) {
    line.text(how);
  } else {
    line.text(" waits for ").text(text_of(fiber->reason.load(std::memory_order_relaxed)));
  }
  if (held > 0) {
    line.text(" while its thread holds ").decimal(static_cast<std::uint64_t>(held));
    line.text(" std::mutex or pthread lock");
    line.text(held == 1 ? "" : "s");
    line.text(": release it first, or use tailrace::fiber::Mutex, which may be held over a wait");
  } else {
    line.text(" after it unlocked a std::mutex or pthread lock that its thread did not lock");
  }
  line.flush();
  std::abort();
}

#if TAILRACE_COUNTS_LOCKS
namespace {

TAILRACE_ALWAYS_INLINE void add_held(int change) noexcept {
  asm volatile("addl %0, %%fs:tailrace_tls_locks_held@tpoff" : : "er"(change) : "cc", "memory");
}

// The function of that name behind ours. Several threads may look at once; they find the same.
template <typename F>
F* behind(std::atomic<F*>& place, const char* name) noexcept {
  // Relaxed: the pointer is all there is.
  F* function = place.load(std::memory_order_relaxed);
  if (function == nullptr) [[unlikely]] {
    function = reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
    TAILRACE_CHECK(function != nullptr,
                   "no C library behind the counted pthread locks: do not link debug builds with "
                   "-static, or use the release preset");
    place.store(function, std::memory_order_relaxed);
  }
  return function;
}

}  // namespace
#endif

}  // namespace tailrace::fiber

#if TAILRACE_COUNTS_LOCKS

// The names of parameters are the C library's secret. NOLINTBEGIN(readability-inconsistent-*,bugprone-macro-*)
// Taking: EOWNERDEAD is a robust mutex, which is then held too.
#define TAILRACE_TAKES(name, parameters, arguments)                        \
  extern "C" int name parameters noexcept {                                \
    static constinit std::atomic<int(*) parameters> place{nullptr};        \
    const int result = tailrace::fiber::behind(place, #name) arguments;    \
    if (result == 0 || result == EOWNERDEAD) tailrace::fiber::add_held(1); \
    return result;                                                         \
  }
#define TAILRACE_GIVES(name, parameters, arguments)                     \
  extern "C" int name parameters noexcept {                             \
    static constinit std::atomic<int(*) parameters> place{nullptr};     \
    const int result = tailrace::fiber::behind(place, #name) arguments; \
    if (result == 0) tailrace::fiber::add_held(-1);                     \
    return result;                                                      \
  }

TAILRACE_TAKES(pthread_mutex_lock, (pthread_mutex_t * mutex), (mutex))
TAILRACE_TAKES(pthread_mutex_trylock, (pthread_mutex_t * mutex), (mutex))
TAILRACE_TAKES(pthread_mutex_timedlock, (pthread_mutex_t * mutex, const timespec* until),
               (mutex, until))
TAILRACE_TAKES(pthread_mutex_clocklock,
               (pthread_mutex_t * mutex, clockid_t clock, const timespec* until),
               (mutex, clock, until))
TAILRACE_GIVES(pthread_mutex_unlock, (pthread_mutex_t * mutex), (mutex))
TAILRACE_TAKES(pthread_rwlock_rdlock, (pthread_rwlock_t * lock), (lock))
TAILRACE_TAKES(pthread_rwlock_wrlock, (pthread_rwlock_t * lock), (lock))
TAILRACE_TAKES(pthread_rwlock_tryrdlock, (pthread_rwlock_t * lock), (lock))
TAILRACE_TAKES(pthread_rwlock_trywrlock, (pthread_rwlock_t * lock), (lock))
TAILRACE_TAKES(pthread_rwlock_timedrdlock, (pthread_rwlock_t * lock, const timespec* until),
               (lock, until))
TAILRACE_TAKES(pthread_rwlock_timedwrlock, (pthread_rwlock_t * lock, const timespec* until),
               (lock, until))
TAILRACE_TAKES(pthread_rwlock_clockrdlock,
               (pthread_rwlock_t * lock, clockid_t clock, const timespec* until),
               (lock, clock, until))
TAILRACE_TAKES(pthread_rwlock_clockwrlock,
               (pthread_rwlock_t * lock, clockid_t clock, const timespec* until),
               (lock, clock, until))
TAILRACE_GIVES(pthread_rwlock_unlock, (pthread_rwlock_t * lock), (lock))

// NOLINTEND(readability-inconsistent-*,bugprone-macro-*)
#endif
