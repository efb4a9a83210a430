// One worker's poller: an epoll instance, an eventfd that wakes it, a slab of connection records, a
// timing wheel, the closing queue, and an io_context for Asio's users (poller_asio.h). Its own worker polls it; any other may rescue it.
//
// Lock: guards the life of records, the wheel, and what an epoll_wait of a rescuer returned. The
// owner takes it after its epoll_wait, never around it; a rescuer try-locks around the whole look.
// Nobody holds two. Closing: a finished record is pushed to the closing queue, and whoever holds or
// gets the lock empties it, so no one is woken for a close; a pusher that finds the lock taken
// leaves the record to the holder, who looks again after unlocking (seq_cst on both words:
// [http.close] in DESIGN.md). An event that was fetched before its record was closed is known by
// the generation and dropped.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "gcruntime/fiber/netpoll.h"
#include "server/connection.h"
#include "server/poller_asio.h"
#include "server/wheel.h"

struct epoll_event;

namespace tailrace::http {

class alignas(64) Poller final {
 public:
  Poller(std::size_t capacity, void (*serve)(fiber::Job* job));
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // fiber::Netpoll's three, for this worker.
  void poll(std::int64_t timeout_ns, fiber::ReadyList& ready);
  bool rescue(fiber::ReadyList& ready);
  void wake() noexcept;

  // The worker's io_context, for operations that fibers wait for (use_fiber.h).
  PollerAsio& asio() noexcept { return *asio_; }

  // Makes a connection of a non-blocking socket; from here on the descriptor is the poller's. False
  // (and the descriptor is still the caller's) if the slab is full or epoll refuses. Any thread.
  bool adopt(int fd, Service& service, std::int64_t deadline_ns);
  // Moves the deadline, nearer or farther. By the running session. Any worker.
  void arm(Connection& connection, std::int64_t deadline_ns) noexcept;
  // The running session's last act: the record and its descriptor are closed. Any worker.
  void finish(Connection& connection) noexcept;
  // For drain, any thread: closes the idle ones; or ends all streams, so that who waits for one
  // wakes.
  void close_idle() noexcept;
  void shutdown_all() noexcept;

  // Relaxed: balances and reports.
  std::uint32_t connections() const noexcept { return count_.load(std::memory_order_relaxed); }

 private:
  // Blocks for a few microseconds: the longest holder is a rescuer's look.
  class Lock {
   public:
    void lock() noexcept;
    // Seq_cst: see finish(). Pairs with unlock().
    bool try_lock() noexcept { return !taken_.exchange(true, std::memory_order_seq_cst); }
    void unlock() noexcept { taken_.store(false, std::memory_order_seq_cst); }

   private:
    std::atomic<bool> taken_{false};
  };

  // True if the eventfd was among the events.
  bool dispatch(const epoll_event* events, int count, fiber::ReadyList& ready) noexcept;
  void advance(std::int64_t now_ns, fiber::ReadyList& ready) noexcept;
  void push_closing(Connection& connection) noexcept;
  // Nearly always empty: one load. Seq_cst: pairs with push_closing(), see there.
  void empty_closing_queue() noexcept {
    if (closing_.load(std::memory_order_seq_cst) != nullptr) [[unlikely]] {
      empty_closing_queue_slow();
    }
  }
  void empty_closing_queue_slow() noexcept;

  // Immutable after construction.
  int epoll_fd_ = -1;
  int event_fd_ = -1;
  Connection* records_ = nullptr;  // a mapping of its own, touched as far as it was ever used
  std::size_t capacity_ = 0;
  void (*const serve_)(fiber::Job*);
  std::optional<PollerAsio> asio_;  // made by the constructor

  alignas(64) Lock lock_;
  // Guarded by lock_.
  Wheel wheel_;
  Connection* free_ = nullptr;
  std::size_t used_ = 0;  // records that have lived
  // 0: the owner is not about to block. Who links an earlier deadline wakes it.
  std::uint64_t sleeping_until_tick_ = 0;

  alignas(64) std::atomic<Connection*> closing_{nullptr};
  std::atomic<std::uint32_t> count_{0};
};

}  // namespace tailrace::http
