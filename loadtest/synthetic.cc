// See synthetic.h. Loop is the thread's: once it runs, nobody else touches it but for the wake-up
// descriptor by which it is told to end.
#include "loadtest/synthetic.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <ostream>
#include <queue>
#include <utility>
#include <vector>

#include "loadtest/synthetic_metrics.h"
#include "loadtest/synthetic_model.h"
#include "loadtest/synthetic_request.h"

namespace tailrace::loadtest {
namespace {

// So long before a leave time the thread stops sleeping: a timer is late by tens of microseconds.
constexpr std::int64_t kSpinNs = 50'000;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::size_t kReadBytes = 64 * 1024;
// More than connections: those of clients that went away stay until they are due.
constexpr std::size_t kMostLeaves = 1 << 20;
constexpr int kMostEvents = 256;

std::int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

// A file descriptor that is closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

struct Connection {
  Descriptor socket;
  std::uint32_t generation = 0;
  SyntheticRequest request;
  std::string unread;  // came behind a request that is not answered yet; at most kReadBytes
  std::string out;     // could not be written yet
  std::int64_t arrived_ns = 0;
  bool waiting = false;   // its answer is in the queue
  bool readable = false;  // the kernel may have more
  bool closing = false;   // after what is in `out`
};

struct Leave {
  std::int64_t at_ns;
  std::uint64_t order;  // of two at one time, the first come
  int fd;
  std::uint32_t generation;
  bool operator>(const Leave& other) const {
    return std::pair(at_ns, order) > std::pair(other.at_ns, other.order);
  }
};

std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 417:
      return "Expectation Failed";
    case 431:
      return "Request Header Fields Too Large";
    default:
      return "HTTP Version Not Supported";
  }
}

