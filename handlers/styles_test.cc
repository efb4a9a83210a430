// What the three styles allocate for the same work, and where: the kinds of
// tailrace_http_request_alloc_bytes_total, request by request.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "handlers/service_fixture.h"
#include "server/test_client.h"

namespace tailrace::api {
namespace {

using http::TestClient;
using nlohmann::json;

const TestClient::Headers kJson{{"Content-Type", "application/json"}};

std::string user_body() {
  return json{{"name", "A name of more than fifteen bytes"},
              {"email", "some.body@example.com"},
              {"roles", {"reader", "a role with a rather long name"}},
              {"address",
               {{"street", "22 Very Long High Street"},
                {"city", "Springfield"},
                {"country", "Freedonia"},
                {"zip", "00002"}}},
              {"tags", {"alpha"}}}
      .dump();
}

std::string events_body() {
  json events = json::array();
  for (int i = 0; i < 20; ++i) {
    events.push_back({{"id", "event-with-a-long-name-" + std::to_string(i)},
                      {"type", "click"},
                      {"user_id", i},
                      {"tags", {"web", "a tag of more than fifteen bytes"}},
                      {"payload", {{"page", "/items/of/some/length"}}}});
  }
  return events.dump();
}

class StylesTest : public testing::Test {
 protected:
  struct Costs {
    double objects = 0;
    std::map<std::string, double> bytes;  // by kind
  };

  // Of one request to `route` with that prefix, after another one that has warmed the pools.
  Costs costs(const std::string& prefix, const std::string& route, const std::string& method,
              const std::string& path, const std::string& body = {}) {
    const auto send = [&] {
      const auto answer = client_.request(method, prefix + path, body, kJson);
      ASSERT_TRUE(answer && answer->status < 300) << prefix << path;
    };
    const std::string label = "{route=\"" + prefix + route + "\"";
    const auto read = [&] {
      Costs now;
      now.objects = service_.metric("tailrace_http_request_alloc_objects_sum" + label + "}");
      for (const char* kind : {"arena", "heap", "large", "malloc"}) {
        now.bytes[kind] = service_.metric("tailrace_http_request_alloc_bytes_total" + label +
                                          ",kind=\"" + kind + "\"}");
      }
      return now;
    };
    send();
    const Costs before = read();
    send();
    Costs costs = read();
    costs.objects -= before.objects;
    for (auto& [kind, bytes] : costs.bytes) bytes -= before.bytes.at(kind);
    return costs;
  }

