// See listener.h.
#include "server/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <boost/system/error_code.hpp>
#include <cerrno>

#include "gcruntime/os/clock.h"
#include "server/error.h"
#include "server/limits.h"
#include "server/socket.h"

namespace tailrace::http {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::milliseconds kFirstPause{10};
constexpr std::chrono::milliseconds kLongestPause{1000};

constexpr std::string_view kFullBody =
    "{\"error\":\"unavailable\",\"message\":\"the server's connections are taken\"}";

std::string remedy(const error_code& error, const std::string& host, std::uint16_t port) {
  switch (error.value()) {
    case EADDRINUSE:
      return "another process listens there: stop it, or choose another port (0 picks a free one)";
    case EACCES:
      return "ports below 1024 need the capability CAP_NET_BIND_SERVICE: choose a port above, "
             "not " +
             std::to_string(port);
    case EADDRNOTAVAIL:
      return "this machine has no address " + host + ": use 127.0.0.1, or 0.0.0.0 for all";
    default:
      return "choose another address";
  }
}

}  // namespace

Listener::Listener(boost::asio::io_context& context, Netpoll& netpoll, Service& service,
                   const ListenerInstruments& instruments)
    : acceptor_(context),
      timer_(context),
      netpoll_(netpoll),
      service_(service),
      instruments_(instruments) {}

std::optional<std::string> Listener::open(const std::string& host, std::uint16_t port) {
  const auto failure = [&](const char* what, const error_code& error) {
    return std::string("cannot ") + what + " " + host + ":" + std::to_string(port) + ": " +
           error.message() + "; " + remedy(error, host, port);
  };
  error_code error;
  tcp::resolver resolver(acceptor_.get_executor());
  const auto found = resolver.resolve(
      host, std::to_string(port), tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error || found.empty()) {
    return "cannot resolve " + host + ": " + error.message() +
           "; give an address such as 127.0.0.1";
  }
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor_.open(endpoint.protocol(), error);
  if (error) return failure("open a socket for", error);
  acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(boost::asio::socket_base::max_listen_connections, error);
  if (!error) acceptor_.native_non_blocking(true, error);
  if (!error) endpoint_ = acceptor_.local_endpoint(error);
  if (error) return failure("listen on", error);
  return std::nullopt;
}

void Listener::start() { wait(); }

void Listener::close() {
  error_code ignored;
  timer_.cancel();
  acceptor_.close(ignored);
}

void Listener::wait() {
  acceptor_.async_wait(tcp::acceptor::wait_read, [this](const error_code& error) {
    if (error || !acceptor_.is_open()) return;
    accept_some();
  });
}

void Listener::accept_some() {
  for (int i = 0; i < kAcceptBatch; ++i) {
    // Not Asio's accept, which would register the socket with its own epoll.
    const int fd =
        ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      pause_ = std::chrono::milliseconds(0);
      take(fd);
      continue;
    }
    switch (errno) {
      case EAGAIN:
        wait();
        return;
      case EINTR:
      case ECONNABORTED:  // and the other errors of a connection that died in the backlog
      case EPROTO:
      case EPERM:
      case ENETDOWN:
      case ENETUNREACH:
      case EHOSTUNREACH:
        continue;
      default:  // EMFILE, ENFILE, ENOBUFS, ENOMEM
        instruments_.errors.add();
        back_off();
        return;
    }
  }
  wait();
}

void Listener::back_off() {
  pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
  timer_.expires_after(pause_);
  timer_.async_wait([this](const error_code& error) {
    if (!error && acceptor_.is_open()) accept_some();
  });
}

void Listener::take(int fd) {
  instruments_.accepted.add();
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  const std::int64_t deadline_ns = os::now_ns() + service_.shared().timeouts.header_ns;
  if (netpoll_.adopt(fd, service_, deadline_ns)) return;
  instruments_.refused.add();
  // What has arrived is read, so that the close does not throw the answer away.
  char dropped[4096];
  static_cast<void>(receive_some(fd, dropped, sizeof dropped));
  char id[16];
  state_.make_request_id(id);
  std::string reply(status_line(503));
  reply += state_.date_line();
  reply += "Content-Type: application/json\r\nContent-Length: " + std::to_string(kFullBody.size()) +
           "\r\nX-Request-ID: " + std::string(id, sizeof id) +
           "\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";
  reply += kFullBody;
  static_cast<void>(send_some(fd, reply.data(), reply.size()));
  shutdown_send(fd);
  close_socket(fd);
}

}  // namespace tailrace::http
