// See connection.h.
#include "loadtest/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <system_error>
#include <utility>

#include "loadtest/clock.h"

namespace tailrace::loadtest {
namespace {

std::string message_of(int error) { return std::system_category().message(error); }

}  // namespace

Connection::Outcome Connection::broken(std::string why) {
  close();
  error_ = std::move(why);
  return Outcome::kBroken;
}

void Connection::close() noexcept {
  if (fd_ < 0) return;
  // With a request on it the server may still write: better a reset at once than a port in
  // TIME_WAIT.
  if (state_ == State::kBusy) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  ::close(fd_);
  fd_ = -1;
  ++generation_;
  state_ = State::kClosed;
  watched_ = 0;
  unwritten_.clear();
}

void Connection::watch(std::uint32_t events) noexcept {
  if (watched_ == events) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag();
  // Fails only for want of kernel memory; then the request times out.
  ::epoll_ctl(epoll_, watched_ == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd_, &event);
  watched_ = events;
}

Connection::Outcome Connection::open(const Endpoint& endpoint, std::int64_t now_ns) {
  close();
  error_.clear();
  answers_ = 0;
  opened_ns_ = now_ns;
  fd_ = ::socket(endpoint.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd_ < 0) return broken("connect: " + message_of(errno));
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // An old kernel or a sandbox may refuse: then nothing is known of when bytes came.
  ::setsockopt(fd_, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  if (::connect(fd_, endpoint.address(), endpoint.length) != 0 && errno != EINPROGRESS) {
    return broken("connect: " + message_of(errno));
  }
  state_ = State::kConnecting;
  watch(EPOLLOUT);
  return Outcome::kNothing;
}

Connection::Outcome Connection::connected() {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error != 0) return broken("connect: " + message_of(error));
  state_ = State::kIdle;
  watch(EPOLLIN);
  return Outcome::kConnected;
}

Connection::Outcome Connection::send(std::string_view request, bool head, std::span<char> scratch) {
  error_.clear();
  bytes_sent_ = 0;
  bytes_received_ = 0;
  answer_.begin(head);
  state_ = State::kBusy;
  const ssize_t written = ::send(fd_, request.data(), request.size(), MSG_NOSIGNAL);
  if (written == static_cast<ssize_t>(request.size())) {
    bytes_sent_ = request.size();
    return Outcome::kNothing;
  }
  if (written < 0 && errno != EAGAIN && errno != EINTR) return read(scratch);
  bytes_sent_ = written < 0 ? 0 : static_cast<std::uint64_t>(written);
  unwritten_ = request.substr(bytes_sent_);
  watch(EPOLLIN | EPOLLOUT);
  return Outcome::kNothing;
}

Connection::Outcome Connection::write_rest(std::span<char> scratch) {
  const ssize_t written = ::send(fd_, unwritten_.data(), unwritten_.size(), MSG_NOSIGNAL);
  if (written < 0) {
    // A server that has closed may have said why before.
    return errno == EAGAIN || errno == EINTR ? Outcome::kNothing : read(scratch);
  }
  bytes_sent_ += static_cast<std::uint64_t>(written);
  unwritten_.erase(0, static_cast<std::size_t>(written));
  if (unwritten_.empty()) watch(EPOLLIN);
  return Outcome::kNothing;
}

Connection::Outcome Connection::on_event(std::uint32_t events, std::span<char> scratch) {
  switch (state_) {
    case State::kClosed:
      return Outcome::kNothing;
    case State::kConnecting:
      return connected();
    case State::kIdle:
    case State::kBusy:
      break;
  }
  if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) return read(scratch);
  if ((events & EPOLLOUT) != 0 && !unwritten_.empty()) return write_rest(scratch);
  return Outcome::kNothing;
}

ssize_t Connection::receive(std::span<char> scratch) noexcept {
  arrived_ns_ = 0;
  iovec bytes{.iov_base = scratch.data(), .iov_len = scratch.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(timespec))];
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = ::recvmsg(fd_, &message, 0);
  if (got <= 0) return got;
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET ||
      header->cmsg_type != SCM_TIMESTAMPNS) {
    return got;
  }
  // The stamp is of the clock that may be set, so only how long ago it was is taken from it.
  timespec stamp{};
  std::memcpy(&stamp, CMSG_DATA(header), sizeof stamp);
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t ago = (now.tv_sec - stamp.tv_sec) * kSecondNs + (now.tv_nsec - stamp.tv_nsec);
  arrived_ns_ = now_ns() - std::max<std::int64_t>(ago, 0);
  return got;
}

// Once: what is left is told of again, after the other connections' events.
Connection::Outcome Connection::read(std::span<char> scratch) {
  const ssize_t got = receive(scratch);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Outcome::kNothing;
  if (state_ == State::kIdle) {
    if (got > 0) return broken("bytes that no request asked for");
    close();
    return Outcome::kIdleClosed;
  }
  if (got < 0) return broken(message_of(errno));
  if (got == 0) {
    if (answer_.put_eof() == Answer::State::kBroken) return broken(answer_.error());
    return answered(0);
  }
  bytes_received_ += static_cast<std::uint64_t>(got);
  std::size_t unused = 0;
  switch (answer_.put(std::string_view(scratch.data(), static_cast<std::size_t>(got)), unused)) {
    case Answer::State::kMore:
      return Outcome::kNothing;
    case Answer::State::kBroken:
      return broken(answer_.error());
    case Answer::State::kWhole:
      break;
  }
  return answered(unused);
}

Connection::Outcome Connection::answered(std::size_t unused) {
  ++answers_;
  bytes_received_ -= unused;
  // Answered before it had read all of the request: what would come next is no request line.
  const bool ended_early = !unwritten_.empty();
  state_ = State::kIdle;
  if (unused != 0) {
    broken("bytes that no request asked for");
  } else if (ended_early || !answer_.keep_alive()) {
    close();
  }
  return Outcome::kAnswered;
}

}  // namespace tailrace::loadtest
