// The service as its clients see it: every route over a socket, bad input, and many clients at once
// against a model.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "handlers/service_fixture.h"
#include "server/test_client.h"

namespace tailrace::api {
namespace {

using http::ClientResponse;
using http::TestClient;
using nlohmann::json;

constexpr std::int64_t kDemoUsers = 300;

std::string user_body(std::string_view name, double score = 1.5) {
  return json{{"name", name},
              {"email", "some.body@example.com"},
              {"active", true},
              {"score", score},
              {"roles", {"reader", "a role with a rather long name"}},
              {"address",
               {{"street", "2 High Street"},
                {"city", "Springfield"},
                {"country", "Freedonia"},
                {"zip", "00002"}}},
              {"tags", {"alpha"}}}
      .dump();
}

// Every style, at 1, 2 and 4 workers.
class ServiceTest : public testing::TestWithParam<std::tuple<unsigned, std::string>> {
 protected:
  ServiceTest() : service_(std::get<0>(GetParam()), kDemoUsers), client_(service_.port()) {}
  std::string path(std::string_view rest) const {
    return std::get<1>(GetParam()) + std::string(rest);
  }
  ClientResponse get(std::string_view rest) { return *client_.get(path(rest)); }
  ClientResponse post(std::string_view rest, std::string_view body) {
    return *client_.post_json(path(rest), body);
  }
  ClientResponse put(std::string_view rest, std::string_view body) {
    return *client_.request("PUT", path(rest), body, {{"Content-Type", "application/json"}});
  }
  ClientResponse del(std::string_view rest) { return *client_.request("DELETE", path(rest)); }

