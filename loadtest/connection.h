// One non-blocking HTTP/1.1 connection: at most one request on it at a time, written whole and
// answered whole. It is opened again and again; its owner decides when.
//
// The owner's epoll tells it of events, level-triggered; the tag that they carry is the owner's
// index and a generation which changes with each socket, so that an event of a socket that is gone
// is known as such. Not synchronised.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "loadtest/answer.h"
#include "loadtest/endpoint.h"

namespace tailrace::loadtest {

class Connection {
 public:
  enum class State { kClosed, kConnecting, kIdle, kBusy };
  enum class Outcome {
    kNothing,     // goes on
    kConnected,   // now idle
    kAnswered,    // status() and reusable() tell; error() if there were bytes after the answer
    kIdleClosed,  // by the server, between two requests: nobody's fault
    kBroken,      // error() says why; what was on it is lost
  };

  Connection(int epoll, std::uint32_t index) : epoll_(epoll), index_(index) {}
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // kNothing (connecting) or kBroken.
  Outcome open(const Endpoint& endpoint, std::int64_t now_ns);
  // Only when idle. `head`: the method is HEAD. kNothing, or what the server said instead of
  // reading.
  Outcome send(std::string_view request, bool head, std::span<char> scratch);
  // `scratch` is where bytes are read into, the owner's for all its connections.
  Outcome on_event(std::uint32_t events, std::span<char> scratch);
  // Drops what is on it, with a reset if the server still owes bytes.
  void close() noexcept;

  State state() const noexcept { return state_; }
  std::uint64_t tag() const noexcept { return (std::uint64_t{generation_} << 32) | index_; }
  std::uint32_t index() const noexcept { return index_; }
  int status() const noexcept { return answer_.status(); }
  // Whether another request may go on it.
  bool reusable() const noexcept { return state_ == State::kIdle; }
  const std::string& error() const noexcept { return error_; }
  std::int64_t opened_ns() const noexcept { return opened_ns_; }
  // Of the last request; of the answer what was read of it.
  std::uint64_t bytes_sent() const noexcept { return bytes_sent_; }
  std::uint64_t bytes_received() const noexcept { return bytes_received_; }
  // When the answer's last bytes came to this host, by the kernel's stamp, on the steady clock; 0 if
  // it gave none.
  std::int64_t arrived_ns() const noexcept { return arrived_ns_; }
  // Since it was opened.
  std::uint64_t answers() const noexcept { return answers_; }

 private:
  Outcome connected();
  Outcome write_rest(std::span<char> scratch);
  Outcome read(std::span<char> scratch);
  // As recv(); leaves arrived_ns_.
  ssize_t receive(std::span<char> scratch) noexcept;
  Outcome answered(std::size_t unused);
  Outcome broken(std::string why);
  void watch(std::uint32_t events) noexcept;

  int epoll_;
  std::uint32_t index_;
  std::uint32_t generation_ = 0;
  int fd_ = -1;
  State state_ = State::kClosed;
  std::uint32_t watched_ = 0;
  Answer answer_;
  std::string unwritten_;  // of the request, when the socket's buffer was full
  std::string error_;
  std::int64_t opened_ns_ = 0;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
  std::uint64_t answers_ = 0;
  std::int64_t arrived_ns_ = 0;
};

}  // namespace tailrace::loadtest
