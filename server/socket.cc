// See socket.h.
#include "server/socket.h"

#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>

namespace tailrace::http {

[[gnu::noinline]] long receive_some(int fd, char* to, std::size_t bytes) noexcept {
  for (;;) {
    const ssize_t got = ::recv(fd, to, bytes, 0);
    if (got >= 0) return got;
    if (errno != EINTR) return -errno;
  }
}

[[gnu::noinline]] long send_some(int fd, const char* from, std::size_t bytes) noexcept {
  for (;;) {
    const ssize_t sent = ::send(fd, from, bytes, MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    if (errno != EINTR) return -errno;
  }
}

[[gnu::noinline]] void shutdown_send(int fd) noexcept { ::shutdown(fd, SHUT_WR); }
[[gnu::noinline]] void shutdown_both(int fd) noexcept { ::shutdown(fd, SHUT_RDWR); }
[[gnu::noinline]] void close_socket(int fd) noexcept { ::close(fd); }

}  // namespace tailrace::http
