// The chunked decoder: same outcome however the bytes are split; every bound; in place.
#include "server/chunked.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/limits.h"

namespace tailrace::http {
namespace {

using Result = ChunkedDecoder::Result;

struct Outcome {
  Result result = Result::kNeedMore;
  std::string body;
  std::size_t taken = 0;
};

// Feeds the pieces that end at `ends`, in place as a session does.
Outcome decode(std::string text, const std::vector<std::size_t>& ends, std::uint64_t limit = 1000) {
  ChunkedDecoder decoder(limit);
  Outcome outcome;
  char* to = text.data();
  const char* from = text.data();
  for (const std::size_t end : ends) {
    outcome.result = decoder.decode(to, from, text.data() + end);
    if (outcome.result != Result::kNeedMore) break;
  }
  outcome.body.assign(text.data(), static_cast<std::size_t>(to - text.data()));
  outcome.taken = static_cast<std::size_t>(from - text.data());
  return outcome;
}

struct Case {
  std::string text;
  Result result;
  std::string body;
};

std::vector<Case> cases() {
  using namespace std::string_literals;
  return {
      {"0\r\n\r\n", Result::kDone, ""},
      {"5\r\nhello\r\n0\r\n\r\n", Result::kDone, "hello"},
      {"5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n", Result::kDone, "hello world"},
      {"A\r\n0123456789\r\n000\r\n\r\n", Result::kDone, "0123456789"},
      {"a;name=value;q=\"s;x\"\r\n0123456789\r\n0;last\r\n\r\n", Result::kDone, "0123456789"},
      {"1\r\nx\r\n0\r\nTrailer: t\r\nOther: u\r\n\r\n", Result::kDone, "x"},
      {"0\r\nContent-Length: 5\r\n\r\n", Result::kDone, ""},
      {"5\r\nhel", Result::kNeedMore, "hel"},
      {"", Result::kNeedMore, ""},
      {"x\r\n", Result::kMalformed, ""},
      {"\r\n", Result::kMalformed, ""},
      {" 5\r\nhello\r\n0\r\n\r\n", Result::kMalformed, ""},
      {"0x5\r\nhello\r\n", Result::kMalformed, ""},
      {"+5\r\nhello\r\n", Result::kMalformed, ""},
      {"-1\r\nhello\r\n", Result::kMalformed, ""},
      {"5 \r\nhello\r\n", Result::kMalformed, ""},
      {"5\nhello\n0\n\n", Result::kMalformed, ""},
      {"5\r\nhelloX\r\n", Result::kMalformed, "hello"},
      {"5\r\nhello\n0\r\n\r\n", Result::kMalformed, "hello"},
      {"5\r\nhello\r\r\n0\r\n\r\n", Result::kMalformed, "hello"},
      {"5;a\nb\r\nhello\r\n", Result::kMalformed, ""},
      {"5;a\0b\r\nhello\r\n"s, Result::kMalformed, ""},
      {"0\r\nbad\nX: 1\r\n\r\n", Result::kMalformed, ""},
      {"0\r\n folded\r\n\r\n", Result::kMalformed, ""},
      {"0\r\n\rX", Result::kMalformed, ""},
      {"ffffffffffffffff\r\n", Result::kMalformed, ""},
      {"10000000000000000\r\n", Result::kMalformed, ""},
      {"fffffffffffffff\r\n", Result::kTooLarge, ""},
      {"3e9\r\n", Result::kTooLarge, ""},  // 1001
      {"5;" + std::string(kMaxChunkLineBytes + 1, 'x') + "\r\n", Result::kMalformed, ""},
      {std::string(kMaxChunkLineBytes + 1, '0') + "\r\n", Result::kMalformed, ""},
      {"0\r\nX: " + std::string(kMaxTrailerBytes, 'x') + "\r\n\r\n", Result::kMalformed, ""},
  };
}

TEST(ChunkedDecoder, DecidesAsTheTableSays) {
  for (const Case& c : cases()) {
    const Outcome outcome = decode(c.text, {c.text.size()});
    EXPECT_EQ(outcome.result, c.result) << c.text;
    EXPECT_EQ(outcome.body, c.body) << c.text;
  }
}

TEST(ChunkedDecoder, DecidesTheSameHoweverTheBytesAreSplit) {
  for (const Case& c : cases()) {
    if (c.text.size() > 200) continue;
    std::vector<std::size_t> each;
    for (std::size_t cut = 0; cut <= c.text.size(); ++cut) {
      each.push_back(cut);
      const Outcome outcome = decode(c.text, {cut, c.text.size()});
      EXPECT_EQ(outcome.result, c.result) << c.text << " cut at " << cut;
      EXPECT_EQ(outcome.body, c.body) << c.text << " cut at " << cut;
    }
    const Outcome outcome = decode(c.text, each);
    EXPECT_EQ(outcome.result, c.result) << c.text;
    EXPECT_EQ(outcome.body, c.body) << c.text;
  }
}

TEST(ChunkedDecoder, LeavesTheNextMessage) {
  const std::string body = "3\r\nabc\r\n0\r\n\r\n";
  const Outcome outcome = decode(body + "GET / HTTP/1.1\r\n", {body.size() + 16});
  EXPECT_EQ(outcome.result, Result::kDone);
  EXPECT_EQ(outcome.taken, body.size());
}

TEST(ChunkedDecoder, CountsAllChunksAgainstTheLimit) {
  std::string text;
  for (int i = 0; i < 11; ++i) text += "64\r\n" + std::string(100, 'x') + "\r\n";
  EXPECT_EQ(decode(text, {text.size()}, 1000).result, Result::kTooLarge);
  EXPECT_EQ(decode(text, {text.size()}, 1100).result, Result::kNeedMore);
}

}  // namespace
}  // namespace tailrace::http
