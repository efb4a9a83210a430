// Many connections and many threads: idle ones, churn, mixed load under collections, limits, a
// handler that spins, and drains in the middle of it all.
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/vector.h"
#include "server/json_body.h"
#include "server/request.h"
#include "server/response.h"
#include "server/test_allocations.h"
#include "server/test_server.h"

namespace tailrace::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct Item {
  std::int64_t id = 0;
  gc::String name;
  gc::Vector<gc::String> tags;
};
BOOST_DESCRIBE_STRUCT(Item, (), (id, name, tags))

std::atomic<int> handled_before_drain{0};

void spin(milliseconds duration) {
  const auto end = steady_clock::now() + duration;
  while (steady_clock::now() < end) {
  }
}

void add_routes(Router& router) {
  router.add(Method::kGet, "/hello", [](Request&) { return Response::text(200, "hello"); });
  router.add(Method::kPost, "/echo",
             [](Request& request) { return Response::text(200, request.body()); });
  router.add(Method::kPost, "/item", [](Request& request) { return json(*request.json<Item>()); });
  router.add(Method::kGet, "/sleep", [](Request& request) {
    fiber::sleep_for_ns(request.query<std::int64_t>("ms").value_or(1) * 1'000'000);
    return Response::text(200, "slept");
  });
  router.add(Method::kGet, "/counted", [](Request& request) {
    // Relaxed: read when the server has ended.
    handled_before_drain.fetch_add(1, std::memory_order_relaxed);
    fiber::sleep_for_ns(request.query<std::int64_t>("ms").value_or(0) * 1'000'000);
    return Response::text(200, "counted");
  });
  router.add(Method::kGet, "/spin", [](Request& request) {
    spin(milliseconds(request.query<int>("ms").value_or(1)));
    return Response::text(200, "spun");
  });
}

class LoadTest : public testing::TestWithParam<unsigned> {
 protected:
  TestServer server_{GetParam(), add_routes};
};
INSTANTIATE_TEST_SUITE_P(Workers, LoadTest, testing::Values(1u, 2u, 4u));

TEST_P(LoadTest, ThousandsOfIdleConnectionsStayUsable) {
  constexpr int kConnections = 2000;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < 2 * kConnections + 200) GTEST_SKIP() << "ulimit -n is " << limit.rlim_cur;
  std::vector<TestClient> clients;
  clients.reserve(kConnections);
  for (int i = 0; i < kConnections; ++i) {
    clients.push_back(server_.client());
    ASSERT_TRUE(clients.back().get("/hello"));
  }
  EXPECT_EQ(server_.server().connections(), static_cast<std::size_t>(kConnections));
  // None of them holds a fiber.
  wait_until([this] { return server_.server().scheduler().stats().fibers == 0; });
  for (TestClient& client : clients) ASSERT_EQ(client.get("/hello")->body, "hello");
  EXPECT_EQ(server_.value("tailrace_http_accepted_connections_total"), kConnections);
}

