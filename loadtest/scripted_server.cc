// See scripted_server.h.
#include "loadtest/scripted_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace tailrace::loadtest {

std::string Peer::read_request() {
  while (true) {
    const std::size_t end = read_.find("\r\n\r\n");
    if (end != read_.npos) {
      std::size_t length = end + 4;
      const std::size_t field = read_.find("Content-Length: ");
      if (field < end) length += std::strtoull(read_.c_str() + field + 16, nullptr, 10);
      if (read_.size() >= length) {
        std::string request = read_.substr(0, length);
        read_.erase(0, length);
        return request;
      }
    }
    char bytes[16384];
    const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
    if (got <= 0) return {};
    read_.append(bytes, static_cast<std::size_t>(got));
  }
}

bool Peer::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool Peer::write_bytewise(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [this](const char& byte) {
    return write({&byte, 1});
  });
}

void Peer::wait_for_close() {
  char bytes[4096];
  while (::recv(fd_, bytes, sizeof bytes, 0) > 0) {
  }
}

void Peer::reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

ScriptedServer::ScriptedServer(Script script, bool accepts) : script_(std::move(script)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, plain, length) != 0 || ::listen(listener_, accepts ? SOMAXCONN : 1) != 0 ||
      ::getsockname(listener_, plain, &length) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  if (accepts) acceptor_ = std::thread([this] { accept_all(); });
}

ScriptedServer::~ScriptedServer() {
  finish();
  ::close(listener_);
}

void ScriptedServer::finish() {
  go_away();
  if (acceptor_.joinable()) acceptor_.join();
  go_away();  // what was accepted in between
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

void ScriptedServer::go_away() {
  ::shutdown(listener_, SHUT_RDWR);
  const std::lock_guard lock(mutex_);
  for (const int fd : open_) {
    if (fd >= 0) ::shutdown(fd, SHUT_RDWR);
  }
}

void ScriptedServer::accept_all() {
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const std::uint64_t number = accepted_.fetch_add(1, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    const std::size_t index = open_.size();
    open_.push_back(fd);
    threads_.emplace_back([this, fd, number, index] {
      Peer peer(fd, number);
      script_(peer);
      const std::lock_guard closing(mutex_);
      open_[index] = -1;
      ::close(fd);
    });
  }
}

ScriptedServer::Script always(std::string_view answer) {
  return [answer = std::string(answer)](Peer& peer) {
    while (!peer.read_request().empty()) {
      if (!peer.write(answer)) return;
    }
  };
}

}  // namespace tailrace::loadtest
