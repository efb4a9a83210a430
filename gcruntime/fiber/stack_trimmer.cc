#include "gcruntime/fiber/stack_trimmer.h"

#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <utility>

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/registry.h"

namespace tailrace::fiber {
namespace {

constexpr std::uintptr_t kPageBytes = 4096;
// What a leaf function may use below the stack pointer that was saved.
constexpr std::uintptr_t kRedZoneBytes = 128;
// Of an idle stack: the record's page and one for the first frames of its next fiber.
constexpr std::uintptr_t kIdleKeepBytes = 2 * kPageBytes;

constexpr std::int64_t kShortestPauseNs = 100'000'000;  // between two passes
// Records looked at while the list is locked: 25 us, for which a stop may have to wait.
constexpr std::size_t kLooksPerStep = 256;
// After a step that trimmed: 64 stacks take 200 us, so a fifth of one processor at most.
constexpr std::int64_t kStepPauseNs = 1'000'000;

bool membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0) == 0; }

bool at_rest(FiberState state) noexcept {
  return state == FiberState::kParked || state == FiberState::kIdle;
}

}  // namespace

TAILRACE_NOINLINE void leave_rest_slow(Fiber* fiber) noexcept {
  // Acquire, here and in the exchange: as in leave_rest.
  Rest rest = fiber->rest.load(std::memory_order_acquire);
  for (int spin = 0; rest != Rest::kRan; ++spin) {
    if (rest == Rest::kTrimming) {
      // Its thread may be without a processor.
      if (spin < 64) {
        __builtin_ia32_pause();
      } else {
        ::sched_yield();
      }
      rest = fiber->rest.load(std::memory_order_acquire);
    } else if (fiber->rest.compare_exchange_weak(rest, Rest::kRan, std::memory_order_acquire,
                                                 std::memory_order_acquire)) {
      return;
    }
  }
}

std::size_t StackCounts::look_at(Fiber* fiber, const char* keep) noexcept {
  const std::size_t below = StackPool::resident_pages(fiber->stack.low, keep);
  const std::size_t pages = below + StackPool::resident_pages(keep, fiber->stack.high);
  if (pages > fiber->known_pages) {
    faults.fetch_add(pages - fiber->known_pages, std::memory_order_relaxed);
  }
  fiber->known_pages = pages;
  return below;
}

StackTrimmer::~StackTrimmer() {
  const int bell = bell_fd_.load(std::memory_order_relaxed);
  if (bell >= 0) ::close(bell);
  if (stop_fd_ >= 0) ::close(stop_fd_);
}

void StackTrimmer::start(std::int64_t every_ns, std::uint64_t perturb_seed) {
  if (every_ns <= 0) return;
  every_ns_ = every_ns;
  perturb_ = Perturbation(perturb_seed, 64);  // workers are 0 to 63
  if (!membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)) {
    std::fprintf(
        stderr,
        "tailrace: fibers' stacks keep the pages that they once touched: the kernel or its "
        "seccomp filter refuses membarrier (%s)\n",
        std::strerror(errno));
    return;
  }
  const int bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  stop_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  TAILRACE_CHECK_VALUE(bell >= 0 && stop_fd_ >= 0,
                       "no descriptor left for the stack trimmer: raise ulimit -n", errno);
  bell_fd_.store(bell, std::memory_order_release);  // pairs with ring's acquire
  try {
    thread_ = std::thread(&StackTrimmer::main, this);
  } catch (const std::system_error& error) {
    std::fprintf(stderr, "tailrace: no thread to trim fibers' stacks: %s\n", error.what());
  }
}

void StackTrimmer::stop() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  TAILRACE_CHECK_VALUE(::write(stop_fd_, &one, sizeof one) == sizeof one,
                       "the stack trimmer cannot be told to end", errno);
  thread_.join();
}

void StackTrimmer::ring() noexcept {
  const int bell = bell_fd_.load(std::memory_order_acquire);  // pairs with start's release
  if (bell < 0) return;
  const int saved_errno = errno;
  const std::uint64_t one = 1;
  // Fails only when it has been rung 2^64 times unheard.
  if (::write(bell, &one, sizeof one) < 0) errno = saved_errno;
}

// False when the thread should end.
bool StackTrimmer::wait(std::int64_t timeout_ns, bool for_bell) noexcept {
  const int bell = bell_fd_.load(std::memory_order_relaxed);  // written before the thread began
  timespec timeout{};
  timeout.tv_sec = timeout_ns / 1'000'000'000;
  timeout.tv_nsec = timeout_ns % 1'000'000'000;
  pollfd wanted[] = {{stop_fd_, POLLIN, 0}, {bell, POLLIN, 0}};
  ::ppoll(wanted, for_bell ? 2 : 1, &timeout, nullptr);
  return wanted[0].revents == 0;
}