TEST_P(LoadTest, ConnectionsComeAndGo) {
  constexpr int kThreads = 4;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 250; ++i) {
        TestClient client = server_.client();
        ASSERT_TRUE(client.connect());
        switch ((i + t) % 4) {
          case 0:
            break;  // says nothing
          case 1:
            client.send("GET /hello HTTP/1.1\r\nHo");
            break;  // goes in the middle
          case 2:
            client.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");  // does not wait
            break;
          default:
            ASSERT_EQ(client.get("/hello")->status, 200);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  wait_until([this] {
    return server_.value("tailrace_http_accepted_connections_total") == kThreads * 250;
  });
  wait_until([this] { return server_.server().connections() == 0; });
}

TEST_P(LoadTest, SixteenThreadsOfEverythingUnderCollections) {
  std::atomic<bool> done{false};
  std::thread collector([&] {
    const gc::ThreadScope attached;
    while (!done.load(std::memory_order_acquire)) gc::collect();
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([this, t] {
      TestClient client = server_.client();
      for (int i = 0; i < 60; ++i) {
        const std::string id = std::to_string(t * 1000 + i);
        const std::string item = "{\"id\":" + id + ",\"name\":\"a name of some length, number " +
                                 id + "\",\"tags\":[\"alpha\",\"a somewhat longer tag " + id +
                                 "\"]}";
        const auto made = client.post_json("/item", item);
        ASSERT_TRUE(made);
        ASSERT_EQ(made->body, item);
        const std::string body(static_cast<std::size_t>(i) * 997, static_cast<char>('a' + t));
        const auto echoed = client.request("POST", "/echo", body);
        ASSERT_TRUE(echoed) << body.size();
        ASSERT_TRUE(echoed->body == body)
            << body.size() << " " << echoed->status << " " << echoed->body.size();
        ASSERT_EQ(client.get("/sleep?ms=1")->body, "slept");
        ASSERT_EQ(client.post_json("/item", "{\"id\":")->status, 400);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  done.store(true, std::memory_order_release);
  collector.join();
  wait_until(
      [this] { return server_.value("http_request_duration_seconds", "/item") == 16 * 120; });
  EXPECT_EQ(server_.value("http_request_duration_seconds", "/echo"), 16 * 60);
  EXPECT_EQ(server_.value("tailrace_http_handler_exceptions_total"), 0);
}

TEST_P(LoadTest, AKeepAliveGetAllocatesNothing) {
#if TAILRACE_ASAN
  GTEST_SKIP() << "AddressSanitizer has operators of its own";
#endif
  count_allocations_of_this_thread(false);
  TestClient client = server_.client();
  for (int i = 0; i < 200; ++i) client.get("/hello");
  const std::uint64_t before = counted_allocations();
  for (int i = 0; i < 1000; ++i) client.get("/hello");
  const std::uint64_t after = counted_allocations();
  count_allocations_of_this_thread(true);
  // Not per request: other threads (the listeners', the collector's) may make one now and then.
  EXPECT_LT(after - before, 20u);
}

TEST_P(LoadTest, DrainUnderLoadLosesNoRequest) {
  handled_before_drain.store(0, std::memory_order_relaxed);
  std::atomic<int> answered{0};
  std::atomic<int> cut{0};
  std::atomic<bool> closing{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      TestClient client = server_.client();
      for (;;) {
        if (!client.connect()) return;  // the listener is gone
        for (bool kept = true; kept;) {
          if (!client.send(t % 2 == 0 ? "GET /counted?ms=5 HTTP/1.1\r\nHost: a\r\n\r\n"
                                      : "GET /counted HTTP/1.1\r\nHost: a\r\n\r\n")) {
            break;
          }
          const auto response = client.read_response();
          if (!response) {
            // Closed while idle, before our request came: allowed once the drain has begun.
            if (!closing.load(std::memory_order_acquire))
              cut.fetch_add(1, std::memory_order_relaxed);
            break;
          }
          answered.fetch_add(1, std::memory_order_relaxed);
          kept = response->header("Connection") != "close";
        }
      }
    });
  }
  wait_until([&] { return answered.load(std::memory_order_relaxed) > 200; });
  closing.store(true, std::memory_order_release);
  server_.drain();
  server_.wait();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cut.load(std::memory_order_relaxed), 0);
  // Whatever a handler has done, its client was told.
  EXPECT_EQ(answered.load(std::memory_order_relaxed),
            handled_before_drain.load(std::memory_order_relaxed));
}

TEST_P(LoadTest, DrainWaitsForRequestsInFlightAndClosesIdleOnes) {
  TestClient idle = server_.client();
  ASSERT_TRUE(idle.get("/hello"));
  wait_until([this] { return server_.value("http_requests_in_flight") == 0; });
  TestClient busy = server_.client();
  ASSERT_TRUE(busy.connect());
  ASSERT_TRUE(busy.send("GET /sleep?ms=300 HTTP/1.1\r\nHost: a\r\n\r\n"));
  wait_until([this] { return server_.value("http_requests_in_flight") == 1; });
  server_.drain();
  EXPECT_EQ(idle.read_to_end(), "");
  const auto response = busy.read_response();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, "slept");
  // It was answered after the drain had begun, or its head was made just before.
  EXPECT_EQ(busy.read_to_end(), "");
}

TEST(Drain, TellsTheReadinessProbeFirst) {
  TestServer server(2, add_routes, [](Config& config) { config.drain_delay_ns = 700'000'000; });
  TestClient probe = server.client();
  TestClient late = server.client();
  ASSERT_EQ(probe.get("/readyz")->status, 200);
  server.drain();
  wait_until([&] {
    const auto response = probe.get("/readyz");
    return response && response->status == 503;
  });
  // In the delay new connections are still served, each for one reply.
  const auto response = late.get("/hello");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->header("Connection"), "close");
  server.wait();
  EXPECT_FALSE(late.connect());
}

TEST(Drain, CutsOffWhatExceedsTheDeadline) {
  TestServer server(2, add_routes, [](Config& config) { config.drain_deadline_ns = 100'000'000; });
  server.expect_cut_off();
  // A client that never sends its body.
  TestClient client = server.client();
  ASSERT_TRUE(client.connect());
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"));
  wait_until([&] { return server.value("http_requests_in_flight") == 1; });
  server.drain();
  EXPECT_EQ(client.read_to_end(), "");
  server.wait();
}

TEST(Limits, TooManyConnectionsGet503) {
  TestServer server(2, add_routes, [](Config& config) { config.limits.connections = 4; });
  std::vector<TestClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(server.client());
    ASSERT_TRUE(clients.back().get("/hello"));
  }
  TestClient extra = server.client();
  ASSERT_TRUE(extra.connect());
  const auto text = extra.read_to_end();
  ASSERT_TRUE(text);
  EXPECT_EQ(text->rfind("HTTP/1.1 503", 0), 0u);
  EXPECT_NE(text->find("Content-Length: 70\r\n"), std::string::npos);
  EXPECT_NE(text->find("X-Request-ID: "), std::string::npos);
  EXPECT_EQ(text->size() - text->find("\r\n\r\n") - 4, 70u);
  EXPECT_EQ(server.value("tailrace_http_refused_connections_total"), 1);
  clients.clear();
  wait_until([&] { return server.server().connections() == 0; });
  EXPECT_TRUE(server.client().get("/hello"));
}

