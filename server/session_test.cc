// Sessions end to end over loopback, at 1, 2 and 4 workers: what a client sees for what it sends.
#include "server/session.h"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "gcruntime/fiber/scheduler.h"
#include "server/json_body.h"
#include "server/test_server.h"

namespace tailrace::http {
namespace {

std::string repeated(char c, std::size_t count) { return std::string(count, c); }

void add_routes(Router& router) {
  router.add(Method::kGet, "/hello/{name}", [](Request& request) {
    return Response::text(200, "hello " + std::string(request.param<std::string_view>("name")));
  });
  router.add(Method::kGet, "/number/{id:int}", [](Request& request) {
    return Response::text(200, std::to_string(request.param<std::int64_t>("id")));
  });
  router.add(Method::kGet, "/untyped/{id}", [](Request& request) {
    return Response::text(200, std::to_string(request.param<std::int64_t>("id")));
  });
  router.add(Method::kGet, "/query", [](Request& request) {
    return Response::text(200, std::to_string(request.query<int>("n").value_or(-1)) + "," +
                                   request.query<std::string>("s").value_or("none"));
  });
  router.add(Method::kPost, "/echo",
             [](Request& request) { return Response::text(200, request.body()); });
  router.add(Method::kPost, "/echo/{name}",
             [](Request& request) {
               return Response::text(200, std::string(request.param<std::string_view>("name")) +
                                              ":" + request.query<std::string>("q").value_or("") +
                                              ":" + std::string(request.header("X-Mark")) + ":" +
                                              std::string(request.body()));
             },
             {.max_body_bytes = 8 * 1024 * 1024});
  router.add(Method::kPost, "/tiny", [](Request&) { return no_content(); }, {.max_body_bytes = 10});
  router.add(Method::kGet, "/big", [](Request& request) {
    const std::size_t bytes = request.query<std::size_t>("bytes").value_or(1000);
    Response response(200, kTextType);
    response.body().append(repeated('b', bytes));
    return response;
  });
  router.add(Method::kGet, "/headers", [](Request& request) {
    return Response::text(200, std::string(request.host()) + "|" + std::string(request.path()) +
                                   "|" + std::string(request.query_string()) + "|" +
                                   std::string(request.request_id()))
        .header("X-Extra", "1");
  });
  router.add(Method::kGet, "/throw", [](Request& request) -> Response {
    const std::string_view kind = request.query_string();
    if (kind == "http") throw HttpError(409, "conflict", "it is taken");
    if (kind == "bad") throw BadRequest("no");
    if (kind == "int") throw 7;
    throw std::runtime_error("secret detail");
  });
  router.add(Method::kGet, "/alloc", [](Request& request) {
    const std::uint64_t before = request.alloc().bytes;
    for (int i = 0; i < 10; ++i) gc::heap_make<std::int64_t>(i);
    return Response::text(200, std::to_string(request.alloc().bytes - before));
  });
}

class SessionTest : public testing::TestWithParam<unsigned> {
 protected:
  TestServer server_{GetParam(), add_routes};
};
INSTANTIATE_TEST_SUITE_P(Workers, SessionTest, testing::Values(1u, 2u, 4u));

// Sends it all at once, reads to the server's end.
std::string talk(const TestServer& server, std::string_view bytes, bool shutdown = true) {
  TestClient client = server.client();
  EXPECT_TRUE(client.connect());
  EXPECT_TRUE(client.send(bytes));
  if (shutdown) client.shutdown_send();
  return client.read_to_end().value_or("(no end)");
}

int count(std::string_view text, std::string_view what) {
  int found = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string_view::npos;
       at += what.size()) {
    ++found;
  }
  return found;
}

TEST_P(SessionTest, AnswersAndKeepsTheConnection) {
  TestClient client = server_.client();
  for (int i = 0; i < 100; ++i) {
    const auto response = client.get("/hello/w" + std::to_string(i));
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, "hello w" + std::to_string(i));
    EXPECT_EQ(response->header("Content-Type"), kTextType);
    EXPECT_EQ(response->header("Connection"), "");
    EXPECT_EQ(response->header("Date").size(), 29u);
  }
  EXPECT_EQ(server_.value("tailrace_http_accepted_connections_total"), 1);
}

