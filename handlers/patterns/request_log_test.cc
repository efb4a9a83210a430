// The middleware: what a line says, what it costs a request, and what a server's requests count.
#include "handlers/patterns/request_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "gcruntime/gc/mutator.h"
#include "handlers/patterns/costs.h"
#include "handlers/patterns/request_of.h"
#include "server/test_server.h"

namespace tailrace::patterns {
namespace {

Response nothing(Request&) { return no_content(); }

TEST(RequestLogTest, BothLogTheSameLine) {
  const gc::ThreadScope attached;
  const RequestOf request("/api/users/7?full=1");
  for (const auto make : {&bad::logged, &good::logged}) {
    LogLines lines(1000);
    const Handler handler = make(nothing, lines);
    EXPECT_EQ(handler(request.get()).status(), 204);
    const std::string line = lines.take();
    EXPECT_TRUE(line.starts_with("method=GET target=/api/users/7?full=1 status=204 us=")) << line;
    EXPECT_TRUE(line.ends_with("\n")) << line;
    EXPECT_EQ(lines.take(), "");
  }
}

TEST(RequestLogTest, ALongTargetIsCut) {
  const gc::ThreadScope attached;
  const RequestOf request("/" + std::string(3000, 'x'));
  for (const auto make : {&bad::logged, &good::logged}) {
    LogLines lines(1000);
    make(nothing, lines)(request.get());
    const std::string line = lines.take();
    EXPECT_LE(line.size(), 256u);
    EXPECT_TRUE(line.find("x status=204 us=") != std::string::npos) << line;
  }
}

TEST(RequestLogTest, LinesBeyondTheBoundAreDroppedAndCounted) {
  LogLines lines(10);
  lines.add("12345\n");
  lines.add("12345\n");
  lines.add("123\n");
  EXPECT_EQ(lines.dropped(), 1u);
  EXPECT_EQ(lines.take(), "12345\n123\n");
  lines.add("12345\n");
  EXPECT_EQ(lines.dropped(), 1u);
}

TEST(RequestLogTest, TwoObjectsARequestAgainstNone) {
  const gc::ThreadScope attached;
  const RequestOf request("/api/users/7");
  LogLines lines(1 << 16);
  const Handler bad_handler = bad::logged(nothing, lines);
  const Handler good_handler = good::logged(nothing, lines);
  const Costs bad = costs_of([&] { bad_handler(request.get()); });
  const Costs good = costs_of([&] { good_handler(request.get()); });
  EXPECT_EQ(bad.objects, 2u);  // 20 000 a second at 10 000 requests a second
  EXPECT_EQ(good.objects, 0u);
  EXPECT_EQ(good.bytes, 0u);
  EXPECT_EQ(good.mallocs, 0u);
}

std::uint64_t managed_objects(const Request& request) {
  const gc::AllocCounts counts = request.alloc();
  return counts.objects + counts.arena_objects;
}

// Around the middleware: adds up what requests have allocated when it returns.
Handler counted(Handler next, std::atomic<std::uint64_t>& objects) {
  return [next = std::move(next), &objects](Request& request) -> Response {
    const std::uint64_t before = managed_objects(request);
    Response response = next(request);
    // Relaxed: a count, read after the last answer.
    objects.fetch_add(managed_objects(request) - before, std::memory_order_relaxed);
    return response;
  };
}

TEST(RequestLogTest, AServersRequestsCountTheSame) {
  constexpr std::uint64_t kRequests = 500;
  LogLines lines(1 << 20);
  std::atomic<std::uint64_t> bad_objects{0};
  std::atomic<std::uint64_t> good_objects{0};
  {
    http::TestServer server(2, [&](http::Router& router) {
      router.add(Method::kGet, "/bad/{id}", counted(bad::logged(nothing, lines), bad_objects));
      router.add(Method::kGet, "/good/{id}", counted(good::logged(nothing, lines), good_objects));
    });
    TestClient client = server.client();
    for (std::uint64_t i = 0; i < kRequests; ++i) {
      for (const std::string style : {"/bad/", "/good/"}) {
        const auto answer = client.get(style + std::to_string(i));
        ASSERT_TRUE(answer.has_value());
        ASSERT_EQ(answer->status, 204);
      }
    }
  }
  // Relaxed: the server has ended.
  EXPECT_EQ(bad_objects.load(std::memory_order_relaxed), 2 * kRequests);
  EXPECT_EQ(good_objects.load(std::memory_order_relaxed), 0u);
  const std::string text = lines.take();
  EXPECT_EQ(static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n')), 2 * kRequests);
  EXPECT_EQ(lines.dropped(), 0u);
}

}  // namespace
}  // namespace tailrace::patterns
