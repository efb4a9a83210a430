// What a service says that it can answer: by route, after load and a cycle.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/vector.h"
#include "server/test_server.h"

namespace tailrace::http {
namespace {

constexpr const char* kCeiling = "tailrace_http_predicted_ceiling_requests_per_second";

TEST(PredictedCeiling, IsShownPerRouteAfterLoad) {
  const int percent = gc::set_percent(100);
  TestServer server(2, [](Router& router) {
    const auto answer = [](std::size_t words) {
      return [words](Request&) -> Response {
        auto* made = gc::heap_make<gc::Vector<std::int64_t>>();
        made->resize(words);
        return Response::text(200, std::to_string(made->size()));
      };
    };
    router.add(Method::kGet, "/small", answer(100));
    router.add(Method::kGet, "/large", answer(20'000));
  });
  TestClient client = server.client();
  for (int i = 0; i < 90; ++i) ASSERT_EQ(client.get("/small")->status, 200);
  for (int i = 0; i < 30; ++i) ASSERT_EQ(client.get("/large")->status, 200);
  TestClient admin(server.admin_port());
  ASSERT_EQ(admin.request("POST", "/debug/gc")->status, 200);

  const std::string page = client.get("/metrics")->body;
  const auto value = [&](const std::string& series) {
    const std::size_t at = page.find("\n" + series + " ");
    return at == page.npos ? -1 : std::strtod(page.c_str() + at + series.size() + 2, nullptr);
  };
  const auto ceiling = [&](const std::string& route) {
    return value(std::string(kCeiling) + "{route=\"" + route + "\"}");
  };
  EXPECT_GT(value("tailrace_gc_sustainable_alloc_bytes_per_second"), 0);
  EXPECT_GT(ceiling("/large"), 0);
  EXPECT_LT(ceiling("/large"), 1e12 / (20'000 * 8)) << "no processor allocates 1 TB in a second";
  // The mix stays at the ceiling.
  EXPECT_NEAR(ceiling("/small"), 3 * ceiling("/large"), ceiling("/small") / 1000);
  EXPECT_EQ(ceiling("/never"), -1);
  gc::set_percent(percent);
}

}  // namespace
}  // namespace tailrace::http
