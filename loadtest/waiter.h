// Waits for sockets until a time: in the kernel while it is far off, then by looking again and
// again, as the timers of a kernel come tens of microseconds late.
//
// The worker's thread only, but for wake().
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "loadtest/measure.h"

namespace tailrace::loadtest {

class Waiter {
 public:
  static constexpr std::uint64_t kWakeTag = ~std::uint64_t{0};
  // Before the time by so much a hybrid wait leaves the kernel.
  static constexpr std::int64_t kSpinNs = 60'000;

  explicit Waiter(Idle idle);
  ~Waiter();
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  int epoll() const noexcept { return epoll_; }
  // Returns when there are events, or about `until_ns`, or earlier; `now_ns` is what the clock
  // says.
  std::span<const epoll_event> wait(std::int64_t now_ns, std::int64_t until_ns);
  // Any thread: ends a wait.
  void wake() noexcept;
  void woken() noexcept;

  // Spent in looking again and again without finding anything, since the last call.
  std::int64_t take_spun_ns() noexcept { return std::exchange(spun_ns_, 0); }

 private:
  int poll(std::int64_t timeout_ns) noexcept;

  Idle idle_;
  int epoll_ = -1;
  int wake_ = -1;
  std::int64_t spun_ns_ = 0;
  std::array<epoll_event, 64> events_;
};

}  // namespace tailrace::loadtest
