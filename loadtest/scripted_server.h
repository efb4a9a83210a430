// A server for tests that does on each connection what a script says, on a thread of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace tailrace::loadtest {

inline constexpr std::string_view kOkAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";

// One connection, in its script.
class Peer {
 public:
  Peer(int fd, std::uint64_t number) : fd_(fd), number_(number) {}
  // A whole request with its body; empty when the client or the test has closed.
  std::string read_request();
  bool write(std::string_view bytes);
  // Each byte in a segment of its own.
  bool write_bytewise(std::string_view bytes);
  // Until the client or the test closes.
  void wait_for_close();
  // Closes with a reset instead of a FIN when the script returns.
  void reset();
  std::uint64_t number() const noexcept { return number_; }

 private:
  int fd_;
  std::uint64_t number_;
  std::string read_;
};

class ScriptedServer {
 public:
  using Script = std::function<void(Peer&)>;
  // One that accepts nothing keeps a few connections in its queue and lets the rest hang.
  explicit ScriptedServer(Script script, bool accepts = true);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  std::uint16_t port() const noexcept { return port_; }
  std::uint64_t connections() const noexcept { return accepted_.load(std::memory_order_relaxed); }
  // Refuses new connections and closes all there are.
  void go_away();
  // The same, and every script has returned: what they wrote may be read.
  void finish();

 private:
  void accept_all();

  Script script_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<std::uint64_t> accepted_{0};
  std::mutex mutex_;
  std::vector<int> open_;             // guarded by mutex_; -1 once closed
  std::vector<std::thread> threads_;  // guarded by mutex_
  std::thread acceptor_;
};

// A script: reads requests until the client closes and answers each with the same bytes.
ScriptedServer::Script always(std::string_view answer);

}  // namespace tailrace::loadtest