void StackTrimmer::main() {
  ::pthread_setname_np(::pthread_self(), "stack-trimmer");
  // Signals are for others.
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);

  const std::int64_t pause_ns = std::min(every_ns_, kShortestPauseNs);
  while (wait(every_ns_, true)) {
    // The rings until here are answered by this pass. Nothing to read at the tick.
    std::uint64_t rings = 0;
    if (::read(bell_fd_.load(std::memory_order_relaxed), &rings, sizeof rings) < 0 &&
        errno != EAGAIN)
      return;
    if (!pass() || !wait(pause_ns, false)) return;
  }
}

bool StackTrimmer::pass() {
  registry_.begin_walk();
  bool more = true;
  while (more) {
    const std::size_t count = claim_some(more);
    if (count != 0) {
      perturb_.delay();
      membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);  // T2
      for (std::size_t i = 0; i < count; ++i) {
        perturb_.delay();
        if (Fiber* fiber = take_claim(i)) trim(fiber);
      }
    }
    if (!wait(count != 0 ? std::min(every_ns_, kStepPauseNs) : 0, false)) return false;
  }
  return true;
}

// Marks and claims among the next records of the list.
std::size_t StackTrimmer::claim_some(bool& more) {
  std::size_t count = 0;
  more = registry_.walk(kLooksPerStep, [&](Fiber* fiber) {
    // Relaxed: a guess; what counts is T4.
    if (!at_rest(fiber->state.load(std::memory_order_relaxed))) return true;
    Rest rest = fiber->rest.load(std::memory_order_relaxed);
    if (rest == Rest::kRan) {
      // Relaxed: only the trimmer reads a mark.
      fiber->rest.compare_exchange_strong(rest, Rest::kSeen, std::memory_order_relaxed);
    } else if (rest == Rest::kSeen &&
               // T1. Relaxed: T2 is the fence.
               fiber->rest.compare_exchange_strong(rest, Rest::kClaimed,
                                                   std::memory_order_relaxed)) {
      claims_[count++] = fiber;
    }
    return count < kMostClaims;
  });
  return count;
}

// Null: it has been taken back, or the record is gone.
Fiber* StackTrimmer::take_claim(std::size_t index) noexcept {
  return registry_.locked([&]() -> Fiber* {
    Fiber* const fiber = std::exchange(claims_[index], nullptr);
    Rest claimed = Rest::kClaimed;
    // T3. Acquire: pairs with nothing but keeps T4 behind it.
    return fiber != nullptr && fiber->rest.compare_exchange_strong(claimed, Rest::kTrimming,
                                                                   std::memory_order_acquire,
                                                                   std::memory_order_relaxed)
               ? fiber
               : nullptr;
  });
}

// After T3: whoever wants to run on the stack, or to destroy it, waits for T6.
void StackTrimmer::trim(Fiber* fiber) noexcept {
  // T4. Acquire: pairs with the switch's release [fiber.scan]: the pointer is of that state.
  const FiberState state = fiber->state.load(std::memory_order_acquire);
  if (!at_rest(state)) {
    // Release: as T6.
    fiber->rest.store(Rest::kRan, std::memory_order_release);
    return;
  }
  perturb_.delay();
  std::uintptr_t keep = reinterpret_cast<std::uintptr_t>(fiber->stack.high) - kIdleKeepBytes;
  if (state == FiberState::kParked) {
    const void* sp = fiber->saved_sp.load(std::memory_order_relaxed);
    keep = (reinterpret_cast<std::uintptr_t>(sp) - kRedZoneBytes) & ~(kPageBytes - 1);
  }
  char* const low = fiber->stack.low;
  char* const first_kept = std::max(reinterpret_cast<char*>(keep), low);
  StackCounts& counts = registry_.stack_counts();
  const std::size_t pages = counts.look_at(fiber, first_kept);
  // T5. Refused for locked pages only.
  if (pages != 0 &&
      ::madvise(low, static_cast<std::size_t>(first_kept - low), MADV_DONTNEED) == 0) {
    fiber->known_pages -= pages;
    counts.trims.fetch_add(1, std::memory_order_relaxed);
    counts.trimmed_bytes.fetch_add(pages * kPageBytes, std::memory_order_relaxed);
  }
  // T6. Release: pairs with leave_rest's acquire.
  fiber->rest.store(Rest::kTrimmed, std::memory_order_release);
}

}  // namespace tailrace::fiber
