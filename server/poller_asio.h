// The Asio part of a poller: the io_context that belongs to one worker. The sockets of the server
// itself never come here; it is for clients, timers and whatever Asio library a program brings.
//
// Who runs it: the owner in each poll, and a rescuer in its place; one at a time, by a mutex, so a
// worker's context is an implicit strand. Handlers run on a scheduler context and never on a fiber:
// they may make fibers ready and must not suspend. They run in a native scope, always, since the owner
// is in one while it sleeps: so they must not touch managed memory either, and debug builds stop the
// program when they do; use_fiber leaves both to the fiber.
//
// Who waits: without an operation under way the owner blocks in its own epoll, and this class costs
// one load a poll and no system call. With one it blocks in the io_context, which then watches the
// poller's epoll too (`bridge_`): whatever wakes the poller wakes it, whatever completes here is seen
// at once, including what other threads post. [http.asio]
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <mutex>
#include <optional>

namespace tailrace::http {

class Poller;

class PollerAsio {
 public:
  PollerAsio(Poller& poller, int epoll_fd);
  ~PollerAsio();
  PollerAsio(const PollerAsio&) = delete;
  PollerAsio& operator=(const PollerAsio&) = delete;

  // Any thread. From the first call on the context is polled.
  boost::asio::io_context& context() noexcept {
    mark_used();
    return context_;
  }
  // Relaxed: who marks from another thread rings the owner afterwards.
  void mark_used() noexcept { used_.store(true, std::memory_order_relaxed); }
  bool used() const noexcept { return used_.load(std::memory_order_relaxed); }

  struct Work {
    bool ran = false;        // handlers
    bool under_way = false;  // operations
  };
  // The owner: runs what is ready.
  Work run_ready();
  // The owner, with operations under way: until the epoll has events, a handler has run, or the time
  // has passed (negative: never).
  void wait(int timeout_ms);
  // Any other worker: runs what is ready, unless somebody else does.
  void rescue();

  // The poller that a context belongs to, or null if it is no worker's.
  static Poller* owner_of(boost::asio::execution_context& context);

 private:
  class Owner;

  const int epoll_fd_;
  std::atomic<bool> used_{false};
  std::mutex mutex_;  // held by whoever runs the context
  boost::asio::io_context context_;
  std::optional<boost::asio::posix::stream_descriptor> bridge_;  // guarded by mutex_
  bool bridge_armed_ = false;                                    // guarded by mutex_
};

}  // namespace tailrace::http
