// Whatever the pieces in which the bytes come, an answer is the same.
#include "loadtest/answer.h"

#include <gtest/gtest.h>

#include <string>

namespace tailrace::loadtest {
namespace {

struct Case {
  const char* name;
  std::string bytes;
  int status;
  bool keep_alive = true;
  bool head = false;
  bool ends_by_close = false;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200},
      {"empty body", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 503},
      {"chunked",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;name=value\r\nhello\r\n"
       "1\r\n!\r\n0\r\nTrailer: yes\r\n\r\n",
       200},
      {"no content", "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", 204},
      {"not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304},
      {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", 200, true, true},
      {"interim ones",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
       "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok",
       201},
      {"interim before HEAD",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", 200, true,
       true},
      {"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200, false},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, false},
      {"until it closes", "HTTP/1.1 200 OK\r\n\r\nas long as it likes", 200, false, false, true},
      {"switched", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", 101, false},
  };
  return all;
}

// Puts pieces cut at the given places; `after` bytes follow the answer in its last piece.
void expect_whole(Answer& answer, const Case& c, const std::vector<std::size_t>& cuts,
                  const std::string& after = "") {
  answer.begin(c.head);
  Answer::State state = Answer::State::kMore;
  std::size_t unused = 0;
  std::size_t from = 0;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    ASSERT_EQ(state, Answer::State::kMore) << c.name << ": whole too early";
    const bool last = i == cuts.size();
    const std::size_t to = last ? c.bytes.size() : cuts[i];
    state = answer.put(c.bytes.substr(from, to - from) + (last ? after : ""), unused);
    from = to;
  }
  if (c.ends_by_close) {
    ASSERT_EQ(state, Answer::State::kMore) << c.name;
    state = answer.put_eof();
  }
  ASSERT_EQ(state, Answer::State::kWhole) << c.name << ": " << answer.error();
  EXPECT_EQ(answer.status(), c.status) << c.name;
  EXPECT_EQ(answer.keep_alive(), c.keep_alive) << c.name;
  EXPECT_EQ(unused, c.ends_by_close ? 0 : after.size()) << c.name;
}

TEST(AnswerTest, IsTheSameHoweverItIsCut) {
  Answer answer;  // one for all: nothing is left over from the one before
  for (const Case& c : cases()) {
    expect_whole(answer, c, {});
    for (std::size_t at = 1; at < c.bytes.size(); ++at) expect_whole(answer, c, {at});
    std::vector<std::size_t> every;
    for (std::size_t at = 1; at < c.bytes.size(); ++at) every.push_back(at);
    expect_whole(answer, c, every);
  }
}

TEST(AnswerTest, TellsHowManyBytesComeAfterIt) {
  Answer answer;
  for (const Case& c : cases()) expect_whole(answer, c, {}, c.ends_by_close ? "" : "HTTP/1.1 2");
}

TEST(AnswerTest, ThatEndsEarlyIsBroken) {
  for (const Case& c : cases()) {
    for (std::size_t length = 0; length < c.bytes.size(); ++length) {
      const bool head_came = c.bytes.substr(0, length).find("\r\n\r\n") != std::string::npos;
      if (c.ends_by_close && head_came) continue;
      Answer answer;
      answer.begin(c.head);
      std::size_t unused = 0;
      ASSERT_EQ(answer.put(c.bytes.substr(0, length), unused), Answer::State::kMore);
      EXPECT_EQ(answer.put_eof(), Answer::State::kBroken) << c.name << " after " << length;
      EXPECT_NE(answer.error().find("closed"), std::string::npos);
    }
  }
}

TEST(AnswerTest, RefusesWhatIsNoHttp) {
  const std::string long_line(Answer::kHeadMost + 10, 'x');
  for (const std::string& bytes :
       {std::string("SSH-2.0-OpenSSH\r\n\r\n"), std::string("HTTP/2.0 200 OK\r\n\r\n"),
        std::string("HTTP/1.1 20 OK\r\n\r\n"), std::string("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
        "HTTP/1.1 200 OK\r\nServer: " + long_line + "\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + long_line + long_line}) {
    for (const std::size_t piece : {bytes.size(), std::size_t{1000}}) {
      Answer answer;
      answer.begin(false);
      Answer::State state = Answer::State::kMore;
      for (std::size_t at = 0; at < bytes.size() && state == Answer::State::kMore; at += piece) {
        std::size_t unused = 0;
        state = answer.put(bytes.substr(at, piece), unused);
      }
      EXPECT_EQ(state, Answer::State::kBroken) << bytes.substr(0, 60);
      EXPECT_FALSE(answer.error().empty());
    }
  }
}

TEST(AnswerTest, DoesNotKeepTheBody) {
  Answer answer;
  answer.begin(false);
  std::size_t unused = 0;
  const std::string piece(1 << 20, 'x');
  ASSERT_EQ(answer.put("HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n", unused),
            Answer::State::kMore);
  // A tebibyte would be read just so; 64 MiB of it are enough to see that it goes on.
  for (int i = 0; i < 64; ++i) ASSERT_EQ(answer.put(piece, unused), Answer::State::kMore);
}

}  // namespace
}  // namespace tailrace::loadtest
