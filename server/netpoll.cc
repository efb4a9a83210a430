// See netpoll.h.
#include "server/netpoll.h"

#include <algorithm>

namespace tailrace::http {

void Netpoll::start(unsigned workers) {
  // Room for all of them on each, since only one worker may be active: records are address space until
  // they are used.
  for (unsigned i = 0; i < workers; ++i) {
    pollers_.push_back(std::make_unique<Poller>(capacity_, serve_));
  }
}

void Netpoll::wake_asio(const Poller* own) noexcept {
  for (const auto& poller : pollers_) {
    if (poller.get() != own && poller->asio().used()) poller->wake();
  }
}

bool Netpoll::adopt(int fd, Service& service, std::int64_t deadline_ns) {
  if (connections() >= capacity_) return false;
  const auto fewest = std::min_element(
      pollers_.begin(), pollers_.begin() + active_.load(std::memory_order_relaxed),
      [](const auto& a, const auto& b) { return a->connections() < b->connections(); });
  return (*fewest)->adopt(fd, service, deadline_ns);
}

std::size_t Netpoll::connections() const noexcept {
  std::size_t sum = 0;
  for (const auto& poller : pollers_) sum += poller->connections();
  return sum;
}

void Netpoll::close_idle() noexcept {
  for (const auto& poller : pollers_) poller->close_idle();
}

void Netpoll::shutdown_all() noexcept {
  for (const auto& poller : pollers_) poller->shutdown_all();
}

}  // namespace tailrace::http
