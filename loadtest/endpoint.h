// Where connections go, and whether this process can have as many of them as a run wants.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "loadtest/scenario.h"

namespace tailrace::loadtest {

struct Endpoint {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* address() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const noexcept { return storage.ss_family; }
  bool loopback() const noexcept;
  // 127.0.0.1:80, [::1]:80
  std::string text() const;
};

// The host's addresses; of several the first one that accepts a connection within `timeout_ns`, so
// that "localhost" means the one the server listens on. Blocks. An error names the remedy.
std::variant<Endpoint, std::string> resolve(const Url& url, std::int64_t timeout_ns);

struct SocketNeeds {
  unsigned connections = 0;
  unsigned others = 0;  // descriptors beside them
  double closes_per_second =
      0;  // by us in good order: each holds its port in TIME_WAIT for a while
  bool loopback = false;
};
// Raises the soft limit of descriptors as far as needed and allowed. Empty, or why not, with the
// remedy.
std::string check_sockets(const SocketNeeds& needs);

// The pure parts of it, of what the system says.
struct SocketLimits {
  std::uint64_t descriptors = 0;
  std::uint64_t descriptors_open = 0;
  std::uint64_t ports = 0;
  int time_wait_reuse = 0;  // net.ipv4.tcp_tw_reuse
};
std::string check_sockets(const SocketNeeds& needs, const SocketLimits& limits);

}  // namespace tailrace::loadtest
