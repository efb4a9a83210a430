// A listening socket: accepts on the main thread's io_context and hands each connection to the
// poller with the fewest. All calls on that thread.
//
// When descriptors or memory run out it waits (10 ms, doubling to 1 s) instead of spinning on a
// socket that stays readable; when all records are taken, a connection is answered 503 and closed.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "metrics/counter.h"
#include "server/netpoll.h"
#include "server/service.h"
#include "server/worker_state.h"

namespace tailrace::http {

struct ListenerInstruments {
  metrics::Counter& accepted;
  metrics::Counter& refused;  // 503 at once: no record left
  metrics::Counter& errors;   // of accept itself
};

class Listener {
 public:
  Listener(boost::asio::io_context& context, Netpoll& netpoll, Service& service,
           const ListenerInstruments& instruments);

  // Resolves, binds and listens. An error is a message that names the remedy.
  std::optional<std::string> open(const std::string& host, std::uint16_t port);
  // From here on connections are taken.
  void start();
  void close();

  const boost::asio::ip::tcp::endpoint& endpoint() const noexcept { return endpoint_; }

 private:
  void wait();
  void accept_some();
  void back_off();
  void take(int fd);

  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer timer_;
  std::chrono::milliseconds pause_{0};
  Netpoll& netpoll_;
  Service& service_;
  ListenerInstruments instruments_;
  WorkerState state_;  // of this thread: dates and ids of refusals
  boost::asio::ip::tcp::endpoint endpoint_;
};

}  // namespace tailrace::http
