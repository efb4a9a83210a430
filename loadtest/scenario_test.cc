// URLs, and requests as they go on the wire.
#include "loadtest/scenario.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

namespace tailrace::loadtest {
namespace {

Scenario parsed(std::string_view yaml) {
  std::variant<Scenario, std::string> scenario = Scenario::parse(yaml, ".");
  EXPECT_EQ(scenario.index(), 0u) << (scenario.index() == 1 ? std::get<std::string>(scenario) : "");
  return scenario.index() == 0 ? std::get<Scenario>(scenario) : Scenario();
}

std::string written(const Scenario& scenario, std::uint32_t route = 0, std::uint32_t step = 0,
                    std::uint64_t draw = 1, std::uint64_t number = 0, unsigned worker = 0) {
  std::string out;
  scenario.write(out, route, step, "host:8080", draw, number, worker);
  return out;
}

TEST(Url, Reads) {
  struct Case {
    const char* text;
    const char* host;
    int port;
    const char* target;
    const char* authority;
  };
  for (const Case& c : {
           Case{"http://localhost", "localhost", 80, "/", "localhost"},
           Case{"http://127.0.0.1:8080", "127.0.0.1", 8080, "/", "127.0.0.1:8080"},
           Case{"http://[::1]:8080/x", "::1", 8080, "/x", "[::1]:8080"},
           Case{"http://[fe80::1]", "fe80::1", 80, "/", "[fe80::1]"},
           Case{"http://a-b.example:80/p?q=1&r=%20", "a-b.example", 80, "/p?q=1&r=%20",
                "a-b.example"},
           Case{"http://h?q=1", "h", 80, "/?q=1", "h"},
           Case{"http://h:65535/{{int 0 9}}", "h", 65535, "/{{int 0 9}}", "h:65535"},
       }) {
    const std::variant<Url, std::string> made = parse_url(c.text);
    ASSERT_EQ(made.index(), 0u) << std::get<std::string>(made);
    const Url& url = std::get<Url>(made);
    EXPECT_EQ(url.host, c.host);
    EXPECT_EQ(url.port, c.port);
    EXPECT_EQ(url.target, c.target);
    EXPECT_EQ(url.authority(), c.authority);
  }
}

TEST(Url, RefusesWithRemedy) {
  for (const auto& [text, expected] : std::initializer_list<std::pair<std::string, std::string>>{
           {"", "write http://HOST[:PORT][/PATH?QUERY]"},
           {"localhost:8080", "write http://HOST"},
           {"HTTP://x", "write http://HOST"},
           {"https://x/", "TLS is not spoken"},
           {"http://", "no host name"},
           {"http:///path", "no host name"},
           {"http://user:secret@h/", "a name or password has no place"},
           {"http://a b/", "no host name"},
           {"http://h\r\nX: y/", "no host name"},
           {"http://::1/", "stands in brackets"},
           {"http://[::1/", "\"[\" without \"]\""},
           {"http://[localhost]/", "no IPv6 address"},
           {"http://[]/", "no IPv6 address"},
           {"http://[::1]8080/", "the port is a number from 1 to 65535"},
           {"http://h:/", "the port is"},
           {"http://h:0/", "the port is"},
           {"http://h:65536/", "the port is"},
           {"http://h:80x/", "the port is"},
           {"http://h:+80/", "the port is"},
           {"http://h/a b", "a blank in a path: write %20"},
           {"http://h/a\r\nX: y", "the byte 0x0d in a path: write %0D"},
           {"http://h/\xc3\xa9", "write %C3"},
           {"http://h/#top", "a fragment, which is never sent"},
           {"http://h/{id}", "a field is written {{int 0 99999}}"},
           {"http://h/{{id}}", "offset 1: no field is named \"id\""},
       }) {
    const std::variant<Url, std::string> made = parse_url(text);
    ASSERT_EQ(made.index(), 1u) << text << " was taken";
    EXPECT_NE(std::get<std::string>(made).find(expected), std::string::npos)
        << std::get<std::string>(made);
  }
}

TEST(Scenario, OfAUrlIsOneGet) {
  const Scenario scenario =
      Scenario::of_url(std::get<Url>(parse_url("http://h:8080/x?y={{int 5 5}}")));
  EXPECT_EQ(written(scenario), "GET /x?y=5 HTTP/1.1\r\nHost: host:8080\r\n\r\n");
  EXPECT_EQ(scenario.weights(), std::vector<double>{1});
  EXPECT_EQ(scenario.routes()[0].name, "GET /x?y={{int 5 5}}");
  for (const int status : {200, 204, 302, 399})
    EXPECT_TRUE(scenario.succeeded(0, status)) << status;
  for (const int status : {0, 101, 199, 400, 404, 500}) {
    EXPECT_FALSE(scenario.succeeded(0, status)) << status;
  }
  // A target that parse_url() would not have made.
  EXPECT_EQ(written(Scenario::of_url({.host = "h", .target = "/{{x"})),
            "GET /{{x HTTP/1.1\r\nHost: host:8080\r\n\r\n");
}

TEST(Scenario, WritesHeadersAndLength) {
  const Scenario scenario = parsed(R"(
headers: {Accept: "*/*", X-Common: common}
routes:
  - {method: POST, path: /a, headers: {x-common: own, X-Id: "{{int 7 7}}"}, body: "hello {{int 10 10}}"}
  - {path: /b, headers: {X-B: b, host: other.example}}
  - {name: no body, method: POST, path: /c}
  - {name: put, method: PUT, path: /c}
  - {name: delete, method: DELETE, path: /c}
  - {name: empty body, method: PATCH, path: /c, body: ""}
)");
  EXPECT_EQ(written(scenario, 0),
            "POST /a HTTP/1.1\r\nHost: host:8080\r\nAccept: */*\r\nx-common: own\r\nX-Id: 7\r\n"
            "Content-Length: 8\r\n\r\nhello 10");
  EXPECT_EQ(written(scenario, 1),
            "GET /b HTTP/1.1\r\nhost: other.example\r\nAccept: */*\r\nX-Common: common\r\nX-B: "
            "b\r\n\r\n");
  const std::string head = " /c HTTP/1.1\r\nHost: host:8080\r\nAccept: */*\r\nX-Common: common\r\n";
  EXPECT_EQ(written(scenario, 2), "POST" + head + "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(written(scenario, 3), "PUT" + head + "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(written(scenario, 4), "DELETE" + head + "\r\n");
  EXPECT_EQ(written(scenario, 5), "PATCH" + head + "Content-Length: 0\r\n\r\n");
}

TEST(Scenario, TheSameArrivalWritesTheSameBytes) {
  const Scenario scenario = parsed(R"(
routes:
  - method: POST
    path: /{{hex 16}}
    headers: {X-Id: "{{hex 16}}"}
    body: "{{hex 16}} {{counter}}"
)");
  const std::string out = written(scenario, 0, 0, 1, 2, 3);
  EXPECT_EQ(out, written(scenario, 0, 0, 1, 2, 3));
  EXPECT_NE(out, written(scenario, 0, 0, 2, 2, 3));
  EXPECT_NE(out, written(scenario, 0, 0, 1, 3, 3));
  EXPECT_NE(out, written(scenario, 0, 0, 1, 2, 4));
  // Path, header and body have random numbers of their own.
  const auto digits_after = [&](std::string_view text) {
    return out.substr(out.find(text) + text.size(), 16);
  };
  const std::set<std::string> all{digits_after("POST /"), digits_after("X-Id: "),
                                  digits_after("\r\n\r\n")};
  EXPECT_EQ(all.size(), 3u) << out;
  // Appended: what the buffer held before stays.
  std::string twice = "before";
  scenario.write(twice, 0, 0, "host:8080", 1, 2, 3);
  EXPECT_EQ(twice, "before" + out);
}

TEST(Scenario, CountsBodiesOfAnyLength) {
  const Scenario scenario =
      parsed("routes: [{method: POST, path: /, body: \"{{choice |x|0123456789|" +
             std::string(1000, 'y') + "}}\"}]");
  std::set<std::size_t> lengths;
  for (std::uint64_t draw = 0; draw < 100; ++draw) {
    const std::string out = written(scenario, 0, 0, draw);
    const std::size_t body = out.find("\r\n\r\n") + 4;
    const std::size_t length = out.find("Content-Length: ") + 16;
    EXPECT_EQ(std::stoul(out.substr(length)), out.size() - body);
    lengths.insert(out.size() - body);
  }
  EXPECT_EQ(lengths, (std::set<std::size_t>{0, 1, 10, 1000}));
}

TEST(Scenario, ExpectsWhatItIsTold) {
  const Scenario scenario = parsed(R"(
routes:
  - {name: a, path: /, expect: [200, 201]}
  - {name: b, path: /, expect: 2xx}
  - {name: c, path: /, expect: [404, 500-502]}
)");
  const auto taken = [&](std::uint32_t route) {
    std::set<int> statuses;
    for (const int status : {199, 200, 201, 202, 299, 300, 404, 499, 500, 502, 503}) {
      if (scenario.succeeded(route, status)) statuses.insert(status);
    }
    return statuses;
  };
  EXPECT_EQ(taken(0), (std::set<int>{200, 201}));
  EXPECT_EQ(taken(1), (std::set<int>{200, 201, 202, 299}));
  EXPECT_EQ(taken(2), (std::set<int>{404, 500, 502}));
}

TEST(Scenario, SessionsShareWhatIsSame) {
  const Scenario scenario = parsed(R"(
routes:
  - name: s
    headers: {X-All: "1"}
    steps:
      - path: /{{same id hex 16}}/{{hex 16}}
      - path: /{{same id hex 16}}/{{hex 16}}
        headers: {X-Step: "2"}
        think: 100ms
      - method: PUT
        path: /{{same id hex 16}}/{{hex 16}}
        think: {mean: 1.5s, distribution: exponential}
)");
  const std::vector<Step>& steps = scenario.routes()[0].steps;
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0].think_mean_ns, 0);
  EXPECT_EQ(steps[1].think_mean_ns, 100'000'000);
  EXPECT_FALSE(steps[1].think_exponential);
  EXPECT_EQ(steps[2].think_mean_ns, 1'500'000'000);
  EXPECT_TRUE(steps[2].think_exponential);
  const std::string first = written(scenario, 0, 0, 9);
  const std::string second = written(scenario, 0, 1, 9);
  EXPECT_EQ(first.substr(0, 21), second.substr(0, 21));
  EXPECT_NE(first.substr(21, 17), second.substr(21, 17)) << "steps drew the same";
  EXPECT_NE(first.find("X-All: 1\r\n"), std::string::npos);
  EXPECT_NE(second.find("X-All: 1\r\nX-Step: 2\r\n"), std::string::npos);
  EXPECT_EQ(first.find("X-Step"), std::string::npos);
}

}  // namespace
}  // namespace tailrace::loadtest
