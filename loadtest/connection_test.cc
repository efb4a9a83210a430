// A connection against servers that do what they should and what they should not.
#include "loadtest/connection.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <functional>
#include <latch>

#include "loadtest/clock.h"
#include "loadtest/scripted_server.h"

namespace tailrace::loadtest {
namespace {

using Outcome = Connection::Outcome;
constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

// One connection with an epoll of its own, and waits that give up after a while.
class Client {
 public:
  explicit Client(std::uint16_t port)
      : epoll_(::epoll_create1(EPOLL_CLOEXEC)), connection_(epoll_, 7), scratch_(64 << 10) {
    Url url;
    url.host = "127.0.0.1";
    url.port = port;
    endpoint_ = std::get<Endpoint>(resolve(url, kSecondNs));
  }
  ~Client() {
    connection_.close();
    ::close(epoll_);
  }

  Connection& operator*() { return connection_; }
  Connection* operator->() { return &connection_; }

  Outcome open() {
    const Outcome outcome = connection_.open(endpoint_, now_ns());
    return outcome == Outcome::kNothing ? wait() : outcome;
  }
  Outcome request(std::string_view text = kGet, bool head = false) {
    const Outcome outcome = connection_.send(text, head, scratch_);
    return outcome == Outcome::kNothing ? wait() : outcome;
  }
  // The next outcome that is something.
  Outcome wait() {
    for (int turns = 0; turns < 1'000'000; ++turns) {
      epoll_event event{};
      if (::epoll_wait(epoll_, &event, 1, 30'000) != 1) break;
      EXPECT_EQ(event.data.u64, connection_.tag());
      const Outcome outcome = connection_.on_event(event.events, scratch_);
      if (outcome != Outcome::kNothing) return outcome;
    }
    ADD_FAILURE() << "nothing happened";
    return Outcome::kNothing;
  }

 private:
  int epoll_;
  Connection connection_;
  Endpoint endpoint_;
  std::vector<char> scratch_;
};

TEST(ConnectionTest, CarriesOneRequestAfterTheOther) {
  ScriptedServer server(always(kOkAnswer));
  Client client(server.port());
  ASSERT_EQ(client.open(), Outcome::kConnected);
  for (std::uint64_t i = 1; i <= 10; ++i) {
    ASSERT_EQ(client.request(), Outcome::kAnswered);
    EXPECT_EQ(client->status(), 200);
    EXPECT_TRUE(client->reusable());
    EXPECT_EQ(client->answers(), i);
    EXPECT_EQ(client->bytes_sent(), kGet.size());
    EXPECT_EQ(client->bytes_received(), kOkAnswer.size());
  }
  EXPECT_EQ(server.connections(), 1U);
}

TEST(ConnectionTest, ReadsAnAnswerByteByByte) {
  ScriptedServer server([](Peer& peer) {
    while (!peer.read_request().empty()) peer.write_bytewise(kOkAnswer);
  });
  Client client(server.port());
  ASSERT_EQ(client.open(), Outcome::kConnected);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(client.request(), Outcome::kAnswered);
  EXPECT_EQ(client->bytes_received(), kOkAnswer.size());
}

TEST(ConnectionTest, WritesARequestThatIsLargerThanEveryBuffer) {
  std::atomic<std::size_t> got{0};
  ScriptedServer server([&](Peer& peer) {
    got.store(peer.read_request().size(), std::memory_order_relaxed);
    peer.write(kOkAnswer);
    peer.wait_for_close();
  });
  Client client(server.port());
  ASSERT_EQ(client.open(), Outcome::kConnected);
  const std::string body(16 << 20, 'b');
  const std::string request =
      "POST / HTTP/1.1\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  ASSERT_EQ(client.request(request), Outcome::kAnswered);
  EXPECT_EQ(got.load(std::memory_order_relaxed), request.size());
  EXPECT_EQ(client->bytes_sent(), request.size());
  EXPECT_TRUE(client->reusable());
}

TEST(ConnectionTest, IsNotReusedIfTheAnswerCameBeforeTheRequestWasWritten) {
  ScriptedServer server([](Peer& peer) {
    peer.write("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    peer.wait_for_close();
  });
  Client client(server.port());
  ASSERT_EQ(client.open(), Outcome::kConnected);
  // Its answer is there before anything else can happen.
  const std::string request =
      "POST / HTTP/1.1\r\nContent-Length: 67108864\r\n\r\n" + std::string(64 << 20, 'b');
  ASSERT_EQ(client.request(request), Outcome::kAnswered);
  EXPECT_EQ(client->status(), 413);
  EXPECT_FALSE(client->reusable());
}

TEST(ConnectionTest, HonoursConnectionClose) {
  ScriptedServer server(
      always("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
  Client client(server.port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(client.open(), Outcome::kConnected);
    ASSERT_EQ(client.request(), Outcome::kAnswered);
    EXPECT_FALSE(client->reusable());
    EXPECT_EQ(client->error(), "");
  }
  EXPECT_EQ(server.connections(), 3U);
}

TEST(ConnectionTest, AnAnswerMayEndWithTheConnection) {
  ScriptedServer server([](Peer& peer) {
    peer.read_request();
    peer.write("HTTP/1.1 200 OK\r\n\r\nuntil I close");
  });
  Client client(server.port());
  ASSERT_EQ(client.open(), Outcome::kConnected);
  ASSERT_EQ(client.request(), Outcome::kAnswered);
  EXPECT_FALSE(client->reusable());
}

TEST(ConnectionTest, BytesAfterTheAnswerAreAnError) {
  ScriptedServer server([](Peer& peer) {
    peer.read_request();
    peer.write(std::string(kOkAnswer) + "more");
    peer.wait_for_close();
  });
  Client client(server.port());
  ASSERT_EQ(client.open(), Outcome::kConnected);
  ASSERT_EQ(client.request(), Outcome::kAnswered);
  EXPECT_EQ(client->status(), 200);
  EXPECT_NE(client->error(), "");
  EXPECT_FALSE(client->reusable());
  EXPECT_EQ(client->bytes_received(), kOkAnswer.size());
}

TEST(ConnectionTest, BytesWithoutARequestAreAnError) {
  ScriptedServer server([](Peer& peer) {
    peer.write("HTTP/1.1 408 Timeout\r\n\r\n");
    peer.wait_for_close();
  });
  Client client(server.port());
  ASSERT_EQ(client.open(), Outcome::kConnected);
  EXPECT_EQ(client.wait(), Outcome::kBroken);
  EXPECT_NE(client->error().find("no request"), std::string::npos);
}

TEST(ConnectionTest, ToldApartAreClosedWhileIdleAndClosedBeforeTheAnswer) {
  ScriptedServer server([](Peer& peer) {
    if (peer.number() == 1) peer.read_request();
    if (peer.number() == 2) {
      peer.read_request();
      peer.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    }
    if (peer.number() == 3) {
      peer.read_request();
      peer.reset();
    }
    if (peer.number() == 4) {
      peer.read_request();
      peer.write("what is this?\r\n\r\n");
      peer.wait_for_close();
    }
  });
  Client client(server.port());
  ASSERT_EQ(client.open(), Outcome::kConnected);
  EXPECT_EQ(client.wait(), Outcome::kIdleClosed);
  std::vector<std::string> errors;
  for (int i = 1; i <= 4; ++i) {
    ASSERT_EQ(client.open(), Outcome::kConnected);
    EXPECT_EQ(client.request(), Outcome::kBroken);
    EXPECT_EQ(client->state(), Connection::State::kClosed);
    errors.push_back(client->error());
  }
  EXPECT_NE(errors[0].find("closed"), std::string::npos) << errors[0];
  EXPECT_NE(errors[1].find("closed"), std::string::npos) << errors[1];
  EXPECT_NE(errors[2].find("reset"), std::string::npos) << errors[2];
  EXPECT_NE(errors[3].find("no HTTP"), std::string::npos) << errors[3];
}

TEST(ConnectionTest, SaysWhyItCannotConnect) {
  std::uint16_t port = 0;
  {
    const ScriptedServer gone(always(kOkAnswer));
    port = gone.port();
  }
  Client client(port);
  EXPECT_EQ(client.open(), Outcome::kBroken);
  EXPECT_NE(client->error().find("refused"), std::string::npos) << client->error();
}

TEST(ConnectionTest, ItsTagChangesWithEachSocket) {
  ScriptedServer server(always(kOkAnswer));
  Client client(server.port());
  ASSERT_EQ(client.open(), Outcome::kConnected);
  const std::uint64_t tag = client->tag();
  client->close();
  EXPECT_NE(client->tag(), tag);
  EXPECT_EQ(static_cast<std::uint32_t>(client->tag()), 7U);
}

TEST(EndpointTest, NamesWhatIsShort) {
  SocketLimits limits{
      .descriptors = 1024, .descriptors_open = 10, .ports = 28232, .time_wait_reuse = 2};
  SocketNeeds needs{.connections = 900, .others = 10, .closes_per_second = 0, .loopback = true};
  EXPECT_EQ(check_sockets(needs, limits), "");
  needs.connections = 1000;
  EXPECT_NE(check_sockets(needs, limits).find("ulimit -n"), std::string::npos);
  limits.descriptors = 1 << 20;
  EXPECT_EQ(check_sockets(needs, limits), "");
  needs.connections = 30000;
  EXPECT_NE(check_sockets(needs, limits).find("ip_local_port_range"), std::string::npos);
  needs.connections = 100;
  needs.closes_per_second = 5000;
  EXPECT_EQ(check_sockets(needs, limits), "");
  needs.loopback = false;
  EXPECT_NE(check_sockets(needs, limits).find("TIME_WAIT"), std::string::npos);
  limits.time_wait_reuse = 1;
  EXPECT_EQ(check_sockets(needs, limits), "");
}

TEST(EndpointTest, KnowsLoopbackAndNamesAddresses) {
  Url url;
  url.host = "127.0.0.1";
  url.port = 81;
  const auto v4 = std::get<Endpoint>(resolve(url, kSecondNs));
  EXPECT_TRUE(v4.loopback());
  EXPECT_EQ(v4.text(), "127.0.0.1:81");
  url.host = "192.0.2.1";
  EXPECT_FALSE(std::get<Endpoint>(resolve(url, kSecondNs)).loopback());
  url.host = "no-such-host.invalid";
  const auto none = resolve(url, kSecondNs);
  ASSERT_TRUE(std::holds_alternative<std::string>(none));
  EXPECT_NE(std::get<std::string>(none).find("no-such-host.invalid"), std::string::npos);
}

}  // namespace
}  // namespace tailrace::loadtest