  ServiceFixture service_;
  TestClient client_;
};

INSTANTIATE_TEST_SUITE_P(Styles, ServiceTest,
                         testing::Combine(testing::Values(1u, 2u, 4u),
                                          testing::Values("/api", "/pooled", "/naive")),
                         [](const auto& parameters) {
                           return std::get<1>(parameters.param).substr(1) + "_" +
                                  std::to_string(std::get<0>(parameters.param));
                         });

TEST_P(ServiceTest, ADemoUserIsAsTheContractShowsIt) {
  const ClientResponse answer = get("/users/7");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("Content-Type"), "application/json");
  EXPECT_EQ(
      answer.body,
      R"({"id":7,"name":"User Number 7","email":"user7@example.com","active":false,"score":8.75,)"
      R"("roles":["reader","writer","team-7"],"address":{"street":"7 High Street",)"
      R"("city":"Springfield","country":"Freedonia","zip":"00007"},)"
      R"("tags":["alpha","beta","tag-7"]})");
  EXPECT_FALSE(answer.header("X-Request-ID").empty());
}

TEST_P(ServiceTest, UnknownUsersAndPathsAre404InJson) {
  for (const char* rest : {"/users/300", "/users/-1", "/users/x", "/users/99999999999999999999"}) {
    const ClientResponse answer = get(rest);
    EXPECT_EQ(answer.status, 404) << rest;
    EXPECT_EQ(json::parse(answer.body)["error"], "not_found");
  }
  EXPECT_EQ(client_.get("/nothing")->status, 404);
}

TEST_P(ServiceTest, PagesOfUsers) {
  const json page = json::parse(get("/users?offset=298&limit=5").body);
  EXPECT_EQ(page["total"], kDemoUsers);
  ASSERT_EQ(page["users"].size(), 2u);
  EXPECT_EQ(page["users"][1]["id"], 299);
  EXPECT_EQ(json::parse(get("/users").body)["users"].size(), 20u);
  EXPECT_EQ(json::parse(get("/users?limit=1000").body)["users"].size(), 300u);
  for (const char* query : {"limit=0", "limit=1001", "limit=x", "offset=-1", "offset=9e9"}) {
    EXPECT_EQ(get("/users?" + std::string(query)).status, 400) << query;
  }
}

TEST_P(ServiceTest, AUserLivesFromPostToDelete) {
  const ClientResponse made = post("/users", user_body("New One"));
  ASSERT_EQ(made.status, 201) << made.body;
  json user = json::parse(made.body);
  const std::string location(made.header("Location"));
  EXPECT_EQ(location, path("/users/" + std::to_string(user["id"].get<std::int64_t>())));
  EXPECT_EQ(json::parse(client_.get(location)->body), user);
  EXPECT_EQ(user["roles"][1], "a role with a rather long name");

  user["name"] = "Renamed";
  const std::string rest = location.substr(path("").size());
  EXPECT_EQ(put(rest, user.dump()).status, 200);
  service_.collect();
  EXPECT_EQ(json::parse(get(rest).body), user);

  EXPECT_EQ(del(rest).status, 204);
  EXPECT_EQ(del(rest).status, 404);
  EXPECT_EQ(get(rest).status, 404);
  EXPECT_EQ(put(rest, user.dump()).status, 404);
}

TEST_P(ServiceTest, BadBodiesGetTheRightStatusAndChangeNothing) {
  const auto expect = [&](int status, std::string_view body) {
    EXPECT_EQ(post("/users", body).status, status) << body;
    EXPECT_EQ(put("/users/3", body).status, status) << body;
  };
  expect(400, "");
  expect(400, "{");
  expect(400, "[]");
  expect(400, R"({"name":"x"})");  // email is missing
  expect(400, R"({"name":1,"email":"a@b"})");
  expect(400, R"({"name":"x","email":"a@b","name":"y"})");  // twice
  expect(400, R"({"name":"x","email":"a@b"} x)");
  expect(400, R"({"name":"x","email":"a@b","unknown":[1,,2]})");  // what is skipped is checked
  expect(422, R"({"name":"","email":"a@b"})");
  expect(422, R"({"name":"x","email":"nobody"})");
  const ClientResponse plain =
      *client_.request("POST", path("/users"), user_body("x"), {{"Content-Type", "text/plain"}});
  EXPECT_EQ(plain.status, 415);
  const json error =
      json::parse(post("/users", R"({"name":"x","email":"a@b","roles":["a",7]})").body);
  EXPECT_EQ(error["error"], "bad_request");
  EXPECT_NE(error["message"].get<std::string>().find("/roles/1"), std::string::npos) << error;
  EXPECT_EQ(json::parse(get("/users?limit=1").body)["total"], kDemoUsers);
  EXPECT_EQ(json::parse(get("/users/3").body)["name"], "User Number 3");
}

TEST_P(ServiceTest, EventsAreAcceptedWithTheirKeys) {
  json events = json::array();
  json keys = json::array();
  for (int i = 0; i < 50; ++i) {
    const std::string id = "event-with-a-long-name-" + std::to_string(i);
    events.push_back({{"id", id},
                      {"type", "click"},
                      {"user_id", i},
                      {"ts", 1700000000},
                      {"tags", {"web"}},
                      {"payload", {{"k", "v"}}}});
    keys.push_back("click:" + id + ":" + std::to_string(i));
  }
  const json answer = json::parse(post("/events", events.dump()).body);
  EXPECT_EQ(answer["accepted"], 50);
  EXPECT_EQ(answer["keys"], keys);
  EXPECT_EQ(post("/events", "[]").body, R"({"accepted":0,"keys":[]})");
  EXPECT_EQ(post("/events", R"([{"id":"a","type":"b"}])").status, 400);
}

TEST_P(ServiceTest, TenThousandEventsAreTakenAndOneMoreIsNot) {
  std::string many = "[";
  for (int i = 0; i < 10'000; ++i) {
    many +=
        std::string(i == 0 ? "" : ",") +
        R"({"id":"an event with a rather long name","type":"click",)"
        R"("user_id":1,"ts":1700000000,"tags":["web","eu","mobile"],"payload":{"page":"/items/7"}})";
  }
  EXPECT_EQ(json::parse(post("/events", many + "]").body)["accepted"], 10'000);
  many += R"(,{"id":"e","type":"t","user_id":1,"ts":1,"tags":[],"payload":{}}])";
  EXPECT_EQ(post("/events", many).status, 422);
}

TEST_P(ServiceTest, EchoMinifies) {
  EXPECT_EQ(post("/echo", " { \"b\" : 1.50, \"a\" : [ true , null ] } ").body,
            R"({"b":1.50,"a":[true,null]})");
  const ClientResponse refused = post("/echo", "[1,]");
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("byte 3"), std::string::npos) << refused.body;
  EXPECT_EQ(post("/echo", std::string(1024, '[') + std::string(1024, ']')).status, 200);
  EXPECT_EQ(post("/echo", std::string(1025, '[') + std::string(1025, ']')).status, 400);
}

TEST_P(ServiceTest, ChurnAllocatesWhatItSays) {
  EXPECT_EQ(get("/churn?bytes=65536").body, R"({"objects":1024})");
  EXPECT_EQ(get("/churn?bytes=1048576&object=1024&live=524288").body, R"({"objects":1024})");
  EXPECT_EQ(get("/churn?bytes=0").body, R"({"objects":0})");
  EXPECT_EQ(get("/churn?bytes=67108864&object=32768").status, 200);
  const ClientResponse odd = get("/churn?bytes=100&object=63");
  EXPECT_EQ(odd.status, 400);
  EXPECT_NE(odd.body.find("64"), std::string::npos);
  for (const char* query :
       {"", "bytes=-1", "bytes=67108865", "bytes=x", "bytes=64&live=65", "bytes=64&object=0"}) {
    EXPECT_EQ(get("/churn?" + std::string(query)).status, 400) << query;
  }
}

TEST_P(ServiceTest, ARequestsAllocationIsCountedExactly) {
  const std::string route = path("/churn");
  const auto bytes_of = [&](std::string_view query) {
    const double before =
        service_.metric("tailrace_http_request_alloc_bytes_sum{route=\"" + route + "\"}");
    EXPECT_EQ(get("/churn?" + std::string(query)).status, 200);
    return service_.metric("tailrace_http_request_alloc_bytes_sum{route=\"" + route + "\"}") -
           before;
  };
  const double constant = bytes_of("bytes=0");
  for (const std::int64_t bytes : {64, 6400, 65536, 1 << 20}) {
    EXPECT_EQ(bytes_of("bytes=" + std::to_string(bytes)) - constant, static_cast<double>(bytes));
  }
  EXPECT_EQ(bytes_of("bytes=1048576&object=4096") - constant, 1048576);
}

TEST_P(ServiceTest, WrongMethodsNameTheRightOnes) {
  const ClientResponse answer = *client_.request("PATCH", path("/users/7"));
  EXPECT_EQ(answer.status, 405);
  const std::string_view allow = answer.header("Allow");
  for (const char* method : {"GET", "HEAD", "PUT", "DELETE"}) {
    EXPECT_NE(allow.find(method), std::string_view::npos) << allow;
  }
}

// 16 clients write and read at once; each owns the users that it makes, so a model of its own says what
// must be there. Cycles run meanwhile. At the end the whole store must be what the models say.
TEST_P(ServiceTest, SixteenClientsEndInTheStateThatTheirModelsPredict) {
  constexpr int kClients = 16;
  std::vector<std::map<std::int64_t, std::string>> models(kClients);
  std::vector<std::thread> threads;
  for (int c = 0; c < kClients; ++c) {
    threads.emplace_back([&, c] {
      std::mt19937 random(static_cast<unsigned>(c) + 1);
      std::map<std::int64_t, std::string>& model = models[static_cast<std::size_t>(c)];
      TestClient client(service_.port());
      const TestClient::Headers headers{{"Content-Type", "application/json"}};
      for (int i = 0; i < 150; ++i) {
        const std::string name = "client " + std::to_string(c) + " step " + std::to_string(i);
        const unsigned what = random() % 10;
        if (model.empty() || what < 3) {
          const auto made = client.request("POST", path("/users"), user_body(name), headers);
          ASSERT_TRUE(made && made->status == 201);
          model[json::parse(made->body)["id"]] = name;
          continue;
        }
        auto owned = model.begin();
        std::advance(owned, static_cast<std::ptrdiff_t>(random() % model.size()));
        const std::string target = path("/users/" + std::to_string(owned->first));
        if (what < 5) {
          const auto put = client.request("PUT", target, user_body(name), headers);
          ASSERT_TRUE(put && put->status == 200);
          owned->second = name;
        } else if (what < 7) {
          const auto erased = client.request("DELETE", target);
          ASSERT_TRUE(erased && erased->status == 204);
          model.erase(owned);
        } else {
          const auto found = client.get(target);
          ASSERT_TRUE(found && found->status == 200);
          ASSERT_EQ(json::parse(found->body)["name"], owned->second);
        }
      }
    });
  }
  for (int i = 0; i < 10; ++i) service_.collect();
  for (std::thread& thread : threads) thread.join();

  std::map<std::int64_t, std::string> expected;
  for (std::int64_t i = 0; i < kDemoUsers; ++i) expected[i] = "User Number " + std::to_string(i);
  for (const auto& model : models) expected.insert(model.begin(), model.end());
  std::map<std::int64_t, std::string> found;
  for (std::int64_t offset = 0;; offset += 1000) {
    const json page = json::parse(get("/users?limit=1000&offset=" + std::to_string(offset)).body);
    EXPECT_EQ(page["total"], expected.size());
    for (const json& user : page["users"]) found[user["id"]] = user["name"];
    if (page["users"].size() < 1000) break;
  }
  EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace tailrace::api
