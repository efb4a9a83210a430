// See null_server.h.
#include "loadtest/null_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>

namespace tailrace::loadtest {
namespace {

constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";
constexpr std::string_view kHeadEnd = "\r\n\r\n";

void check(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::system_category(), what);
}

void watch(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  check(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

}  // namespace

NullServer::NullServer() {
  check(listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  check(::bind(listener_, plain, length), "bind");
  check(::listen(listener_, SOMAXCONN), "listen");
  check(::getsockname(listener_, plain, &length), "getsockname");
  port_ = ntohs(address.sin_port);
  check(epoll_ = ::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  check(stop_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
  watch(epoll_, listener_);
  watch(epoll_, stop_);
  thread_ = std::thread([this] { run(); });
}

NullServer::~NullServer() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_, &one, sizeof one);
  thread_.join();
  for (std::size_t fd = 0; fd < matched_.size(); ++fd) {
    if (matched_[fd] != 0) ::close(static_cast<int>(fd));
  }
  ::close(stop_);
  ::close(epoll_);
  ::close(listener_);
}

void NullServer::run() {
  std::array<epoll_event, 64> events;
  while (true) {
    const int count = ::epoll_wait(epoll_, events.data(), events.size(), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == stop_) return;
      if (fd == listener_) {
        accept_all();
      } else if (!answer(fd)) {
        ::close(fd);
        matched_[static_cast<std::size_t>(fd)] = 0;
      }
    }
  }
}

void NullServer::accept_all() {
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const auto index = static_cast<std::size_t>(fd);
    if (matched_.size() <= index) matched_.resize(index + 1);
    matched_[index] = 1;  // one more than what was matched: 0 is no connection
    watch(epoll_, fd);
  }
}

bool NullServer::answer(int fd) {
  std::array<char, 16 << 10> bytes;
  const ssize_t got = ::recv(fd, bytes.data(), bytes.size(), 0);
  if (got <= 0) return got < 0 && errno == EAGAIN;
  std::uint8_t& matched = matched_[static_cast<std::size_t>(fd)];
  const std::string_view text(bytes.data(), static_cast<std::size_t>(got));
  // All of a request at once, as it nearly always comes.
  bool whole = matched == 1 && text.ends_with(kHeadEnd);
  for (std::size_t i = 0; !whole && i < text.size(); ++i) {
    const std::size_t at = matched - 1U;
    matched = static_cast<std::uint8_t>(text[i] == kHeadEnd[at] ? matched + 1
                                        : text[i] == '\r'       ? 2
                                                                : 1);
    whole = matched == kHeadEnd.size() + 1;
  }
  if (!whole) return true;
  matched = 1;
  answered_.fetch_add(1, std::memory_order_relaxed);
  return ::send(fd, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(kAnswer.size());
}

}  // namespace tailrace::loadtest
