// The scheduler's netpoll over epoll: one poller a worker. It also hands new connections out.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "gcruntime/fiber/netpoll.h"
#include "server/poller.h"

namespace tailrace::http {

class Netpoll final : public fiber::Netpoll {
 public:
  // At most `connections` at once; `serve` runs a connection's job.
  Netpoll(std::size_t connections, void (*serve)(fiber::Job* job))
      : capacity_(connections), serve_(serve) {}

  void start(unsigned workers) override;
  // Relaxed: a choice; sockets on the others are served as well.
  void set_active(unsigned workers) noexcept override {
    active_.store(workers, std::memory_order_relaxed);
  }
  void poll(unsigned worker, std::int64_t timeout_ns, fiber::ReadyList& ready) override {
    pollers_[worker]->poll(timeout_ns, ready);
  }
  bool rescue(unsigned worker, fiber::ReadyList& ready) override {
    return pollers_[worker]->rescue(ready);
  }
  void wake(unsigned worker) noexcept override { pollers_[worker]->wake(); }
  // After start().
  Poller& poller(unsigned worker) noexcept { return *pollers_[worker]; }
  // Rings every worker but `own` whose Asio context is in use. Any thread.
  void wake_asio(const Poller* own) noexcept;

  // Gives the socket to the poller with the fewest connections among those whose worker runs fibers:
  // exact and cheap at the rates that accept allows. False if all are full. The thread of the listeners
  // only.
  bool adopt(int fd, Service& service, std::int64_t deadline_ns);
  // Any thread, after start().
  std::size_t connections() const noexcept;
  void close_idle() noexcept;
  void shutdown_all() noexcept;

 private:
  const std::size_t capacity_;
  void (*const serve_)(fiber::Job*);
  std::vector<std::unique_ptr<Poller>> pollers_;  // immutable after start()
  std::atomic<unsigned> active_{0};
};

}  // namespace tailrace::http