double resident_bytes() {
  double pages = 0;
  if (std::FILE* const file = std::fopen("/proc/self/statm", "re")) {
    char text[128] = {};
    if (std::fgets(text, sizeof text, file) != nullptr) {
      char* rest = text;
      std::strtoull(text, &rest, 10);
      pages = static_cast<double>(std::strtoull(rest, nullptr, 10));
    }
    std::fclose(file);
  }
  return pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// The socket, or a message in `error`.
Descriptor listen_on(const std::string& host, std::uint16_t port, std::string& error) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (code != 0) {
    error = "cannot listen on \"" + host + "\": " + gai_strerror(code);
    return Descriptor();
  }
  Descriptor socket(::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  const bool good = socket &&
                    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                    bind(socket.get(), found->ai_addr, found->ai_addrlen) == 0 &&
                    listen(socket.get(), SOMAXCONN) == 0;
  freeaddrinfo(found);
  if (!good) {
    error = "cannot listen on " + host + ":" + std::to_string(port) + ": " + std::strerror(errno) +
            "; port 0 picks a free one";
    return Descriptor();
  }
  return socket;
}

std::uint16_t port_of(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

}  // namespace

class SyntheticServer::Loop {
 public:
  Loop(std::unique_ptr<SyntheticModel> model, Descriptor listener)
      : model_(std::move(model)),
        listener_(std::move(listener)),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)),
        wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
        spare_(open("/dev/null", O_RDONLY | O_CLOEXEC)),
        read_(kReadBytes, '\0'),
        began_ns_(monotonic_ns()) {}

  // False if the kernel gave no descriptors.
  bool prepare() {
    return epoll_ && timer_ && wake_ && spare_ && watch(listener_.get(), EPOLLIN) &&
           watch(timer_.get(), EPOLLIN) && watch(wake_.get(), EPOLLIN);
  }
  std::uint16_t port() const { return port_of(listener_.get()); }
  // From any thread.
  void wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
  }

  void run() {
    std::array<epoll_event, kMostEvents> events{};
    while (!ending_) {
      const int wait = arm();
      const int count = epoll_wait(epoll_.get(), events.data(), kMostEvents, wait);
      for (int i = 0; i < count; ++i) take(events[static_cast<std::size_t>(i)]);
      answer_due();
    }
  }

 private:
  std::int64_t now() const { return monotonic_ns() - began_ns_; }

  bool watch(int fd, std::uint32_t events, std::uint32_t generation = 0) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = (std::uint64_t{generation} << 32) | static_cast<std::uint32_t>(fd);
    return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  }

  // How long epoll may wait: not at all shortly before a leave time, else until the timer ends it.
  int arm() {
    if (leaves_.empty()) return -1;
    const std::int64_t until = leaves_.top().at_ns - kSpinNs;
    if (until <= now()) return 0;
    if (armed_ns_ != until) {
      armed_ns_ = until;
      const std::int64_t at = began_ns_ + until;
      itimerspec spec{};
      spec.it_value.tv_sec = at / kSecond;
      spec.it_value.tv_nsec = at % kSecond;
      timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
    }
    return -1;
  }

  void take(const epoll_event& event) {
    const int fd = static_cast<int>(event.data.u64 & 0xffffffff);
    if (fd == listener_.get()) return accept_all();
    if (fd == wake_.get()) {
      ending_ = true;
      return;
    }
    if (fd == timer_.get()) {
      std::uint64_t times = 0;
      [[maybe_unused]] const ssize_t got = read(fd, &times, sizeof times);
      armed_ns_ = -1;
      return;
    }
    Connection* const connection = find(fd, static_cast<std::uint32_t>(event.data.u64 >> 32));
    if (connection == nullptr) return;
    if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) return drop(fd);
    if ((event.events & EPOLLIN) != 0) connection->readable = true;
    if (!connection->out.empty() && !flush(*connection)) return drop(fd);
    if (!proceed(*connection)) drop(fd);
  }

  Connection* find(int fd, std::uint32_t generation) {
    const auto index = static_cast<std::size_t>(fd);
    if (index >= connections_.size() || connections_[index] == nullptr ||
        connections_[index]->generation != generation) {
      return nullptr;
    }
    return connections_[index].get();
  }

  void drop(int fd) {
    connections_[static_cast<std::size_t>(fd)].reset();
    --open_;
  }

  void accept_all() {
    for (;;) {
      Descriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!socket) {
        if (errno == EINTR || errno == ECONNABORTED) continue;
        // No descriptor is left: the spare one takes the connection, which is then closed, else it
        // would wake the loop for ever.
        if (errno == EMFILE || errno == ENFILE) {
          spare_ = Descriptor();
          { const Descriptor refused(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }
          spare_ = Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC));
        }
        return;
      }
      if (open_ >= kMostConnections) continue;
      const int on = 1;
      setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const int fd = socket.get();
      const std::uint32_t generation = ++generations_;
      if (!watch(fd, EPOLLIN | EPOLLOUT | EPOLLET, generation)) continue;
      const auto index = static_cast<std::size_t>(fd);
      if (connections_.size() <= index) connections_.resize(index + 1);
      connections_[index] = std::make_unique<Connection>();
      connections_[index]->socket = std::move(socket);
      connections_[index]->generation = generation;
      ++open_;
    }
  }

  // Reads and begins requests until one waits, an answer cannot be written, or nothing more is
  // there. False: the connection is done with.
  bool proceed(Connection& c) {
    while (!c.waiting && c.out.empty()) {
      if (c.closing) return false;
      if (!c.unread.empty()) {
        std::string_view rest = c.unread;
        consume(c, rest);
        c.unread.erase(0, c.unread.size() - rest.size());
        continue;
      }
      if (!c.readable) return true;
      const ssize_t got = recv(c.socket.get(), read_.data(), read_.size(), 0);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) {
        c.readable = false;
        return true;
      }
      if (got <= 0) return false;
      std::string_view rest(read_.data(), static_cast<std::size_t>(got));
      while (!rest.empty() && !c.waiting && c.out.empty() && !c.closing) consume(c, rest);
      c.unread.assign(rest);
    }
    return true;
  }

  // One request at the most.
  void consume(Connection& c, std::string_view& data) {
    const SyntheticRequest::State state = c.request.feed(data);
    if (state == SyntheticRequest::State::kRefused) {
      c.closing = true;
      data = {};
      ++answers_[{method_label(c.request.method()), c.request.status()}];
      return send_head_and(c, c.request.status(), "", "refused\n");
    }
    if (state == SyntheticRequest::State::kIncomplete) {
      if (c.request.take_expects_continue()) send(c, "HTTP/1.1 100 Continue\r\n\r\n");
      return;
    }
    const std::string_view target = c.request.target();
    const std::string_view path = target.substr(0, target.find('?'));
    if (path == "/healthz") return finish(c, "", "ok\n");
    if (path == "/metrics") {
      const SyntheticFigures figures = model_->figures();
      return finish(
          c, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
          synthetic_metrics(figures, answers_, resident_bytes() + figures.heap_live_bytes));
    }
    if (leaves_.size() >= kMostLeaves) {
      c.closing = true;
      return;
    }
    c.arrived_ns = now();
    c.waiting = true;
    leaves_.push({model_->leave_ns(c.arrived_ns), orders_++, c.socket.get(), c.generation});
  }

  void answer_due() {
    while (!leaves_.empty()) {
      const std::int64_t at = now();
      const Leave leave = leaves_.top();
      if (leave.at_ns > at) return;
      leaves_.pop();
      Connection* const c = find(leave.fd, leave.generation);
      if (c == nullptr) continue;
      c->waiting = false;
      ++answers_[{method_label(c->request.method()), 200}];
      finish(*c,
             "X-Sojourn-Ns: " + std::to_string(leave.at_ns - c->arrived_ns) +
                 "\r\nX-Leave-Lateness-Ns: " + std::to_string(at - leave.at_ns) + "\r\n",
             "ok\n");
      if (!proceed(*c)) drop(leave.fd);
    }
  }

  // Answers with 200 and gets ready for the next request.
  void finish(Connection& c, std::string_view fields, std::string_view body) {
    if (!c.request.keep_alive()) c.closing = true;
    send_head_and(c, 200, fields, c.request.method() == "HEAD" ? "" : body, body.size());
    c.request.next();
  }

  void send_head_and(Connection& c, int status, std::string_view fields, std::string_view body) {
    send_head_and(c, status, fields, body, body.size());
  }
  void send_head_and(Connection& c, int status, std::string_view fields, std::string_view body,
                     std::size_t length) {
    answer_.assign("HTTP/1.1 ").append(std::to_string(status)).append(" ").append(reason(status));
    answer_.append("\r\nContent-Length: ").append(std::to_string(length)).append("\r\n");
    if (c.closing) answer_.append("Connection: close\r\n");
    answer_.append(fields).append("\r\n").append(body);
    send(c, answer_);
  }

  void send(Connection& c, std::string_view text) {
    c.out.append(text);
    if (!flush(c)) {
      c.closing = true;
      c.out.clear();
    }
  }

  // False: the peer is gone.
  bool flush(Connection& c) {
    std::size_t done = 0;
    while (done < c.out.size()) {
      const ssize_t sent =
          ::send(c.socket.get(), c.out.data() + done, c.out.size() - done, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno != EAGAIN) return false;
      if (sent < 0) break;
      done += static_cast<std::size_t>(sent);
    }
    c.out.erase(0, done);
    return true;
  }

  const std::unique_ptr<SyntheticModel> model_;
  Descriptor listener_;
  Descriptor epoll_;
  Descriptor timer_;
  Descriptor wake_;
  Descriptor spare_;
  std::string read_;
  std::string answer_;
  const std::int64_t began_ns_;
  std::int64_t armed_ns_ = -1;
  bool ending_ = false;
  std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor
  std::size_t open_ = 0;
  std::uint32_t generations_ = 0;
  std::uint64_t orders_ = 0;
  std::priority_queue<Leave, std::vector<Leave>, std::greater<>> leaves_;
  AnswerCounts answers_;
};

