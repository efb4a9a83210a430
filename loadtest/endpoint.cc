// See endpoint.h.
#include "loadtest/endpoint.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>

namespace tailrace::loadtest {
namespace {

constexpr double kTimeWaitSeconds = 60;  // TCP_TIMEWAIT_LEN of Linux
constexpr std::uint64_t kSpareDescriptors = 32;

// Whether it accepts a connection; errno tells why not.
bool accepts(const Endpoint& endpoint, std::int64_t timeout_ns) {
  const int fd = ::socket(endpoint.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  int error = 0;
  if (::connect(fd, endpoint.address(), endpoint.length) != 0) {
    error = errno;
    if (error == EINPROGRESS) {
      pollfd wait{.fd = fd, .events = POLLOUT, .revents = 0};
      const int ready = ::poll(&wait, 1, static_cast<int>(timeout_ns / 1'000'000));
      socklen_t length = sizeof error;
      if (ready == 0) {
        error = ETIMEDOUT;
      } else if (ready < 0 || ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
        error = errno;
      }
    }
  }
  ::close(fd);
  errno = error;
  return error == 0;
}

std::uint64_t open_descriptors() {
  std::error_code error;
  std::uint64_t open = 0;
  for (auto it = std::filesystem::directory_iterator("/proc/self/fd", error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    ++open;
  }
  return open;
}

SocketLimits read_limits(std::uint64_t descriptors_wanted) {
  SocketLimits limits;
  limits.descriptors_open = open_descriptors();
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const std::uint64_t wanted = limits.descriptors_open + descriptors_wanted + kSpareDescriptors;
  if (files.rlim_cur < wanted && files.rlim_cur < files.rlim_max) {
    rlimit raised = files;
    raised.rlim_cur = std::min<rlim_t>(wanted, files.rlim_max);
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) files = raised;
  }
  limits.descriptors = files.rlim_cur;
  std::uint64_t low = 32768;
  std::uint64_t high = 60999;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> low >> high;
  limits.ports = high >= low ? high - low + 1 : 0;
  std::ifstream("/proc/sys/net/ipv4/tcp_tw_reuse") >> limits.time_wait_reuse;
  return limits;
}

}  // namespace

bool Endpoint::loopback() const noexcept {
  if (family() == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
  return family() == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

std::string Endpoint::text() const {
  char host[NI_MAXHOST] = "?";
  char port[NI_MAXSERV] = "?";
  ::getnameinfo(address(), length, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
  const std::string name = family() == AF_INET6 ? "[" + std::string(host) + "]" : host;
  return name + ":" + port;
}

std::variant<Endpoint, std::string> resolve(const Url& url, std::int64_t timeout_ns) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      ::getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &found);
  if (error != 0) {
    return "the host \"" + url.host + "\" has no address (" + ::gai_strerror(error) +
           "): check its name, or give its IP address";
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  std::vector<Endpoint> endpoints;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    Endpoint endpoint;
    std::memcpy(&endpoint.storage, each->ai_addr, each->ai_addrlen);
    endpoint.length = each->ai_addrlen;
    endpoints.push_back(endpoint);
  }
  if (endpoints.empty()) return "the host \"" + url.host + "\" has no address: check its name";
  if (endpoints.size() == 1) return endpoints.front();
  for (const Endpoint& endpoint : endpoints) {
    if (accepts(endpoint, timeout_ns)) return endpoint;
  }
  return "nothing answers at any address of " + url.authority() + ", the last one being " +
         endpoints.back().text() + " (" + std::system_category().message(errno) +
         "): is the server running, and is this its port?";
}

std::string check_sockets(const SocketNeeds& needs) {
  return check_sockets(needs, read_limits(needs.connections + needs.others));
}

std::string check_sockets(const SocketNeeds& needs, const SocketLimits& limits) {
  const std::uint64_t wanted =
      limits.descriptors_open + needs.connections + needs.others + kSpareDescriptors;
  if (wanted > limits.descriptors) {
    return std::to_string(needs.connections) + " connections need " + std::to_string(wanted) +
           " open files, and the limit is " + std::to_string(limits.descriptors) +
           ": ask for fewer connections (-c), or raise it (ulimit -n " + std::to_string(wanted) +
           ")";
  }
  if (needs.connections > limits.ports) {
    return std::to_string(needs.connections) +
           " connections to one address need as many ports, and there are " +
           std::to_string(limits.ports) +
           ": ask for fewer connections (-c), or widen net.ipv4.ip_local_port_range";
  }
  const bool reuse = limits.time_wait_reuse == 1 || (limits.time_wait_reuse == 2 && needs.loopback);
  const double held = needs.closes_per_second * (reuse ? 1 : kTimeWaitSeconds);
  if (held + needs.connections > static_cast<double>(limits.ports)) {
    return "closing " + std::to_string(static_cast<std::uint64_t>(needs.closes_per_second)) +
           " connections a second leaves " + std::to_string(static_cast<std::uint64_t>(held)) +
           " ports in TIME_WAIT, and there are " + std::to_string(limits.ports) +
           ": let a connection carry more requests, lower the rate, or set net.ipv4.tcp_tw_reuse=1";
  }
  return {};
}

}  // namespace tailrace::loadtest
