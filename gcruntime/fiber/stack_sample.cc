#include "gcruntime/fiber/stack_sample.h"

#include <pthread.h>
#include <signal.h>
#include <ucontext.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "gcruntime/fiber/current_worker.h"
#include "gcruntime/fiber/futex.h"
#include "gcruntime/fiber/worker.h"

namespace tailrace::fiber {

struct StackSampleSignal {
  static void on_signal(int signal, siginfo_t*, void* context) {
    const int saved_errno = errno;
    StackSample::on_signal(signal, context);
    errno = saved_errno;
  }
};

namespace {

constexpr std::int64_t kPatienceNs = 10'000'000;

int sample_signal() { return SIGRTMIN + 6; }

void install_handler() {
  struct sigaction action {};
  action.sa_sigaction = StackSampleSignal::on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  ::sigfillset(&action.sa_mask);
  TAILRACE_CHECK_VALUE(::sigaction(sample_signal(), &action, nullptr) == 0,
                       "the handler for stack samples could not be installed", errno);
}

void copy_text(char* to, const char* from) noexcept {
  unsigned i = 0;
  for (; from != nullptr && from[i] != 0 && i + 1 < StackSample::kNameBytes; ++i) to[i] = from[i];
  to[i] = 0;
}

// [low, high) are mapped: it is what lies above the stack pointer of the fiber that runs. What a
// function without frame pointers left in rbp may point anywhere in it, so each step is checked.
TAILRACE_NO_SANITIZE unsigned walk_frames(std::uintptr_t frame, std::uintptr_t low,
                                          std::uintptr_t high, const void** out, unsigned most) {
  unsigned count = 0;
  while (count < most && frame >= low && frame % 8 == 0 && high - frame >= 16 && frame < high) {
    const auto* words = reinterpret_cast<const std::uintptr_t*>(frame);
    if (words[1] == 0) break;
    out[count++] = reinterpret_cast<const void*>(words[1]);
    if (words[0] <= frame) break;
    frame = words[0];
  }
  return count;
}

}  // namespace

void StackSample::allow_on_this_thread() noexcept {
  static std::once_flag installed;
  std::call_once(installed, install_handler);
  // Threads inherit their creator's mask, and masking everything is common.
  sigset_t ours;
  ::sigemptyset(&ours);
  ::sigaddset(&ours, sample_signal());
  ::pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
}

bool StackSample::take(std::uint64_t slice, std::thread& thread) noexcept {
  slice_ = slice;
  // Release: `slice_` before the wish; pairs with the handler's acquire.
  state_.store(kWanted, std::memory_order_release);
  // Fails when the process's signal queue is full: then nobody answers.
  static_cast<void>(::pthread_kill(thread.native_handle(), sample_signal()));
  futex_wait(state_, kWanted, kPatienceNs);
  std::uint32_t wanted = kWanted;
  // Relaxed: nothing was handed over.
  if (state_.compare_exchange_strong(wanted, kIdle, std::memory_order_relaxed)) return false;
  // Acquire: pairs with the handler's release. It is at its few steps, perhaps without a processor.
  std::uint32_t state = state_.load(std::memory_order_acquire);
  while (state == kTaking) {
    futex_wait(state_, kTaking, kPatienceNs);
    state = state_.load(std::memory_order_acquire);
  }
  // Relaxed: the handler is done with it.
  state_.store(kIdle, std::memory_order_relaxed);
  return state == kTaken;
}

void StackSample::on_signal(int, void* context) noexcept {
  Worker* worker = current_worker();
  if (worker == nullptr) return;
  StackSample& sample = worker->stack_sample();
  std::uint32_t wanted = kWanted;
  // Acquire: pairs with take's release.
  if (!sample.state_.compare_exchange_strong(wanted, kTaking, std::memory_order_acquire,
                                             std::memory_order_relaxed)) {
    return;
  }
  const bool still = std::as_const(*worker).counters().switches.read() == sample.slice_ &&
                     worker->current() != nullptr;
  if (still) sample.fill(*worker, context);
  // Release: what was filled in; pairs with take's acquire. kIdle: the slice has ended.
  sample.state_.store(still ? kTaken : kIdle, std::memory_order_release);
  futex_wake(sample.state_);
}

void StackSample::fill(Worker& worker, const void* context) noexcept {
  Fiber* fiber = worker.current();
  copy_text(name_, fiber->name.load(std::memory_order_relaxed));
  char label[Label::kBytes];
  fiber->label.copy_to(label);
  copy_text(label_, label);
  count_ = 0;
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
  const auto sp = static_cast<std::uintptr_t>(registers[REG_RSP]);
  const auto low = reinterpret_cast<std::uintptr_t>(fiber->stack.low);
  const auto high = reinterpret_cast<std::uintptr_t>(fiber->base());
  if (sp < low || sp >= high) return;  // on its way in or out
  frames_[count_++] = reinterpret_cast<const void*>(registers[REG_RIP]);
  count_ += walk_frames(static_cast<std::uintptr_t>(registers[REG_RBP]), sp, high, frames_ + 1,
                        kMostFrames - 1);
}

}  // namespace tailrace::fiber
