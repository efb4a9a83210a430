// The floor under every server of this kind: edge-triggered epoll loops, one a thread, that answer each
// request with the same bytes. It parses nothing, logs nothing and bounds nothing; it is not a server, it
// is what the kernel asks for one recv and one send. deploy/compare drives it beside the others.
//
//   epoll-peer [THREADS]    prints "listening http://127.0.0.1:PORT", serves until it is ended
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {

// As long as tailrace-api's answer to GET /healthz.
constexpr char kAnswer[] =
    "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain; "
    "charset=utf-8\r\nContent-Length: 3\r\nX-Request-ID: 0000000000000000\r\n\r\nok\n";

int check(int result, const char* what) {
  if (result < 0) {
    std::perror(what);
    std::exit(1);
  }
  return result;
}

int listen_on(in_port_t port, sockaddr_in& address) {
  const int one = 1;
  const int listener = check(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
  check(::setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one), "SO_REUSEPORT");
  address = {};
  address.sin_family = AF_INET;
  address.sin_port = port;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  check(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), "bind");
  check(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  check(::listen(listener, 1024), "listen");
  return listener;
}

void watch(int epoll, int descriptor, unsigned events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = descriptor;
  check(::epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event), "epoll_ctl");
}

void accept_all(int epoll, int listener) {
  const int one = 1;
  for (;;) {
    const int connection = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
    if (connection < 0) return;
    ::setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watch(epoll, connection, EPOLLIN | EPOLLRDHUP | EPOLLET);
  }
}

// A request comes in one piece and alone, as wrk sends it.
void answer(int connection) {
  char request[4096];
  const ssize_t bytes = ::recv(connection, request, sizeof request, 0);
  if (bytes == 0) {
    ::close(connection);
  } else if (bytes > 0 && ::memmem(request, static_cast<std::size_t>(bytes), "\r\n\r\n", 4)) {
    ::send(connection, kAnswer, sizeof kAnswer - 1, MSG_NOSIGNAL);
  }
}

void serve(int listener) {
  const int epoll = check(::epoll_create1(0), "epoll_create1");
  watch(epoll, listener, EPOLLIN);
  epoll_event events[256];
  for (;;) {
    const int count = ::epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < count; ++i) {
      const int descriptor = events[i].data.fd;
      descriptor == listener ? accept_all(epoll, listener) : answer(descriptor);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 2;
  if (threads < 1 || threads > 64) {
    std::fprintf(stderr, "usage: epoll-peer [THREADS], 1 to 64\n");
    return 2;
  }
  sockaddr_in address{};
  std::vector<int> listeners{listen_on(0, address)};
  while (listeners.size() < static_cast<std::size_t>(threads)) {
    listeners.push_back(listen_on(address.sin_port, address));
  }
  std::printf("listening http://127.0.0.1:%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  std::vector<std::thread> running;
  for (const int listener : listeners) running.emplace_back(serve, listener);
  for (std::thread& thread : running) thread.join();
}
