// The synthetic server over real sockets. What was to happen when is told by the answers
// themselves, so no test depends on how fast this machine is.
#include "loadtest/synthetic.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <ctime>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "loadtest/scrape.h"
#include "loadtest/synthetic_request.h"

namespace tailrace::loadtest {
namespace {

constexpr int kGiveUpMs = 20'000;

std::int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

struct Answer {
  int status = 0;  // 0: the connection ended
  std::string head;
  std::string body;
  std::int64_t sojourn_ns = -1;
  std::int64_t lateness_ns = -1;
  std::int64_t seen_ns = 0;  // when its last byte was read
};

class Client {
 public:
  explicit Client(std::uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~Client() {
    if (fd_ >= 0) close(fd_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void finish_sending() { shutdown(fd_, SHUT_WR); }

  Answer read(bool head_only = false) {
    Answer answer;
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!fill()) return answer;
    }
    answer.head = buffer_.substr(0, end + 4);
    buffer_.erase(0, end + 4);
    const auto length =
        static_cast<std::size_t>(std::max<std::int64_t>(number(answer, "Content-Length: "), 0));
    while (!head_only && buffer_.size() < length) {
      if (!fill()) return answer;
    }
    answer.seen_ns = monotonic_ns();
    if (!head_only) {
      answer.body = buffer_.substr(0, length);
      buffer_.erase(0, length);
    }
    answer.status = std::stoi(answer.head.substr(9, 3));
    answer.sojourn_ns = number(answer, "X-Sojourn-Ns: ");
    answer.lateness_ns = number(answer, "X-Leave-Lateness-Ns: ");
    return answer;
  }
  Answer ask(std::string_view text) {
    send(text);
    return read();
  }
  // Nothing but the end comes.
  bool ended() { return buffer_.empty() && !fill(); }

 private:
  bool fill() {
    pollfd waiting{fd_, POLLIN, 0};
    if (poll(&waiting, 1, kGiveUpMs) != 1) return false;
    char bytes[4096];
    const ssize_t got = recv(fd_, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }
  static std::int64_t number(const Answer& answer, std::string_view field) {
    const std::size_t at = answer.head.find(field);
    if (at == std::string::npos) return -1;
    std::int64_t value = -1;
    std::from_chars(answer.head.data() + at + field.size(), answer.head.data() + answer.head.size(),
                    value);
    return value;
  }

  int fd_;
  std::string buffer_;
};

class SyntheticTest : public ::testing::Test {
 protected:
  std::uint16_t serve(std::string_view model) {
    const auto started = server_.start(model, "127.0.0.1", 0);
    EXPECT_TRUE(std::holds_alternative<std::uint16_t>(started)) << std::get<std::string>(started);
    return std::get<std::uint16_t>(started);
  }

  SyntheticServer server_;
};

constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

TEST_F(SyntheticTest, AnswersLeaveWhenTheModelSaysAndNotBefore) {
  Client client(serve("none:us=3000"));
  for (int i = 0; i < 20; ++i) {
    const std::int64_t sent = monotonic_ns();
    const Answer answer = client.ask(kGet);
    ASSERT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "ok\n");
    EXPECT_EQ(answer.sojourn_ns, 3'000'000);
    EXPECT_GE(answer.lateness_ns, 0);
    // What the server says of itself is what the client saw, at the least.
    EXPECT_GE(answer.seen_ns - sent, answer.sojourn_ns + answer.lateness_ns);
  }
}

TEST_F(SyntheticTest, TheQueueIsTheModelsWhateverTheConnection) {
  const std::uint16_t port = serve("md1:us=20000");
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(std::make_unique<Client>(port));
  for (const auto& client : clients) client->send(kGet);
  std::vector<std::int64_t> sojourns;
  for (const auto& client : clients) sojourns.push_back(client->read().sojourn_ns);
  std::sort(sojourns.begin(), sojourns.end());
  // The server is idle before; each one finds those before it, who came at about the same time or
  // long ago.
  EXPECT_EQ(sojourns.front(), 20'000'000);
  EXPECT_LE(sojourns.back(), 100'000'000);
  for (const std::int64_t sojourn : sojourns) EXPECT_GE(sojourn, 20'000'000);
}

TEST_F(SyntheticTest, AnyMethodWithABodyInAnyPieces) {
  Client client(serve("none:us=1"));
  EXPECT_EQ(client.ask("POST /a?b=c HTTP/1.1\r\ncontent-LENGTH:  5 \r\n\r\nhello").status, 200);
  const std::string text = "\r\nPUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
  for (const char c : text) client.send(std::string_view(&c, 1));
  EXPECT_EQ(client.read().status, 200);
  // Twice in one segment: answered one after the other, though nobody has to.
  client.send("DELETE /1 HTTP/1.1\r\n\r\nBREW /2 HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.read().status, 200);
  EXPECT_EQ(client.read().status, 200);
  client.send("HEAD / HTTP/1.1\r\n\r\n");
  const Answer head = client.read(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_NE(head.head.find("Content-Length: 3"), std::string::npos);
  const std::string large(1 << 20, 'x');
  EXPECT_EQ(client.ask("POST / HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n" + large).status, 200);
  client.send("POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read().status, 100);
  EXPECT_EQ(client.ask("ab").status, 200);
}

TEST_F(SyntheticTest, ConnectionsEndWhenAsked) {
  const std::uint16_t port = serve("none:us=1");
  Client closing(port);
  const Answer last = closing.ask("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n");
  EXPECT_EQ(last.status, 200);
  EXPECT_NE(last.head.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(closing.ended());
  Client old(port);
  EXPECT_EQ(old.ask("GET / HTTP/1.0\r\n\r\n").status, 200);
  EXPECT_TRUE(old.ended());
  // Half closed: it still waits for its answer.
  Client half(port);
  half.send(kGet);
  half.finish_sending();
  EXPECT_EQ(half.read().status, 200);
  EXPECT_TRUE(half.ended());
}

TEST_F(SyntheticTest, BadRequestsAreRefusedAndTheServerLivesOn) {
  const std::uint16_t port = serve("none:us=1");
  const std::vector<std::pair<std::string, int>> cases = {
      {"nonsense\r\n\r\n", 400},
      {"GET /\r\n\r\n", 400},
      {"GET  HTTP/1.1\r\n\r\n", 400},
      {"G(T / HTTP/1.1\r\n\r\n", 400},
      {"GET /\x01 HTTP/1.1\r\n\r\n", 400},
      {"GET / SPDY/3\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\n\r\n", 505},
      {"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\na b: c\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n folded\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nContent-Length: 1000000000000\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411},
      {"GET / HTTP/1.1\r\nExpect: miracles\r\n\r\n", 417},
      {"GET / HTTP/1.1\r\nA: " + std::string(40'000, 'a') + "\r\n\r\n", 431},
      {std::string(20'000, 'a'), 431},
      {std::string(4'000'000, 'a'), 431},  // still being sent when it is refused
  };
  for (const auto& [text, status] : cases) {
    Client client(port);
    EXPECT_EQ(client.ask(text).status, status) << text.substr(0, 60);
    EXPECT_TRUE(client.ended()) << text.substr(0, 60);
  }
  EXPECT_EQ(Client(port).ask("GET /healthz HTTP/1.1\r\n\r\n").body, "ok\n");
}

TEST_F(SyntheticTest, ClientsThatGoAwayLeaveNothingBehind) {
  const std::uint16_t port = serve("md1:us=2000");
  for (int i = 0; i < 50; ++i) {
    Client gone(port);
    gone.send(i % 3 == 0 ? kGet.substr(0, 9) : kGet);
  }
  Client client(port);
  const Answer answer = client.ask(kGet);
  EXPECT_EQ(answer.status, 200);
  EXPECT_LE(answer.sojourn_ns, 51 * 2'000'000);
}

TEST_F(SyntheticTest, HealthAnswersWhileTheModelStalls) {
  const std::uint16_t port = serve("none:us=1h");
  Client stuck(port);
  stuck.send(kGet);
  EXPECT_EQ(Client(port).ask("GET /healthz?x HTTP/1.1\r\n\r\n").status, 200);
}

TEST_F(SyntheticTest, MetricsAreThoseThatTheScraperReads) {
  const std::uint16_t port = serve("gc:bps=1GB,bytes=1MB,headroom=4MB,us=10");
  Client client(port);
  for (int i = 0; i < 9; ++i) ASSERT_EQ(client.ask("POST / HTTP/1.1\r\n\r\n").status, 200);
  EXPECT_EQ(Client(port).ask("bad\r\n\r\n").status, 400);
  const Answer page = client.ask("GET /metrics HTTP/1.1\r\n\r\n");
  EXPECT_NE(page.head.find("text/plain; version=0.0.4"), std::string::npos);
  EXPECT_NE(page.body.find("http_requests_total{route=\"(any)\",method=\"post\",code=\"200\"} 9\n"),
            std::string::npos)
      << page.body;
  const ServerFigures figures = parse_exposition(page.body);
  EXPECT_EQ(figures.requests, 10);
  EXPECT_EQ(figures.gc_cycles, 2);
  EXPECT_NEAR(figures.gc_cpu_seconds, 0.009, 1e-9);
  EXPECT_NEAR(figures.gc_hold_seconds, 100e-6, 1e-12);
  EXPECT_EQ(figures.alloc_bytes, 9e6);
  EXPECT_EQ(figures.heap_alloc_bytes, 9e6);
  EXPECT_EQ(figures.heap_live_bytes, 4e6);
  EXPECT_GT(figures.cpu_seconds, 0.009);
  EXPECT_GT(figures.resident_bytes, 4e6);
}

TEST_F(SyntheticTest, StartsAndStops) {
  const std::uint16_t port = serve("none");
  EXPECT_TRUE(std::holds_alternative<std::string>(server_.start("none", "127.0.0.1", 0)));
  SyntheticServer second;
  const auto taken = second.start("none", "127.0.0.1", port);
  ASSERT_TRUE(std::holds_alternative<std::string>(taken));
  EXPECT_NE(std::get<std::string>(taken).find("port 0"), std::string::npos);
  const auto bad = second.start("nano", "127.0.0.1", 0);
  EXPECT_NE(std::get<std::string>(bad).find("there are md1"), std::string::npos);
  EXPECT_TRUE(std::holds_alternative<std::string>(second.start("none", "no host", 0)));
  Client client(port);
  ASSERT_EQ(client.ask(kGet).status, 200);
  server_.stop();
  server_.stop();
  EXPECT_TRUE(client.ended());
  serve("md1");  // again
}

TEST(SyntheticRequestTest, BodiesAreCountedNotKept) {
  SyntheticRequest request;
  std::string_view data = "POST /p HTTP/1.1\r\nContent-Length: 4\r\n\r\nab";
  EXPECT_EQ(request.feed(data), SyntheticRequest::State::kIncomplete);
  EXPECT_TRUE(data.empty());
  data = "cdGET";
  EXPECT_EQ(request.feed(data), SyntheticRequest::State::kComplete);
  EXPECT_EQ(data, "GET");
  EXPECT_EQ(request.method(), "POST");
  EXPECT_EQ(request.target(), "/p");
  EXPECT_TRUE(request.keep_alive());
  request.next();
  data = "GET / HTTP/1.0\r\n\r\n";
  EXPECT_EQ(request.feed(data), SyntheticRequest::State::kComplete);
  EXPECT_FALSE(request.keep_alive());
}

// A signal to the thread that serves: those to the whole process would meet the test's other
// threads.
TEST(ServeSyntheticTest, RunsUntilASignal) {
  for (const int signal : {SIGTERM, SIGINT}) {
    std::ostringstream out;
    std::ostringstream err;
    std::promise<pthread_t> self;
    int code = -1;
    // Blocked from the beginning, so that a signal before sigwait stays pending.
    std::thread serving([&] {
      sigset_t signals;
      sigemptyset(&signals);
      sigaddset(&signals, SIGINT);
      sigaddset(&signals, SIGTERM);
      pthread_sigmask(SIG_BLOCK, &signals, nullptr);
      self.set_value(pthread_self());
      code = serve_synthetic("md1:us=100", "127.0.0.1", 0, out, err);
    });
    pthread_kill(self.get_future().get(), signal);
    serving.join();
    EXPECT_EQ(code, 0);
    EXPECT_EQ(out.str().find("listening http://127.0.0.1:"), 0U) << out.str();
    EXPECT_NE(out.str().find(" model md1:us=100\n"), std::string::npos) << out.str();
    EXPECT_EQ(err.str(), "");
  }
}

TEST(ServeSyntheticTest, BadModelIsAUsageError) {
  std::ostringstream out;
  std::ostringstream err;
  std::thread([&] { EXPECT_EQ(serve_synthetic("gc:x=1", "127.0.0.1", 0, out, err), 2); }).join();
  EXPECT_EQ(out.str(), "");
  EXPECT_NE(err.str().find("bps bytes headroom stall us cap seed"), std::string::npos) << err.str();
}

}  // namespace
}  // namespace tailrace::loadtest