TEST_P(SessionTest, KnowsItsOwnRoutes) {
  TestClient client = server_.client();
  EXPECT_EQ(client.get("/healthz")->body, "ok\n");
  EXPECT_EQ(client.get("/readyz")->status, 200);
  const auto metrics = client.get("/metrics");
  EXPECT_EQ(metrics->header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_NE(metrics->body.find("route=\"/healthz\",method=\"get\",code=\"200\"} 1"),
            std::string::npos);
  EXPECT_EQ(client.request("POST", "/healthz", "x")->status, 405);
}

TEST_P(SessionTest, ConvertsParameters) {
  TestClient client = server_.client();
  EXPECT_EQ(client.get("/number/-42")->body, "-42");
  EXPECT_EQ(client.get("/number/x")->status, 404);
  EXPECT_EQ(client.get("/untyped/42")->body, "42");
  EXPECT_EQ(client.get("/untyped/4x2")->status, 404);
  EXPECT_EQ(client.get("/hello/a%20b%2Fc")->body, "hello a b/c");
  EXPECT_EQ(client.get("/hello/a%2")->status, 400);
  EXPECT_EQ(client.get("/query?n=5&s=a%26b+c")->body, "5,a&b c");
  EXPECT_EQ(client.get("/query")->body, "-1,none");
  const auto bad = client.get("/query?n=five");
  EXPECT_EQ(bad->status, 400);
  EXPECT_EQ(bad->body, "{\"error\":\"bad_request\",\"message\":\"malformed query parameter n\"}");
  EXPECT_EQ(client.get("/query?n=%zz")->status, 400);
}

TEST_P(SessionTest, HeadHasTheLengthAndNoBody) {
  const std::string text =
      talk(server_,
           "HEAD /hello/x HTTP/1.1\r\nHost: a\r\n\r\nHEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
           "GET /hello/y HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(count(text, "Content-Length: 7\r\n"), 2);
  EXPECT_EQ(count(text, "hello"), 1);
  EXPECT_EQ(count(text, "HTTP/1.1 404"), 1);
  EXPECT_EQ(count(text, "no such path"), 0);
}

TEST_P(SessionTest, OptionsAllowAndMethods) {
  TestClient client = server_.client();
  auto response = client.request("OPTIONS", "/echo");
  EXPECT_EQ(response->status, 204);
  EXPECT_EQ(response->header("Allow"), "POST, OPTIONS");
  EXPECT_EQ(response->header("Content-Length"), "");
  response = client.request("OPTIONS", "*");
  EXPECT_EQ(response->status, 204);
  EXPECT_EQ(response->header("Allow"), "OPTIONS, GET, HEAD, POST");
  response = client.request("DELETE", "/echo");
  EXPECT_EQ(response->status, 405);
  EXPECT_EQ(response->header("Allow"), "POST, OPTIONS");
  EXPECT_EQ(client.request("OPTIONS", "/nowhere")->status, 404);
  EXPECT_EQ(client.request("BREW", "/echo")->status, 501);
}

TEST_P(SessionTest, TakesOverSaneRequestIds) {
  TestClient client = server_.client();
  EXPECT_EQ(client.get("/hello/x", {{"X-Request-ID", "abc-DEF_1.2"}})->header("X-Request-ID"),
            "abc-DEF_1.2");
  std::set<std::string> made;
  for (const std::string& bad : {std::string("a b"), std::string(65, 'a'), std::string("a\"b"),
                                 std::string("\xc3\xa4"), std::string()}) {
    const auto response = client.get("/hello/x", {{"X-Request-ID", bad}});
    const std::string id(response->header("X-Request-ID"));
    EXPECT_EQ(id.size(), 16u);
    EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos);
    made.insert(id);
  }
  EXPECT_EQ(made.size(), 5u);
  const auto unmatched = client.get("/nowhere", {{"x-request-id", "mine"}});
  EXPECT_EQ(unmatched->header("X-Request-ID"), "mine");
  EXPECT_EQ(talk(server_, "BAD\r\n\r\n").find("X-Request-ID: ") == std::string::npos, false);
}

TEST_P(SessionTest, PassesWhatTheRequestSays) {
  EXPECT_NE(
      talk(server_, "GET http://b:1/headers?x=y HTTP/1.1\r\nHost: a\r\nX-Request-ID: i\r\n\r\n")
          .find("\r\nX-Extra: 1\r\n\r\nb:1|/headers|x=y|i"),
      std::string::npos);
}

TEST_P(SessionTest, AnswersPipelinedRequestsInOrder) {
  std::string text;
  for (int i = 0; i < 400; ++i) {
    text += "GET /hello/" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n";
    if (i % 7 == 0) {
      text += "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n(" +
              std::string(i % 2 == 0 ? "aa" : "bb") + ")";
    }
  }
  TestClient client = server_.client();
  ASSERT_TRUE(client.connect());
  ASSERT_TRUE(client.send(text));
  for (int i = 0; i < 400; ++i) {
    const auto response = client.read_response();
    ASSERT_TRUE(response) << i;
    ASSERT_EQ(response->body, "hello " + std::to_string(i));
    if (i % 7 == 0) {
      ASSERT_EQ(client.read_response()->body, i % 2 == 0 ? "(aa)" : "(bb)");
    }
  }
}

TEST_P(SessionTest, PipelinedRepliesMayBeLarge) {
  std::string text;
  for (int i = 0; i < 20; ++i) {
    text += "GET /big?bytes=" + std::to_string(i * 3000) + " HTTP/1.1\r\nHost: a\r\n\r\n";
  }
  TestClient client = server_.client();
  ASSERT_TRUE(client.connect());
  ASSERT_TRUE(client.send(text));
  for (std::size_t i = 0; i < 20; ++i) {
    const auto response = client.read_response();
    ASSERT_TRUE(response) << i;
    EXPECT_EQ(response->body, repeated('b', i * 3000));
  }
}

TEST_P(SessionTest, ReadsBodiesOfEverySize) {
  TestClient client = server_.client();
  for (const std::size_t bytes : {0u, 1u, 100u, 15'000u, 16'384u, 70'000u, 300'000u, 3'000'000u}) {
    const std::string body = repeated('x', bytes);
    // The parameters and fields must survive the buffer's moves.
    const auto response = client.request("POST", "/echo/n%20m?q=1%2B1", body, {{"X-Mark", "mark"}});
    ASSERT_TRUE(response) << bytes;
    EXPECT_EQ(response->status, 200);
    EXPECT_TRUE(response->body == "n m:1+1:mark:" + body)
        << bytes << " " << response->body.size() << " " << response->body.substr(0, 100);
    const auto plain = client.request("POST", "/echo/nm?q=11", body, {{"X-Mark", "mark"}});
    ASSERT_TRUE(plain) << bytes;
    EXPECT_TRUE(plain->body == "nm:11:mark:" + body) << bytes;
  }
}

TEST_P(SessionTest, ReadsChunkedBodies) {
  std::string large;
  std::string chunks;
  for (int i = 0; i < 300; ++i) {
    const std::string piece = repeated(static_cast<char>('a' + i % 26), 1000);
    large += piece;
    chunks += "3e8;ext=1\r\n" + piece + "\r\n";
  }
  const std::string head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  TestClient client = server_.client();
  ASSERT_TRUE(client.connect());
  ASSERT_TRUE(client.send(head + "5\r\nhello\r\n0\r\nDropped: trailer\r\n\r\n" + head + chunks +
                          "0\r\n\r\n" + "GET /hello/z HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_EQ(client.read_response()->body, "hello");
  EXPECT_TRUE(client.read_response()->body == large);
  EXPECT_EQ(client.read_response()->body, "hello z");
}

TEST_P(SessionTest, EverySplitGivesTheSameReply) {
  const std::string kRequests[] = {
      "GET /hello/x?y HTTP/1.1\r\nHost: a\r\nX-Request-ID: i\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: a\r\nX-Request-ID: i\r\nContent-Length: 5\r\n\r\nhello",
      "POST /echo HTTP/1.1\r\nHost: a\r\nX-Request-ID: i\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"};
  for (const std::string& request : kRequests) {
    TestClient client = server_.client();
    ASSERT_TRUE(client.connect());
    for (std::size_t cut = 1; cut < request.size(); ++cut) {
      ASSERT_TRUE(client.send(request.substr(0, cut)));
      ASSERT_TRUE(client.send(request.substr(cut)));
      const auto response = client.read_response();
      ASSERT_TRUE(response) << cut;
      ASSERT_EQ(response->status, 200) << cut;
      ASSERT_TRUE(response->body == "hello x" || response->body == "hello") << cut;
    }
    for (const char c : request) ASSERT_TRUE(client.send(std::string_view(&c, 1)));
    ASSERT_EQ(client.read_response()->status, 200);
  }
}

TEST_P(SessionTest, SkipsOneEmptyLine) {
  EXPECT_EQ(count(talk(server_,
                       "\r\nGET /hello/x HTTP/1.1\r\nHost: a\r\n\r\n\r\n"
                       "GET /hello/y HTTP/1.1\r\nHost: a\r\n\r\n"),
                  "200 OK"),
            2);
  EXPECT_EQ(count(talk(server_, "\r\n\r\nGET /hello/x HTTP/1.1\r\nHost: a\r\n\r\n", false),
                  "HTTP/1.1 400"),
            1);
}

TEST_P(SessionTest, ExpectContinue) {
  TestClient client = server_.client();
  ASSERT_TRUE(client.connect());
  ASSERT_TRUE(client.send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_EQ(client.read_some(100), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.send("hello"));
  EXPECT_EQ(client.read_response()->body, "hello");
  ASSERT_TRUE(
      client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: "
                  "100-continue\r\n\r\n"));
  EXPECT_EQ(client.read_some(100), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.send("1\r\nx\r\n0\r\n\r\n"));
  EXPECT_EQ(client.read_response()->body, "x");
  // Who does not wait is not told.
  ASSERT_TRUE(client.send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi"));
  const auto response = client.read_response();
  EXPECT_EQ(response->body, "hi");
  // What would be refused is refused before the body comes.
  EXPECT_NE(
      talk(server_,
           "POST /tiny HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n",
           false)
          .find("HTTP/1.1 413"),
      std::string::npos);
  const std::string unmatched =
      talk(server_,
           "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n",
           false);
  EXPECT_EQ(unmatched.rfind("HTTP/1.1 404", 0), 0u);
  EXPECT_NE(unmatched.find("Connection: close"), std::string::npos);
  EXPECT_EQ(talk(server_, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n")
                .rfind("HTTP/1.1 417", 0),
            0u);
}

TEST_P(SessionTest, Http10) {
  const std::string closed = talk(server_, "GET /hello/x HTTP/1.0\r\n\r\n", false);
  EXPECT_NE(closed.find("Connection: close\r\n"), std::string::npos);
  EXPECT_NE(closed.find("hello x"), std::string::npos);
  TestClient client = server_.client();
  ASSERT_TRUE(client.connect());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(client.send("GET /hello/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    EXPECT_EQ(client.read_response()->header("Connection"), "keep-alive");
  }
}

TEST_P(SessionTest, ConnectionCloseIsTheLastReply) {
  const std::string text = talk(server_,
                                "GET /hello/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                                "GET /hello/y HTTP/1.1\r\nHost: a\r\n\r\n",
                                false);
  EXPECT_EQ(count(text, "\r\nDate: "), 1);
  EXPECT_NE(text.find("Connection: close"), std::string::npos);
}

TEST_P(SessionTest, AHalfClosedClientGetsItsReplies) {
  std::string text;
  for (int i = 0; i < 5; ++i) text += "GET /hello/x HTTP/1.1\r\nHost: a\r\n\r\n";
  EXPECT_EQ(count(talk(server_, text), "200 OK"), 5);
  EXPECT_EQ(talk(server_, text + "GET /hello/").find("HTTP/1.1 400"), std::string::npos);
  EXPECT_EQ(talk(server_, ""), "");
  EXPECT_EQ(talk(server_, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"), "");
}

TEST_P(SessionTest, ErrorsOfHandlers) {
  TestClient client = server_.client();
  auto response = client.get("/throw?http");
  EXPECT_EQ(response->status, 409);
  EXPECT_EQ(response->body, "{\"error\":\"conflict\",\"message\":\"it is taken\"}");
  EXPECT_EQ(client.get("/throw?bad")->status, 400);
  EXPECT_EQ(client.get("/throw?int")->status, 500);
  response = client.get("/throw");
  EXPECT_EQ(response->status, 500);
  EXPECT_EQ(response->header("Content-Type"), "application/json");
  EXPECT_EQ(response->body.find("secret"), std::string::npos);
  EXPECT_EQ(client.get("/hello/x")->status, 200);
  EXPECT_EQ(server_.value("tailrace_http_accepted_connections_total"), 1);
  EXPECT_EQ(server_.value("tailrace_http_handler_exceptions_total"), 2);
}

// The status must arrive although the client goes on sending: no reset before it is read.
TEST_P(SessionTest, RefusalsLinger) {
  const std::pair<std::string, const char*> kCases[] = {
      {"POST /tiny HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + repeated('x', 100'000),
       "413"},
      {"POST /tiny HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n" +
           repeated('x', 100'000),
       "413"},
      {"POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + repeated('x', 100'000),
       "404"},
      {"GET /" + repeated('x', 100'000), "414"},
      {"GET / HTTP/1.1\r\nX: " + repeated('x', 100'000), "431"},
      {"GET / HTTP/1.1\r\nX : 1\r\n\r\n" + repeated('x', 100'000), "400"},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" +
           repeated('x', 100'000),
       "400"},
      {"BREW / HTTP/1.1\r\nHost: a\r\n\r\n" + repeated('x', 100'000), "501"},
      {"GET / HTTP/3.0\r\nHost: a\r\n\r\n" + repeated('x', 100'000), "505"}};
  for (const auto& [bytes, status] : kCases) {
    TestClient client = server_.client();
    ASSERT_TRUE(client.connect());
    client.send(bytes);
    client.shutdown_send();
    bool reset = false;
    const auto text = client.read_to_end(&reset);
    ASSERT_TRUE(text) << status;
    EXPECT_FALSE(reset) << status;
    EXPECT_EQ(text->substr(0, 12), std::string("HTTP/1.1 ") + status);
    EXPECT_NE(text->find("Connection: close"), std::string::npos) << status;
    EXPECT_EQ(count(*text, "\r\nDate: "), 1) << status;
  }
}

TEST_P(SessionTest, RefusedSmugglersGetNoSecondReply) {
  const std::string kSecond = "GET /hello/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
  for (const char* fields :
       {"Transfer-Encoding: xchunked\r\n", "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\nContent-Length: 44\r\n", "Content-Length: 0, 44\r\n",
        "Content_Length: 44\r\n", "Transfer-Encoding:\r\n chunked\r\n"}) {
    const std::string text =
        talk(server_, "POST /echo HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n" + kSecond,
             false);
    EXPECT_EQ(text.rfind("HTTP/1.1 400", 0), 0u) << fields;
    EXPECT_EQ(count(text, "\r\nDate: "), 1) << fields;
    EXPECT_EQ(count(text, "smuggled"), 0) << fields;
  }
}

TEST_P(SessionTest, BodiesOfUnmatchedRequestsAreReadOver) {
  const std::string text = talk(
      server_,
      "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
      "DELETE /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
      "GET /hello/x HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(count(text, "HTTP/1.1 404"), 1);
  EXPECT_EQ(count(text, "HTTP/1.1 405"), 1);
  EXPECT_EQ(count(text, "HTTP/1.1 200"), 1);
}

TEST_P(SessionTest, CountsWhatARequestAllocates) {
  TestClient client = server_.client();
  const auto response = client.get("/alloc");
  ASSERT_TRUE(response);
  const int bytes = std::stoi(response->body);
  EXPECT_GE(bytes, 80);
  for (int i = 0; i < 9; ++i) client.get("/alloc");
  wait_until([this] { return server_.value("http_request_duration_seconds", "/alloc") == 10; });
  EXPECT_EQ(server_.value("tailrace_http_request_alloc_bytes", "/alloc"), 10);
  EXPECT_EQ(server_.value("tailrace_http_request_alloc_bytes_total", "/alloc", "malloc"),
            bytes * 10);
  EXPECT_EQ(server_.value("http_requests_total", "/alloc"), 10);
}

// What a fiber dump, a long slice or an overflow tells of a request.
TEST_P(SessionTest, FibersCarryTheirRouteUntilTheRequestEnds) {
  TestServer server(GetParam(), [](Router& router) {
    router.add(Method::kPost, "/slow/{id}", [](Request&) { return Response(204); });
    router.add(Method::kGet, "/labels", [](Request&) {
      std::string labels;
      for (const fiber::FiberInfo& info : fiber::Scheduler::current()->dump(100)) {
        labels += std::string("[") + info.label + "]";
      }
      return Response::text(200, labels);
    });
  });
  TestClient watcher = server.client();
  const auto labels = [&] { return watcher.get("/labels")->body; };
  EXPECT_EQ(labels(), "[GET /labels]");
  TestClient slow = server.client();
  ASSERT_TRUE(slow.connect());
  ASSERT_TRUE(slow.send("POST /slow/7 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"));
  wait_until([&] { return count(labels(), "[POST /slow/{id}]") == 1; });
  // The next one has no route, and its body does not come either.
  ASSERT_TRUE(slow.send("abPOST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"));
  wait_until([&] { return count(labels(), "[]") == 1; });
  EXPECT_EQ(count(labels(), "/slow"), 0);
}

TEST_P(SessionTest, EmptyHandlersResponsesAndRouteLimits) {
  TestClient client = server_.client();
  auto response = client.request("POST", "/tiny", "0123456789");
  EXPECT_EQ(response->status, 204);
  EXPECT_EQ(response->header("Content-Length"), "");
  response = client.request("POST", "/tiny", "01234567890");
  EXPECT_EQ(response->status, 413);
  EXPECT_EQ(response->body,
            "{\"error\":\"payload_too_large\",\"message\":\"the request body is too large\"}");
}

}  // namespace
}  // namespace tailrace::http