// One worker spins for good: the connections whose home it is must not starve. Compared with what
// the same clients see when nobody looks after the spinner, which is a whole spin per request.
TEST(Starvation, ASpinningHandlerDelaysOnlyItself) {
  constexpr int kSpinMs = 50;
  TestServer server(2, add_routes);
  std::atomic<bool> done{false};
  std::thread spinner([&] {
    TestClient client = server.client();
    while (!done.load(std::memory_order_acquire)) {
      client.get("/spin?ms=" + std::to_string(kSpinMs));
    }
  });
  std::vector<TestClient> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(server.client());
  std::vector<double> latencies_ms;
  for (int i = 0; i < 400; ++i) {
    const auto begin = steady_clock::now();
    ASSERT_TRUE(clients[static_cast<std::size_t>(i) % clients.size()].get("/hello"));
    latencies_ms.push_back(
        std::chrono::duration<double, std::milli>(steady_clock::now() - begin).count());
  }
  done.store(true, std::memory_order_release);
  spinner.join();
  std::sort(latencies_ms.begin(), latencies_ms.end());
  // Half of the connections live on the spinner's worker; without rescue their median would be half
  // a spin, so the third quartile of all would be about a quarter of one.
  EXPECT_LT(latencies_ms[300], 0.4 * kSpinMs);
  RecordProperty("p99_ms", std::to_string(latencies_ms[396]));
}

TEST(AccessLogOfTheServer, ShowsErrorsAndNotTheRest) {
  TestServer server(
      2,
      [](Router& router) {
        add_routes(router);
        router.add(Method::kGet, "/fail/{x}",
                   [](Request&) -> Response { throw std::runtime_error("deep\nreason"); });
      },
      [](Config& config) { config.access_log = AccessLogMode::kErrors; });
  TestClient client = server.client();
  ASSERT_EQ(client.get("/hello")->status, 200);
  ASSERT_EQ(client.get("/fail/1?secret=%22", {{"X-Request-ID", "req-1"}})->status, 500);
  std::string log;
  wait_until([&] {
    log += server.log();
    return log.find('\n') != std::string::npos;
  });
  EXPECT_EQ(log.find("/hello"), std::string::npos);
  EXPECT_NE(log.find("\"status\":500,\"method\":\"GET\",\"route\":\"/fail/{x}\",\"target\":\"/fail/"
                     "1?secret=%22\""),
            std::string::npos);
  EXPECT_NE(log.find("\"request_id\":\"req-1\",\"detail\":\"deep\\u000areason\"}"),
            std::string::npos);
}

}  // namespace
}  // namespace tailrace::http