  ServiceFixture service_{1, 300};
  TestClient client_{service_.port()};
};

TEST_F(StylesTest, AUserIsReadForNothingUnlessNaively) {
  const auto read = [&](const char* prefix) {
    return costs(prefix, "/users/{id}", "GET", "/users/7").objects;
  };
  EXPECT_EQ(read("/api"), 0);
  EXPECT_EQ(read("/pooled"), 0);
  // The contract's bounds.
  EXPECT_GE(read("/naive"), 35);
  EXPECT_LE(read("/naive"), 60);
}

TEST_F(StylesTest, OnlyTheNaiveStyleCallsMalloc) {
  const auto mallocs = [&](const Costs& costs) { return costs.bytes.at("malloc"); };
  for (const std::string prefix : {"/api", "/pooled"}) {
    // In builds with debug checks a pool writes down what is in it.
    const double guard = TAILRACE_DCHECKS && prefix == "/pooled" ? 64 : 0;
    EXPECT_EQ(mallocs(costs(prefix, "/users/{id}", "GET", "/users/7")), 0) << prefix;
    EXPECT_LE(mallocs(costs(prefix, "/users", "GET", "/users?limit=50")), guard) << prefix;
    EXPECT_LE(mallocs(costs(prefix, "/events", "POST", "/events", events_body())), guard) << prefix;
    EXPECT_LE(mallocs(costs(prefix, "/users", "POST", "/users", user_body())), guard) << prefix;
  }
  // A sanitizer's operator new counts nothing.
  if (!TAILRACE_ASAN && !TAILRACE_TSAN) {
    EXPECT_GT(mallocs(costs("/naive", "/users/{id}", "GET", "/users/7")), 0);
  }
}

TEST_F(StylesTest, APageLiesInTheArenaOrInAPoolOrOnTheHeap) {
  const auto page = [&](const char* prefix) {
    return costs(prefix, "/users", "GET", "/users?limit=50");
  };
  const Costs api = page("/api");
  EXPECT_EQ(api.objects, 1);
  EXPECT_GE(api.bytes.at("arena"), 50 * 8);
  EXPECT_EQ(api.bytes.at("heap"), 0);
  EXPECT_EQ(page("/pooled").objects, 0);
  EXPECT_GE(page("/naive").objects, 50 * 35);
}

TEST_F(StylesTest, EventsLeaveNothingOnTheHeapInTheRecommendedStyle) {
  const auto post = [&](const char* prefix) {
    return costs(prefix, "/events", "POST", "/events", events_body());
  };
  const Costs api = post("/api");
  EXPECT_GT(api.bytes.at("arena"), 20 * 100);
  EXPECT_EQ(api.bytes.at("heap"), 0);
  const Costs pooled = post("/pooled");
  EXPECT_EQ(pooled.bytes.at("arena"), 0);
  EXPECT_GT(pooled.bytes.at("heap"), 0);
  // The vectors' room is there already.
  EXPECT_LE(pooled.objects, api.objects - 3);
  const Costs naive = post("/naive");
  EXPECT_EQ(naive.bytes.at("arena"), 0);
  EXPECT_GT(naive.objects, 2 * pooled.objects);
  for (const Costs& each : {api, pooled, naive}) EXPECT_EQ(each.bytes.at("large"), 0);
}

TEST_F(StylesTest, TooManyEventsAreTooManyInEachStyle) {
  json events = json::array();
  for (int i = 0; i < 10'000; ++i) events.push_back({{"id", "e"}, {"type", "t"}, {"user_id", 1}});
  const std::string most = events.dump();
  events.push_back(events[0]);
  const std::string more = events.dump();
  for (const std::string prefix : {"/api", "/pooled", "/naive"}) {
    const auto post = [&](const std::string& body) {
      return client_.request("POST", prefix + "/events", body, kJson);
    };
    const auto taken = post(most);
    EXPECT_EQ(taken->status, 200) << prefix;
    EXPECT_EQ(json::parse(taken->body).at("keys").size(), 10'000u) << prefix;
    const auto refused = post(more);
    EXPECT_EQ(refused->status, 422) << prefix;
    EXPECT_EQ(json::parse(refused->body).at("message"), "more than 10000 events") << prefix;
  }
}

TEST_F(StylesTest, WhatTheStoreKeepsLiesOnTheHeapInEachStyle) {
  for (const char* method : {"POST", "PUT"}) {
    const bool post = std::string_view(method) == "POST";
    const auto write = [&](const char* prefix) {
      return costs(prefix, post ? "/users" : "/users/{id}", method, post ? "/users" : "/users/7",
                   user_body());
    };
    const Costs api = write("/api");
    const Costs pooled = write("/pooled");
    const Costs naive = write("/naive");
    EXPECT_GT(api.bytes.at("arena"), 0) << method;
    EXPECT_EQ(pooled.bytes.at("arena") + naive.bytes.at("arena"), 0) << method;
    // The published copy: as large as what the pooled style has made in its place.
    EXPECT_GT(api.bytes.at("heap"), 0) << method;
    EXPECT_LE(api.bytes.at("heap"), pooled.bytes.at("heap")) << method;
    EXPECT_LT(pooled.bytes.at("heap"), naive.bytes.at("heap")) << method;
  }
}

TEST_F(StylesTest, NothingEscapesFromTheArenas) {
  for (const auto& [method, path, body] :
       {std::tuple{"GET", "/api/users/7", std::string()},
        {"GET", "/api/users", std::string()},
        {"POST", "/api/users", user_body()},
        {"PUT", "/api/users/7", user_body()},
        {"POST", "/api/events", events_body()},
        {"POST", "/api/echo", events_body()},
        {"GET", "/api/churn?bytes=65536&live=32768", std::string()}}) {
    const auto answer = client_.request(method, path, body, kJson);
    ASSERT_TRUE(answer && answer->status < 300) << method << path;
  }
  TestClient admin(service_.admin_port());
  const json report = json::parse(admin.get("/debug/arenas?format=json")->body);
  EXPECT_EQ(report.at("faded_objects"), 0) << report;
}

}  // namespace
}  // namespace tailrace::api