SyntheticServer::SyntheticServer() = default;
SyntheticServer::~SyntheticServer() { stop(); }

std::variant<std::uint16_t, std::string> SyntheticServer::start(std::string_view model,
                                                                const std::string& host,
                                                                std::uint16_t port) {
  if (loop_ != nullptr) return "it runs already";
  auto made = make_synthetic_model(model);
  if (auto* const message = std::get_if<std::string>(&made)) return std::move(*message);
  std::string error;
  Descriptor listener = listen_on(host, port, error);
  if (!listener) return error;
  auto loop = std::make_unique<Loop>(std::move(std::get<0>(made)), std::move(listener));
  if (!loop->prepare()) {
    return std::string("no descriptors for the server: ") + std::strerror(errno) +
           "; raise ulimit -n";
  }
  loop_ = std::move(loop);
  thread_ = std::thread([loop = loop_.get()] { loop->run(); });
  return loop_->port();
}

void SyntheticServer::stop() {
  if (loop_ == nullptr) return;
  loop_->wake();
  thread_.join();
  loop_.reset();
}

int serve_synthetic(std::string_view model, const std::string& host, std::uint16_t port,
                    std::ostream& out, std::ostream& err) {
  // Before the thread begins, so that it has them blocked too and they come to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  SyntheticServer server;
  const auto started = server.start(model, host, port);
  if (const auto* const message = std::get_if<std::string>(&started)) {
    err << "serve-synthetic: " << *message << '\n';
    return 2;
  }
  const bool six = host.find(':') != std::string::npos;
  out << "listening http://" << (six ? "[" : "") << host << (six ? "]" : "") << ':'
      << std::get<std::uint16_t>(started) << " model " << model << std::endl;
  int signal = 0;
  sigwait(&signals, &signal);
  server.stop();
  return 0;
}

}  // namespace tailrace::loadtest
