// The admin listener: its routes, and who may use them.
#include "server/admin.h"

#include <gtest/gtest.h>

#include <string>

#include "gcruntime/gc/collect.h"
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
            "{\"gc_percent\":150,\"memory_limit\":1073741824,\"memory_limit_enforced\":false}");
  EXPECT_EQ(put("{\"memory_limit\":-1}")->status, 200);
  EXPECT_EQ(client.get("/debug/gc/settings")->body,
            "{\"gc_percent\":150,\"memory_limit\":null,\"memory_limit_enforced\":false}");
  EXPECT_EQ(put("{\"gc_percent\":-2}")->status, 422);
  EXPECT_EQ(put("{\"gc_percent\":\"x\"}")->status, 400);
  EXPECT_EQ(put("{\"memory_limit\":0,\"gc_percent\":5}")->status, 422);
  EXPECT_NE(client.get("/debug/gc/settings")->body.find("150"), std::string::npos);
  EXPECT_EQ(gc::set_percent(100), 150);
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
