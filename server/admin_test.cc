// The admin listener: its routes, and who may use them.
#include "server/admin.h"

#include <gtest/gtest.h>

#include <string>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/memory_limit.h"
#include "server/test_server.h"

namespace tailrace::http {
namespace {

TEST(Admin, ShowsAndChangesTheCollector) {
  TestServer server(2);
  TestClient client(server.admin_port());
  EXPECT_EQ(client.get("/healthz")->body, "ok\n");
  EXPECT_EQ(client.get("/readyz")->status, 200);
  EXPECT_EQ(client.get("/metrics")->status, 200);
  EXPECT_EQ(client.get("/debug")->status, 200);
  EXPECT_EQ(client.get("/debug/pprof/")->status, 404);

  const double before = server.value("go_gc_cycles_forced_gc_cycles_total");
  EXPECT_EQ(client.request("POST", "/debug/gc")->status, 200);
  EXPECT_GE(server.value("go_gc_cycles_forced_gc_cycles_total"), before + 1);
  EXPECT_EQ(client.get("/debug/gc")->status, 405);
  EXPECT_NE(client.get("/debug/memstats")->body.find("\"num_gc\":"), std::string::npos);

  const auto put = [&](std::string_view body) {
    return client.request("PUT", "/debug/gc/settings", body,
                          {{"Content-Type", "application/json"}});
  };
  auto response = put("{\"gc_percent\":150,\"memory_limit\":1073741824}");
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body,
            "{\"gc_percent\":150,\"gc_percent_from\":\"PUT /debug/gc/settings\","
            "\"memory_limit\":1073741824,\"memory_limit_from\":\"PUT /debug/gc/settings\"}");
  EXPECT_EQ(gc::read_mem_stats().gc_percent, 150);
  EXPECT_EQ(gc::memory_limit(), 1073741824u);
  EXPECT_NE(client.get("/debug/memstats")->body.find("\"memory_limit\":1073741824"),
            std::string::npos);
  EXPECT_EQ(put(response->body)->status, 200);  // what was shown may be sent back

  // Refused by the name of the member, and then nothing is changed.
  for (const auto& [body, member] :
       {std::pair("{\"gc_percent\":-2}", "gc_percent"),
        std::pair("{\"gc_percent\":1000001}", "gc_percent"),
        std::pair("{\"gc_percent\":\"x\"}", "gc_percent"),
        std::pair("{\"gc_percent\":1.5}", "gc_percent"),
        std::pair("{\"memory_limit\":0,\"gc_percent\":5}", "memory_limit"),
        std::pair("{\"gc_percent\":5,\"memory_limit\":-2}", "memory_limit"),
        std::pair("{\"gc_percent\":5,\"memory_limit\":\"1GiB\"}", "memory_limit"),
        std::pair("{\"memory_limit\":1,\"gc_percent\":5}", "memory_limit"),
        std::pair("{\"memory_limit\":99999999999999999999}", "memory_limit")}) {
    response = put(body);
    EXPECT_EQ(response->status, 400) << body;
    EXPECT_NE(response->body.find(member), std::string::npos) << body << response->body;
  }
  EXPECT_EQ(put("nonsense")->status, 400);
  EXPECT_EQ(gc::read_mem_stats().gc_percent, 150);
  EXPECT_EQ(gc::memory_limit(), 1073741824u);

  EXPECT_EQ(put("{\"memory_limit\":-1}")->status, 200);
  EXPECT_EQ(gc::memory_limit(), gc::kNoMemoryLimit);
  EXPECT_NE(client.get("/debug/gc/settings")->body.find("\"memory_limit\":null"),
            std::string::npos);
  EXPECT_EQ(put("{\"gc_percent\":-1}")->status, 200);
  EXPECT_EQ(gc::read_mem_stats().gc_percent, -1);
  // The program's own calls show as such.
  EXPECT_EQ(gc::set_percent(100), -1);
  gc::set_memory_limit(std::uint64_t{7} << 30);
  EXPECT_EQ(client.get("/debug/gc/settings")->body,
            "{\"gc_percent\":100,\"gc_percent_from\":\"program\",\"memory_limit\":7516192768,"
            "\"memory_limit_from\":\"program\"}");
  gc::set_memory_limit(gc::kNoMemoryLimit);
}

TEST(Admin, PublicListenerHasNoDebug) {
  TestServer server(1);
  EXPECT_EQ(server.client().get("/debug/memstats")->status, 404);
}

TEST(Admin, MayBeOff) {
  TestServer server(1, {}, [](Config& config) { config.admin.reset(); });
  EXPECT_EQ(server.admin_port(), 0);
  EXPECT_EQ(server.client().get("/healthz")->status, 200);
}

TEST(Admin, BeyondLoopbackItNeedsATokenOrAnAllowedClient) {
  Config config;
  config.listen = {"127.0.0.1", 0};
  config.admin = HostPort{"0.0.0.0", 0};
  config.max_procs = 1;
  config.access_log = AccessLogMode::kOff;
  metrics::Registry registry;
  metrics::Exporter exporter(registry);
  Server server(config, registry, exporter);
  server.start_workers();
  const auto error = server.listen();
  ASSERT_TRUE(error);
  EXPECT_NE(error->find("TAILRACE_ADMIN_TOKEN"), std::string::npos);
  EXPECT_NE(error->find("--admin-allow"), std::string::npos);
}

TEST(Admin, TokenGuardsDebugOnly) {
  TestServer server(1, {}, [](Config& config) {
    config.admin->host = "0.0.0.0";
    config.admin_token = "s3cret";
  });
  TestClient client(server.admin_port());
  EXPECT_EQ(client.get("/metrics")->status, 200);
  EXPECT_EQ(client.get("/healthz")->status, 200);
  const auto refused = client.get("/debug/memstats");
  EXPECT_EQ(refused->status, 401);
  EXPECT_EQ(refused->header("WWW-Authenticate"), "Bearer realm=\"tailrace\"");
  for (const char* wrong :
       {"Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cretx", "Basic s3cret", "s3cret"}) {
    EXPECT_EQ(client.get("/debug/memstats", {{"Authorization", wrong}})->status, 401) << wrong;
  }
  EXPECT_EQ(client.get("/%64ebug/memstats")->status, 401);
  EXPECT_EQ(client.get("/debug/memstats", {{"Authorization", "Bearer s3cret"}})->status, 200);
  EXPECT_EQ(client.get("/debug/memstats", {{"Authorization", "bearer s3cret"}})->status, 200);
}

TEST(Admin, AllowedBlocksPass) {
  for (const auto& [block, status] :
       {std::pair("127.0.0.0/8", 200), std::pair("10.0.0.0/8", 403)}) {
    TestServer server(1, {}, [block = block](Config& config) {
      config.admin->host = "0.0.0.0";
      config.admin_allow = {*parse_cidr(block)};
    });
    TestClient client(server.admin_port());
    EXPECT_EQ(client.get("/debug/memstats")->status, status) << block;
    EXPECT_EQ(client.get("/readyz")->status, 200);
  }
}

}  // namespace
}  // namespace tailrace::http
