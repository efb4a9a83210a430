// See waiter.h.
#include "loadtest/waiter.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "loadtest/clock.h"

namespace tailrace::loadtest {
namespace {

// The kernel may add a thousandth to a wait, whatever the thread's slack is.
constexpr std::int64_t kExactNs = 10 * kMillisecondNs;
constexpr std::int64_t kPollGapNs = 1500;
// A turn of the loop that took longer was not spent on spinning: another thread had the CPU.
constexpr std::int64_t kTurnMostNs = 10'000;
constexpr std::int64_t kTimeoutMostNs = 3600 * kSecondNs;

timespec timespec_of(std::int64_t ns) noexcept {
  return {.tv_sec = ns / kSecondNs, .tv_nsec = ns % kSecondNs};
}

void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

Waiter::Waiter(Idle idle) : idle_(idle) {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeTag;
  if (epoll_ < 0 || wake_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) != 0) {
    // The budget of descriptors was checked before.
    std::perror("tailrace-load: epoll");
    std::abort();
  }
}

Waiter::~Waiter() {
  ::close(wake_);
  ::close(epoll_);
}

void Waiter::wake() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
}

void Waiter::woken() noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_, &count, sizeof count);
}

int Waiter::poll(std::int64_t timeout_ns) noexcept {
  const int most = static_cast<int>(events_.size());
  if (timeout_ns <= 0) return std::max(0, ::epoll_wait(epoll_, events_.data(), most, 0));
  const timespec timeout = timespec_of(timeout_ns);
  int count = ::epoll_pwait2(epoll_, events_.data(), most, &timeout, nullptr);
  if (count < 0) {
    // A sandbox may not know epoll_pwait2 yet. After a signal, which may have stopped the process,
    // it is this wait that has to tell of what came in the meantime.
    if (errno != EINTR) {
      pollfd ready{.fd = epoll_, .events = POLLIN, .revents = 0};
      ::ppoll(&ready, 1, &timeout, nullptr);
    }
    count = ::epoll_wait(epoll_, events_.data(), most, 0);
  }
  return std::max(0, count);
}

std::span<const epoll_event> Waiter::wait(std::int64_t now_ns, std::int64_t until_ns) {
  const auto found = [this](int count) {
    return std::span<const epoll_event>(events_.data(), static_cast<std::size_t>(count));
  };
  const std::int64_t spin = idle_ == Idle::kHybrid ? kSpinNs : 0;
  const std::int64_t left = std::min(until_ns - now_ns, kTimeoutMostNs);
  if (left <= 0) return found(poll(0));
  if (idle_ != Idle::kSpin && left > spin) {
    // Far ahead it only comes nearer; the caller waits again.
    return found(poll(left > kExactNs ? left - left / 8 - spin : left - spin));
  }
  std::int64_t polled = now_ns;
  int count = poll(0);
  while (count == 0 && now_ns < until_ns) {
    relax();
    const std::int64_t now = loadtest::now_ns();
    spun_ns_ += std::min(now - now_ns, kTurnMostNs);
    now_ns = now;
    if (now - polled >= kPollGapNs) {
      count = poll(0);
      polled = now;
    }
  }
  return found(count);
}

}  // namespace tailrace::loadtest
