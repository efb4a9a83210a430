// Live data beyond the memory limit, as clients see it: 503 with the reason and the remedy, probes that go on,
// and service again once the data is released.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/gc/allocate.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/memory_limit.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/sync/mutex.h"
#include "server/test_server.h"

namespace tailrace::http {
namespace {

constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;

struct Held {
  gc::Member<Held> next;
  gc::Member<void> bytes;
};
BOOST_DESCRIBE_STRUCT(Held, (), (next, bytes))

class MemoryLimitTest : public testing::TestWithParam<unsigned> {
 protected:
  MemoryLimitTest() {
    const gc::ThreadScope scope;
    gc::free_os_memory();
    gc::refresh_accounts();
    limit_ = gc::accounted_bytes() + 48 * kMebibyte;
    gc::set_memory_limit(limit_);
  }
  ~MemoryLimitTest() override {
    gc::set_memory_limit(gc::kNoMemoryLimit);
    gc::set_percent(100);
  }

  // POST /held keeps half a MiB, DELETE /held lets all go; GET /garbage keeps nothing; GET /all wants all that
  // there is.
  void add_routes(Router& router) {
    router.add(Method::kPost, "/held", [this](Request&) {
      Held* const held = gc::make<Held>();
      held->bytes = gc::allocate_noscan(kMebibyte / 2);
      const std::lock_guard guard(mutex_);
      held->next = first_.get();
      first_ = held;
      return Response(201);
    });
    router.add(Method::kDelete, "/held", [this](Request&) {
      gc::allocate_noscan(40'000);  // as one that says what it does
      const std::lock_guard guard(mutex_);
      first_ = nullptr;
      return no_content();
    });
    router.add(Method::kGet, "/garbage",
               [](Request&) {
                 for (int i = 0; i < 16; ++i) gc::allocate_noscan(kMebibyte / 16);
                 return Response(200);
               },
               {.arena = false});  // with which its garbage would be gone
    router.add(Method::kGet, "/all", [this](Request&) {
      try {
        for (;;) gc::allocate_noscan(kMebibyte);
      } catch (const gc::MemoryLimitExceeded& thrown) {
        why_ = static_cast<int>(thrown.why());
        throw;
      }
      return Response(200);
    });
  }

  static std::uint64_t num_gc() {
    const gc::ThreadScope scope;
    return gc::read_mem_stats().num_gc;
  }

  std::uint64_t limit_ = 0;
  static constexpr int kNotThrown = -1;
  std::atomic<int> why_{kNotThrown};
  fiber::Mutex mutex_;  // first_
  gc::Root<Held> first_;
  TestServer server_{GetParam(), [this](Router& router) { add_routes(router); }};
};
INSTANTIATE_TEST_SUITE_P(Workers, MemoryLimitTest, testing::Values(1u, 2u, 4u));

TEST_P(MemoryLimitTest, LiveDataBeyondItIs503AndRecovers) {
  TestClient client = server_.client();
  std::optional<ClientResponse> refused;
  for (int i = 0; i < 200 && !refused; ++i) {
    std::optional<ClientResponse> response = client.request("POST", "/held");
    ASSERT_TRUE(response);
    if (response->status != 201) refused = std::move(response);
  }
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(refused->header("Content-Type"), "application/json");
  EXPECT_EQ(refused->header("Retry-After"), "1");
  EXPECT_EQ(
      refused->body.rfind("{\"error\":\"memory_limit\",\"message\":\"the memory limit of ", 0), 0u)
      << refused->body;
  EXPECT_NE(refused->body.find("MiB are live"), std::string::npos) << refused->body;
  // The connection is kept, and what needs no memory is answered.
  for (int i = 0; i < 20; ++i) {
    const auto health = client.get("/healthz");
    ASSERT_TRUE(health);
    EXPECT_EQ(health->status, 200);
  }
  EXPECT_LE(gc::accounted_bytes(), limit_ + std::max(limit_ / 50, 4 * kMebibyte));
  const auto deleted = client.request("DELETE", "/held");
  ASSERT_TRUE(deleted);
  EXPECT_EQ(deleted->status, 204) << deleted->body;
  wait_until([&] {
    const auto response = client.request("POST", "/held");
    return response && response->status == 201;
  });
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.request("POST", "/held")->status, 201);
}

// Several clients' garbage, many times the limit: nobody is refused, while a probe is answered all the time.
TEST_P(MemoryLimitTest, GarbageIsNeverRefused) {
  gc::set_percent(-1);  // or the limit would not be met: little is alive
  const std::uint64_t cycles = num_gc();
  std::vector<std::thread> clients;
  std::atomic<int> others{0};
  std::atomic<bool> over{false};
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&] {
      TestClient client = server_.client();
      for (int i = 0; i < 100; ++i) {
        const auto response = client.get("/garbage");
        if (!response || response->status != 200) ++others;
      }
    });
  }
  std::thread prober([&] {
    TestClient client = server_.client();
    while (!over) {
      const auto response = client.get("/healthz");
      if (!response || response->status != 200) ++others;
    }
  });
  for (std::thread& client : clients) client.join();
  over = true;
  prober.join();
  EXPECT_EQ(others.load(), 0);
  EXPECT_GE(num_gc(), cycles + 3) << "for the limit's sake";
}

TEST_P(MemoryLimitTest, AClientThatIsGoneLeavesNoWait) {
  gc::set_percent(-1);
  {
    std::optional<gc::test::NoCycleEnds> none;
    none.emplace();
    const std::uint64_t stalls = gc::read_memory_limit_stats().stalls;
    {
      TestClient client = server_.client();
      ASSERT_TRUE(client.connect());
      ASSERT_TRUE(client.send("GET /all HTTP/1.1\r\nHost: a\r\n\r\n"));
      wait_until([&] { return gc::read_memory_limit_stats().stalls > stalls; });
      EXPECT_EQ(why_.load(), kNotThrown);
    }
    wait_until([&] { return why_.load() != kNotThrown; });
  }
  EXPECT_EQ(why_.load(), static_cast<int>(gc::MemoryLimitExceeded::Why::kEnded));
}

// A limit so low that what is not heap fills it.
TEST_P(MemoryLimitTest, TheLimitCanBeRaisedByRequestWhateverItIs) {
  TestClient client = server_.client();
  EXPECT_EQ(client.request("POST", "/held")->status, 201);
  gc::set_memory_limit(1);
  EXPECT_EQ(client.request("POST", "/held")->status, 503);
  EXPECT_EQ(client.request("DELETE", "/held")->status, 204);
  TestClient admin(server_.admin_port());
  const auto put = admin.request("PUT", "/debug/gc/settings", "{\"memory_limit\":1073741824}",
                                 {{"Content-Type", "application/json"}});
  ASSERT_TRUE(put);
  EXPECT_EQ(put->status, 200) << put->body;
  EXPECT_EQ(gc::memory_limit(), std::uint64_t{1} << 30);
  EXPECT_EQ(client.request("POST", "/held")->status, 201);
}

}  // namespace
}  // namespace tailrace::http
