// The quickest server there is, to measure the generator with: one thread that answers each
// request's head with the same bytes. Requests have no body and one is under way on a connection at
// a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace tailrace::loadtest {

class NullServer {
 public:
  // Listens on a free port of 127.0.0.1; throws std::system_error if the system refuses.
  NullServer();
  ~NullServer();
  NullServer(const NullServer&) = delete;
  NullServer& operator=(const NullServer&) = delete;

  std::uint16_t port() const noexcept { return port_; }
  // Any thread.
  std::uint64_t answered() const noexcept { return answered_.load(std::memory_order_relaxed); }

 private:
  void run();
  void accept_all();
  // False if the client has gone.
  bool answer(int fd);

  int epoll_ = -1;
  int listener_ = -1;
  int stop_ = -1;
  std::uint16_t port_ = 0;
  std::vector<std::uint8_t> matched_;       // by descriptor: how much of the head's end was read
  std::atomic<std::uint64_t> answered_{0};  // a statistic: written by the thread, read by any
  std::thread thread_;
};

}  // namespace tailrace::loadtest
