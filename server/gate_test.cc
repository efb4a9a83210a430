// The gate as a table: raw bytes in, a status or the accepted fields out; and the same for every
// way in which the bytes can be split over two reads, and byte by byte.
#include "server/gate.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tailrace::http {
namespace {

constexpr GateLimits kLimits{8 * 1024, 4 * 1024};
constexpr int kAccepted = 200;
constexpr int kIncomplete = 0;

struct Outcome {
  int status = kIncomplete;
  Head head;
  std::size_t head_bytes = 0;
};

// `ends`: how much is there at each call.
void run(const std::string& text, const std::vector<std::size_t>& ends, Outcome& outcome,
         const GateLimits& limits = kLimits) {
  Gate gate(outcome.head, limits);
  outcome.status = kIncomplete;
  for (const std::size_t end : ends) {
    switch (gate.parse(std::string_view(text.data(), end))) {
      case Gate::Result::kNeedMore:
        continue;
      case Gate::Result::kDone:
        outcome.status = kAccepted;
        outcome.head_bytes = gate.head_bytes();
        return;
      case Gate::Result::kRefused:
        outcome.status = gate.refusal().status;
        EXPECT_NE(std::string(gate.refusal().message), "");
        return;
    }
  }
}

int status_of(const std::string& text, const GateLimits& limits = kLimits) {
  Outcome outcome;
  run(text, {text.size()}, outcome, limits);
  return outcome.status;
}

// A head whose blank line never comes is not refused but waited for, and then it is late. Beast
// sees a bare LF at once or only looks for the blank line, depending on how the bytes came.
bool agrees(int status, int expected, const char* name) {
  return status == expected ||
         (status == kIncomplete && std::string_view(name).substr(0, 3) == "lf_");
}

struct Case {
  const char* name;
  std::string text;
  int status;
};

std::string get(const std::string& fields) { return "GET / HTTP/1.1\r\n" + fields + "\r\n"; }
std::string post(const std::string& fields) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}
std::string line(const std::string& request_line) { return request_line + "\r\nHost: a\r\n\r\n"; }

std::string many_fields(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "X-" + std::to_string(i) + ": 1\r\n";
  return text;
}

