// Who is late: heads, bodies, readers, idlers. Limits are small; outcomes are asserted, not times.
#include <gtest/gtest.h>

#include <sys/socket.h>
#include <string>

#include "server/request.h"
#include "server/response.h"
#include "server/test_server.h"

namespace tailrace::http {
namespace {

constexpr std::size_t kHugeBytes = 64 * 1024 * 1024;
constexpr std::int64_t kMillisecond = 1'000'000;

void add_routes(Router& router) {
  router.add(Method::kPost, "/echo",
             [](Request& request) { return Response::text(200, request.body()); },
             {.max_body_bytes = 64 * 1024 * 1024});
  router.add(Method::kGet, "/hello", [](Request&) { return Response::text(200, "hello"); });
  router.add(Method::kGet, "/big",
             [](Request&) { return Response::text(200, std::string(32 * 1024 * 1024, 'b')); });
  // More than sockets' buffers ever hold.
  router.add(Method::kGet, "/huge",
             [](Request&) { return Response::text(200, std::string(kHugeBytes, 'b')); });
}

void hurry(Config& config) {
  config.timeouts.header_ns = 150 * kMillisecond;
  config.timeouts.idle_ns = 150 * kMillisecond;
  config.timeouts.body_grace_ns = 150 * kMillisecond;
  config.timeouts.write_grace_ns = 150 * kMillisecond;
  config.limits.min_bytes_per_s = 1 << 30;
}

class TimeoutTest : public testing::TestWithParam<unsigned> {
 protected:
  TestServer server_{GetParam(), add_routes, hurry};

  TestClient connected() {
    TestClient client = server_.client();
    EXPECT_TRUE(client.connect());
    return client;
  }
};
INSTANTIATE_TEST_SUITE_P(Workers, TimeoutTest, testing::Values(1u, 2u, 4u));

TEST_P(TimeoutTest, ALateHeadGets408) {
  TestClient client = connected();
  ASSERT_TRUE(client.send("GET /hello HTTP/1.1\r\nHost: a\r\n"));
  const auto text = client.read_to_end();
  ASSERT_TRUE(text);
  EXPECT_EQ(text->rfind("HTTP/1.1 408 Request Timeout\r\n", 0), 0u);
  EXPECT_NE(text->find("{\"error\":\"request_timeout\""), std::string::npos);
}

TEST_P(TimeoutTest, ADrippedHeadGets408) {
  TestClient client = connected();
  std::string text;
  ASSERT_TRUE(client.send("GET /hello HTTP/1.1\r\nHost: a\r\n"));
  // For ever, but for the server's patience.
  for (int i = 0; client.send("X: 1\r\n") && i < 2000; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    char c;
    if (::recv(client.fd(), &c, 1, MSG_DONTWAIT | MSG_PEEK) > 0) break;
  }
  EXPECT_EQ(client.read_some(12), "HTTP/1.1 408");
}

TEST_P(TimeoutTest, SilentConnectionsAreClosedWithoutAWord) {
  TestClient fresh = connected();
  TestClient used = connected();
  ASSERT_TRUE(used.get("/hello"));
  EXPECT_EQ(fresh.read_to_end(), "");
  EXPECT_EQ(used.read_to_end(), "");
}

TEST_P(TimeoutTest, ALateBodyGets408) {
  for (const char* framing :
       {"Content-Length: 100\r\n\r\nhel", "Transfer-Encoding: chunked\r\n\r\n5\r\nhel"}) {
    TestClient client = connected();
    ASSERT_TRUE(client.send(std::string("POST /echo HTTP/1.1\r\nHost: a\r\n") + framing));
    const auto text = client.read_to_end();
    ASSERT_TRUE(text);
    EXPECT_EQ(text->rfind("HTTP/1.1 408", 0), 0u) << framing;
  }
}

TEST_P(TimeoutTest, AReaderThatStandsStillIsGivenUp) {
  TestClient client = connected();
  ASSERT_TRUE(client.send("GET /huge HTTP/1.1\r\nHost: a\r\n\r\n"));
  wait_until([this] { return server_.value("http_requests_in_flight") == 1; });
  wait_until([this] { return server_.server().connections() == 0; });
  const auto text = client.read_to_end();
  EXPECT_TRUE(!text || text->size() < kHugeBytes);
}

class PatienceTest : public testing::TestWithParam<unsigned> {
 protected:
  TestServer server_{GetParam(), add_routes};
};
INSTANTIATE_TEST_SUITE_P(Workers, PatienceTest, testing::Values(1u, 2u, 4u));

TEST_P(PatienceTest, ASlowReaderGetsAllOfABigResponse) {
  TestClient client = server_.client();
  ASSERT_TRUE(client.connect());
  ASSERT_TRUE(
      client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
  std::string text;
  for (int i = 0; i < 50; ++i) {
    text += client.read_some(10'000);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const std::size_t head = text.find("\r\n\r\n") + 4;
  while (text.size() < head + 32u * 1024 * 1024) {
    const std::string more = client.read_some(1 << 20);
    ASSERT_FALSE(more.empty());
    text += more;
  }
  EXPECT_EQ(text.find_first_not_of('b', head),
            head + 32u * 1024 * 1024 < text.size() ? head + 32u * 1024 * 1024 : std::string::npos);
  // The pipelined reply stands behind it.
  std::string rest = text.substr(head + 32u * 1024 * 1024);
  while (rest.find("hello") == std::string::npos) {
    const std::string more = client.read_some(1 << 20);
    ASSERT_FALSE(more.empty());
    rest += more;
  }
}

TEST_P(PatienceTest, ASlowBodyIsWaitedFor) {
  TestClient client = server_.client();
  ASSERT_TRUE(client.connect());
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n"));
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(client.send("x"));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(client.read_response()->body, std::string(50, 'x'));
}

}  // namespace
}  // namespace tailrace::http
