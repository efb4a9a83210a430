// Whose fibers' allocation is: a request's figures hold what its helpers took before its reply, its route's
// totals all that they took.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/sync/wait_group.h"
#include "server/test_server.h"

namespace tailrace::http {
namespace {

struct Item {
  std::array<std::int64_t, 8> words{};
};
BOOST_DESCRIBE_STRUCT(Item, (), (words))

void make_items(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) gc::make<Item>();
}

class SpawnSessionTest : public testing::TestWithParam<unsigned> {
 protected:
  void add_routes(Router& router) {
    // By itself, or by fibers that are joined in one of the ways there are.
    router.add(Method::kGet, "/made/{how}",
               [](Request& request) {
                 const auto items = request.query<std::int64_t>("items").value_or(0);
                 const auto how = request.param<std::string_view>("how");
                 if (how == "join") {
                   fiber::spawn([items] {
                     make_items(items / 2);
                     fiber::spawn([items] { make_items(items - items / 2); }).join();
                   }).join();
                 } else if (how == "group") {
                   fiber::Group helpers;
                   helpers.go([items] { make_items(items / 2); });
                   helpers.go([items] { make_items(items - items / 2); });
                 } else if (how == "arena") {
                   fiber::spawn([items] { gc::with_arena([items] { make_items(items); }); }).join();
                 } else {
                   make_items(items);
                 }
                 return Response::text(
                     200, std::to_string(request.alloc().objects + request.alloc().arena_objects));
               },
               {.arena = false});
    // A helper that goes on when the reply is written.
    router.add(Method::kGet, "/later",
               [this](Request&) {
                 begun_.add(1);
                 held_.add(1);
                 ended_.add(1);
                 fiber::spawn([this] {
                   make_items(10);
                   begun_.done();  // which settles
                   held_.wait();
                   make_items(100);
                   fiber::spawn([] { make_items(1000); }).join();
                   ended_.done();
                 });
                 begun_.wait();
                 return no_content();
               },
               {.arena = false});
    router.add(Method::kGet, "/go", [this](Request&) {
      held_.done();
      ended_.wait();
      return no_content();
    });
  }
  double sum(const std::string& route) {
    return server_.metric("tailrace_http_request_alloc_bytes_sum{route=\"" + route + "\"}");
  }
  double total(const std::string& route, const std::string& kind) {
    return server_.metric("tailrace_http_request_alloc_bytes_total{route=\"" + route +
                          "\",kind=\"" + kind + "\"}");
  }

  fiber::WaitGroup begun_;
  fiber::WaitGroup held_;
  fiber::WaitGroup ended_;
  TestServer server_{GetParam(), [this](Router& router) { add_routes(router); }};
  TestClient client_{server_.port()};
};
INSTANTIATE_TEST_SUITE_P(Workers, SpawnSessionTest, testing::Values(1u, 2u, 4u));

TEST_P(SpawnSessionTest, JoinedHelpersCountAsTheRequestItself) {
  const std::string route = "/made/{how}";
  const auto bytes = [&](const std::string& how) {
    const double before = sum(route);
    EXPECT_EQ(client_.get("/made/" + how + "?items=50")->body, "50") << how;
    return sum(route) - before;
  };
  const double alone = bytes("alone");
  EXPECT_GE(alone, 50 * sizeof(Item));
  EXPECT_EQ(total(route, "heap"), alone);
  EXPECT_EQ(bytes("join"), alone);
  EXPECT_EQ(bytes("group"), alone);
  EXPECT_EQ(total(route, "heap"), 3 * alone);
  EXPECT_GE(bytes("arena"), 50 * sizeof(Item));
  EXPECT_GE(total(route, "arena"), 50 * sizeof(Item));
  EXPECT_EQ(total(route, "heap"), 3 * alone);
}

TEST_P(SpawnSessionTest, WhatComesAfterTheReplyGoesToTheTotalsOnly) {
  ASSERT_EQ(client_.get("/later")->status, 204);
  const double in_time = sum("/later");
  EXPECT_GE(in_time, 10 * sizeof(Item));
  EXPECT_EQ(total("/later", "heap"), in_time);
  ASSERT_EQ(client_.get("/go")->status, 204);
  EXPECT_EQ(sum("/later"), in_time);
  EXPECT_EQ(total("/later", "heap"), 111 * in_time);
  EXPECT_EQ(total("/go", "heap"), 0);
}

}  // namespace
}  // namespace tailrace::http
