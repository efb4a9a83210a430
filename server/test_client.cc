// See test_client.h.
#include "server/test_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <cerrno>
#include <charconv>

#include "server/ascii.h"

namespace tailrace::http {

std::string_view ClientResponse::header(std::string_view name) const noexcept {
  std::string_view rest = head;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find("\r\n"));
    rest.remove_prefix(std::min(rest.size(), line.size() + 2));
    if (line.size() > name.size() && line[name.size()] == ':' &&
        equal_ignoring_case(line.substr(0, name.size()), name)) {
      std::string_view value = line.substr(name.size() + 1);
      while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
      return value;
    }
  }
  return {};
}

TestClient::TestClient(std::uint16_t port, std::string host, std::int64_t timeout_ms)
    : port_(port), host_(std::move(host)), timeout_ms_(timeout_ms) {}

TestClient::~TestClient() { close(); }

TestClient::TestClient(TestClient&& other) noexcept
    : port_(other.port_),
      host_(std::move(other.host_)),
      timeout_ms_(other.timeout_ms_),
      fd_(std::exchange(other.fd_, -1)),
      reset_(other.reset_),
      ended_(other.ended_),
      received_(std::move(other.received_)) {}

bool TestClient::connect() {
  close();
  sockaddr_storage storage{};
  socklen_t bytes = 0;
  auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
  if (::inet_pton(AF_INET, host_.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port_);
    bytes = sizeof v4;
  } else if (::inet_pton(AF_INET6, host_.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port_);
    bytes = sizeof v6;
  } else {
    return false;
  }
  fd_ = ::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return false;
  timeval timeout{};
  timeout.tv_sec = timeout_ms_ / 1000;
  timeout.tv_usec = timeout_ms_ % 1000 * 1000;
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  const int one = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&storage), bytes) != 0) {
    close();
    return false;
  }
  return true;
}

void TestClient::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  reset_ = ended_ = false;
  received_.clear();
}

void TestClient::shutdown_send() { ::shutdown(fd_, SHUT_WR); }

bool TestClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool TestClient::read_more() {
  char block[64 * 1024];
  for (;;) {
    const ssize_t got = ::recv(fd_, block, sizeof block, 0);
    if (got > 0) {
      received_.append(block, static_cast<std::size_t>(got));
      return true;
    }
    if (got < 0 && errno == EINTR) continue;
    ended_ = got == 0 || errno == ECONNRESET;
    reset_ = got < 0 && errno == ECONNRESET;
    return false;
  }
}

std::optional<ClientResponse> TestClient::read_response(bool to_head) {
  for (;;) {
    std::size_t head_end;
    while ((head_end = received_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more()) return std::nullopt;
    }
    ClientResponse response;
    response.head = received_.substr(0, head_end + 2);
    const std::size_t space = response.head.find(' ');
    if (response.head.rfind("HTTP/1.", 0) != 0 || space == std::string::npos) return std::nullopt;
    const char* const digits = response.head.data() + space + 1;
    std::from_chars(digits, digits + 3, response.status);
    received_.erase(0, head_end + 4);
    if (response.status == 100) continue;
    std::size_t length = 0;
    const std::string_view declared = response.header("Content-Length");
    std::from_chars(declared.data(), declared.data() + declared.size(), length);
    if (to_head) return response;
    while (received_.size() < length) {
      if (!read_more()) return std::nullopt;
    }
    response.body = received_.substr(0, length);
    received_.erase(0, length);
    return response;
  }
}

std::optional<std::string> TestClient::read_to_end(bool* reset) {
  while (read_more()) {
  }
  if (reset != nullptr) *reset = reset_;
  if (!ended_) return std::nullopt;
  return std::exchange(received_, {});
}

std::string TestClient::read_some(std::size_t bytes) {
  if (received_.empty()) {
    std::string block(bytes, '\0');
    const ssize_t got = ::recv(fd_, block.data(), bytes, 0);
    block.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return block;
  }
  std::string part = received_.substr(0, bytes);
  received_.erase(0, part.size());
  return part;
}

std::optional<ClientResponse> TestClient::request(std::string_view method, std::string_view target,
                                                  std::string_view body, const Headers& headers) {
  std::string text(method);
  text += ' ';
  text += target;
  text += " HTTP/1.1\r\nHost: " + host_ + "\r\n";
  for (const auto& [name, value] : headers) text += name + ": " + value + "\r\n";
  if (!body.empty() || method == "POST" || method == "PUT") {
    text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  }
  text += "\r\n";
  text += body;
  for (const bool kept : {true, false}) {
    if (kept ? fd_ < 0 : !connect()) {
      if (!kept) return std::nullopt;
      continue;
    }
    if (send(text)) {
      if (auto response = read_response(method == "HEAD")) {
        if (equal_ignoring_case(response->header("Connection"), "close")) close();
        return response;
      }
    }
    // A kept connection may have been closed under us before it took anything: once more.
    if (!kept || !ended_ || !received_.empty()) {
      close();
      return std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace tailrace::http