std::vector<Case> cases() {
  using namespace std::string_literals;
  return {
      {"plain", line("GET / HTTP/1.1"), 200},
      {"http10", "GET / HTTP/1.0\r\n\r\n", 200},
      {"http10_with_host", line("GET / HTTP/1.0"), 200},
      // Versions
      {"http12", line("GET / HTTP/1.2"), 505},
      {"http20", line("GET / HTTP/2.0"), 505},
      {"http09", line("GET / HTTP/0.9"), 505},
      {"lower_case_http", line("GET / http/1.1"), 400},
      {"no_version", "GET /\r\nHost: a\r\n\r\n", 400},
      {"version_word", line("GET / HTTP/1.1x"), 400},
      {"http_preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      // Methods
      {"lower_case_method", line("get / HTTP/1.1"), 400},
      {"mixed_method", line("Get / HTTP/1.1"), 400},
      {"unknown_method", line("BREW / HTTP/1.1"), 501},
      {"known_but_not_ours", line("PROPFIND / HTTP/1.1"), 501},
      {"trace", line("TRACE / HTTP/1.1"), 501},
      {"connect", line("CONNECT a:80 HTTP/1.1"), 501},
      {"odd_method", line("GE!T / HTTP/1.1"), 400},
      {"long_method", line(std::string(33, 'A') + " / HTTP/1.1"), 400},
      {"method_with_colon", line("GET: / HTTP/1.1"), 400},
      {"empty_method", line(" / HTTP/1.1"), 400},
      {"tls_hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"s, 400},
      // Targets
      {"query", line("GET /a?b=c&d HTTP/1.1"), 200},
      {"asterisk_options", line("OPTIONS * HTTP/1.1"), 200},
      {"asterisk_get", line("GET * HTTP/1.1"), 400},
      {"relative_target", line("GET a/b HTTP/1.1"), 400},
      {"authority_target", line("GET a:80 HTTP/1.1"), 400},
      {"absolute", line("GET http://b/x?y HTTP/1.1"), 200},
      {"absolute_https", line("GET https://b:443/ HTTP/1.1"), 200},
      {"absolute_upper", line("GET HTTP://b/ HTTP/1.1"), 200},
      {"absolute_without_path", line("GET http://b HTTP/1.1"), 200},
      {"absolute_query_only", line("GET http://b?x=1 HTTP/1.1"), 200},
      {"absolute_without_host", line("GET http:///x HTTP/1.1"), 400},
      {"absolute_userinfo", line("GET http://u@b/ HTTP/1.1"), 400},
      {"absolute_other_scheme", line("GET ftp://b/ HTTP/1.1"), 400},
      {"fragment", line("GET /a#b HTTP/1.1"), 400},
      {"high_byte", line("GET /\xc3\xa4 HTTP/1.1"), 400},
      {"tab_in_target", line("GET /a\tb HTTP/1.1"), 400},
      {"del_in_target", line("GET /a\x7f HTTP/1.1"), 400},
      {"nul_in_target", "GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n"s, 400},
      {"two_spaces", line("GET  / HTTP/1.1"), 400},
      {"space_in_target", line("GET /a b HTTP/1.1"), 400},
      {"space_at_end", line("GET / HTTP/1.1 "), 400},
      // Host
      {"no_host", get("Accept: */*\r\n"), 400},
      {"two_hosts", get("Host: a\r\nHost: a\r\n"), 400},
      {"two_hosts_http10", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"empty_host", get("Host:\r\n"), 400},
      {"blank_host", get("Host:  \r\n"), 400},
      {"host_list", get("Host: a, b\r\n"), 400},
      {"host_with_path", get("Host: a/b\r\n"), 400},
      {"host_with_user", get("Host: u@a\r\n"), 400},
      {"host_with_space", get("Host: a b\r\n"), 400},
      {"host_v6", get("Host: [::1]:80\r\n"), 200},
      {"host_upper", get("HOST: a\r\n"), 200},
      // Content-Length
      {"length", post("Content-Length: 5\r\n"), 200},
      {"length_zero", post("Content-Length: 0\r\n"), 200},
      {"length_zeros", post("Content-Length: 005\r\n"), 200},
      {"length_empty", post("Content-Length:\r\n"), 400},
      {"length_plus", post("Content-Length: +5\r\n"), 400},
      {"length_minus", post("Content-Length: -5\r\n"), 400},
      {"length_hex", post("Content-Length: 0x5\r\n"), 400},
      {"length_word", post("Content-Length: five\r\n"), 400},
      {"length_list", post("Content-Length: 5, 5\r\n"), 400},
      {"length_inner_space", post("Content-Length: 5 5\r\n"), 400},
      {"length_twice_same", post("Content-Length: 5\r\nContent-Length: 5\r\n"), 400},
      {"length_twice", post("Content-Length: 5\r\nContent-Length: 6\r\n"), 400},
      {"length_overflow", post("Content-Length: 18446744073709551617\r\n"), 400},
      {"length_underscore", post("Content_Length: 5\r\n"), 400},
      // Transfer-Encoding
      {"chunked", post("Transfer-Encoding: chunked\r\n"), 200},
      {"chunked_upper", post("Transfer-Encoding: CHUNKED\r\n"), 200},
      {"chunked_spaces", post("Transfer-Encoding: \t chunked \r\n"), 200},
      {"chunked_http10", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"xchunked", post("Transfer-Encoding: xchunked\r\n"), 400},
      {"chunkedx", post("Transfer-Encoding: chunkedx\r\n"), 400},
      {"gzip", post("Transfer-Encoding: gzip\r\n"), 400},
      {"gzip_chunked", post("Transfer-Encoding: gzip, chunked\r\n"), 400},
      {"chunked_gzip", post("Transfer-Encoding: chunked, gzip\r\n"), 400},
      {"chunked_chunked", post("Transfer-Encoding: chunked, chunked\r\n"), 400},
      {"identity", post("Transfer-Encoding: identity\r\n"), 400},
      {"empty_coding", post("Transfer-Encoding:\r\n"), 400},
      {"quoted_coding", post("Transfer-Encoding: \"chunked\"\r\n"), 400},
      {"coding_parameter", post("Transfer-Encoding: chunked;a=b\r\n"), 400},
      {"coding_twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
      {"coding_twice_other", post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"),
       400},
      {"coding_underscore", post("Transfer_Encoding: chunked\r\n"), 400},
      {"coding_space_before_colon", post("Transfer-Encoding : chunked\r\n"), 400},
      {"coding_vertical_tab",
       post("Transfer-Encoding: \x0b"
            "chunked\r\n"),
       400},
      {"coding_then_length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400},
      {"length_then_coding", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400},
      {"gzip_then_length", post("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n"), 400},
      // Fields
      {"fold", get("Host: a\r\nX: 1\r\n 2\r\n"), 400},
      {"fold_empty_first", get("Host: a\r\nX:\r\n 2\r\n"), 400},
      {"fold_empty_last", get("Host: a\r\nX: 1\r\n \r\n"), 400},
      {"fold_all_empty", get("Host: a\r\nX:\r\n \r\n"), 400},
      {"fold_tab", get("Host: a\r\nX: 1\r\n\t2\r\n"), 400},
      {"fold_coding", post("Transfer-Encoding:\r\n chunked\r\n"), 400},
      {"fold_first_field", "GET / HTTP/1.1\r\n X: 1\r\nHost: a\r\n\r\n", 400},
      {"empty_value", get("Host: a\r\nX:\r\n"), 200},
      {"no_space", get("Host:a\r\nX:1\r\n"), 200},
      {"utf8_value", get("Host: a\r\nX: \xc3\xa4\r\n"), 200},
      {"empty_name", get("Host: a\r\n: 1\r\n"), 400},
      {"no_colon", get("Host: a\r\nX\r\n"), 400},
      {"space_before_colon", get("Host: a\r\nX : 1\r\n"), 400},
      {"nul_in_value", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\0002\r\n\r\n"s, 400},
      {"cr_in_value", get("Host: a\r\nX: 1\r2\r\n"), 400},
      {"bell_in_value", get("Host: a\r\nX: \x07\r\n"), 400},
      {"lf_only", "GET / HTTP/1.1\nHost: a\n\n", 400},
      {"lf_in_fields", "GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", 400},
      {"lf_at_end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
      {"paren_in_name", get("Host: a\r\nX(: 1\r\n"), 400},
      {"high_byte_in_name", get("Host: a\r\nX\xc3: 1\r\n"), 400},
      {"underscore_name", get("Host: a\r\nX_Trace: 1\r\n"), 200},
      {"underscore_connection", get("Host: a\r\nkeep_alive: 1\r\n"), 400},
      {"63_fields_and_host", get("Host: a\r\n" + many_fields(63)), 200},
      {"64_fields_and_host", get("Host: a\r\n" + many_fields(64)), 431},
      // Expect
      {"expect", post("Content-Length: 1\r\nExpect: 100-continue\r\n"), 200},
      {"expect_upper", post("Content-Length: 1\r\nExpect: 100-CONTINUE\r\n"), 200},
      {"expect_other", post("Content-Length: 1\r\nExpect: 200-ok\r\n"), 417},
      // Sizes
      {"long_target", line("GET /" + std::string(4096, 'a') + " HTTP/1.1"), 414},
      {"longest_target", line("GET /" + std::string(4095, 'a') + " HTTP/1.1"), 200},
      {"endless_target", "GET /" + std::string(6000, 'a'), 414},
      {"endless_method", std::string(9000, 'A'), 414},
      {"long_field", get("Host: a\r\nX: " + std::string(8192, 'a') + "\r\n"), 431},
      {"endless_field", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(9000, 'a'), 431},
      {"incomplete", "GET / HTTP/1.1\r\nHost: a\r\n", kIncomplete},
  };
}

TEST(Gate, DecidesAsTheTableSays) {
  for (const Case& c : cases()) {
    EXPECT_TRUE(agrees(status_of(c.text), c.status, c.name)) << c.name << " " << status_of(c.text);
  }
}

TEST(Gate, DecidesTheSameHoweverTheBytesAreSplit) {
  Outcome outcome;
  for (const Case& c : cases()) {
    if (c.text.size() > 600) continue;
    for (std::size_t cut = 1; cut < c.text.size(); ++cut) {
      run(c.text, {cut, c.text.size()}, outcome);
      ASSERT_TRUE(agrees(outcome.status, c.status, c.name))
          << c.name << " cut at " << cut << " " << outcome.status;
    }
  }
}

TEST(Gate, DecidesTheSameByteByByte) {
  Outcome outcome;
  for (const Case& c : cases()) {
    std::vector<std::size_t> ends;
    for (std::size_t end = 1; end <= c.text.size(); ++end) ends.push_back(end);
    run(c.text, ends, outcome);
    EXPECT_TRUE(agrees(outcome.status, c.status, c.name)) << c.name << " " << outcome.status;
  }
}

TEST(Gate, KeepsWhatItHasSeen) {
  const std::string text =
      "PUT /a/b?c=d HTTP/1.1\r\nHost: example.org:80\r\nX-Empty:\r\nX-Request-ID: id-1\r\n"
      "Content-Type:  application/json \r\nContent-Length: 12\r\nConnection: close\r\n\r\nrest";
  for (std::size_t cut = 1; cut < text.size(); ++cut) {
    Outcome outcome;
    run(text, {cut, text.size()}, outcome);
    ASSERT_EQ(outcome.status, kAccepted);
    const Head& head = outcome.head;
    EXPECT_EQ(outcome.head_bytes, text.size() - 4);
    EXPECT_EQ(head.method, Method::kPut);
    EXPECT_EQ(head.view(head.target), "/a/b?c=d");
    EXPECT_EQ(head.view(head.path), "/a/b");
    EXPECT_EQ(head.view(head.query), "c=d");
    EXPECT_EQ(head.view(head.host), "example.org:80");
    EXPECT_EQ(head.field("x-empty"), "");
    EXPECT_EQ(head.field("CONTENT-type"), "application/json");
    EXPECT_EQ(head.field("missing"), "");
    EXPECT_EQ(head.field_at(head.request_id), "id-1");
    EXPECT_EQ(head.field_at(head.content_type), "application/json");
    EXPECT_EQ(head.content_length, 12u);
    EXPECT_FALSE(head.chunked);
    EXPECT_FALSE(head.keep_alive);
    EXPECT_EQ(head.fields, 6);
  }
}

TEST(Gate, TakesTheHostOfAnAbsoluteTarget) {
  struct {
    const char* target;
    const char* path;
    const char* query;
    const char* host;
  } const kCases[] = {{"http://b:81/x?y=1", "/x", "y=1", "b:81"},
                      {"https://b/", "/", "", "b"},
                      {"http://b", "/", "", "b"},
                      {"http://b?y", "/", "y", "b"}};
  for (const auto& c : kCases) {
    // Whatever Host says, before or after.
    Outcome outcome;
    const std::string text = std::string("GET ") + c.target + " HTTP/1.1\r\nHost: other\r\n\r\n";
    run(text, {text.size()}, outcome);
    ASSERT_EQ(outcome.status, kAccepted) << c.target;
    EXPECT_EQ(outcome.head.view(outcome.head.path), c.path);
    EXPECT_EQ(outcome.head.view(outcome.head.query), c.query);
    EXPECT_EQ(outcome.head.view(outcome.head.host), c.host);
  }
}

TEST(Gate, KnowsWhoKeepsTheConnection) {
  struct {
    std::string text;
    bool keep_alive;
  } const kCases[] = {
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", false},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", true},
      {"GET / HTTP/1.0\r\n\r\n", false},
      {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
  };
  for (const auto& c : kCases) {
    Outcome outcome;
    run(c.text, {c.text.size()}, outcome);
    ASSERT_EQ(outcome.status, kAccepted);
    EXPECT_EQ(outcome.head.keep_alive, c.keep_alive) << c.text;
  }
}

TEST(Gate, HoldsItsLimitsForDrippedHeads) {
  const GateLimits limits{512, 256};
  std::string text = "GET / HTTP/1.1\r\nHost: a\r\n";
  std::vector<std::size_t> ends;
  for (int i = 0; i < 40; ++i) {
    text += "X-" + std::to_string(i) + ": " + std::string(90, 'x') + "\r\n";
    ends.push_back(text.size());
  }
  text.reserve(text.size() + 1);
  Outcome outcome;
  run(text, ends, outcome, limits);
  EXPECT_EQ(outcome.status, 431);
}

}  // namespace
}  // namespace tailrace::http
