// `serve-synthetic`: a real HTTP server that answers when a model says so, for checking what
// measures servers.
//
// One thread. The model gets each request's arrival, the answer leaves at the time that it names:
// the thread sleeps until shortly before and spins the rest. Service takes no CPU time, so the
// queue is the model's, as long as this thread itself keeps up. Each answer tells how it went:
//   X-Sojourn-Ns         what the model ordered, from the request's last byte to the answer's leave
//   X-Leave-Lateness-Ns  how much later the answer was written
// GET /healthz answers at once; GET /metrics tells the model's figures as Prometheus text, under
// the names of the tailrace server. HTTP/1.1 with Content-Length; what is more or larger gets a 4xx
// and is closed.
//
// start() and stop() from one thread; stop() also by the destructor.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <variant>

namespace tailrace::loadtest {

class SyntheticServer {
 public:
  // Further connections are closed at once.
  static constexpr std::size_t kMostConnections = 20'000;
  static constexpr std::size_t kMostHeadBytes = 16 * 1024;
  static constexpr std::uint64_t kMostBodyBytes = 64 << 20;

  SyntheticServer();
  ~SyntheticServer();
  SyntheticServer(const SyntheticServer&) = delete;
  SyntheticServer& operator=(const SyntheticServer&) = delete;

  // The port, picked by the kernel if 0 was given; or why not. `host`: a numeric address.
  std::variant<std::uint16_t, std::string> start(std::string_view model, const std::string& host,
                                                 std::uint16_t port);
  // Closes all connections; what was due later gets no answer. Any number of times.
  void stop();

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
  std::thread thread_;
};

// The command: serves until SIGTERM or SIGINT, which it blocks in its caller's thread. The first
// line on `out` is "listening http://HOST:PORT model TEXT". The exit code: 0, or 2 with a message
// on `err`.
int serve_synthetic(std::string_view model, const std::string& host, std::uint16_t port,
                    std::ostream& out, std::ostream& err);

}  // namespace tailrace::loadtest
