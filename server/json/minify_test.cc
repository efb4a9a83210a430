// minify: spelling kept, white space gone, depth and size bounds, offsets of errors.
#include "server/json/minify.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

#include "gcruntime/fiber/scheduler.h"
#include "server/json/test_values.h"

namespace tailrace::json {
namespace {

using testing::Padded;

std::string minified(std::string_view text) {
  http::Buffer out;
  const Padded padded(text);
  const std::optional<Error> error = minify(padded, out);
  EXPECT_FALSE(error) << error->text();
  return std::string(out.view());
}

TEST(Minify, KeepsOrderDuplicatesAndSpelling) {
  EXPECT_EQ(
      minified(" { \"b\" : 1.50e+01 , \"a\" : -0.0 , \"b\" : \"\\u0041\\/\" , \"z\" : [ ] } "),
      R"({"b":1.50e+01,"a":-0.0,"b":"\u0041\/","z":[]})");
  EXPECT_EQ(minified("[ 12345678901234567890123 , 1E400 , \" kept  inside \" ]"),
            R"([12345678901234567890123,1E400," kept  inside "])");
}

TEST(Minify, AppendsBehindWhatIsThere) {
  http::Buffer out;
  ASSERT_TRUE(out.append("before "));
  EXPECT_FALSE(minify(Padded("[ 1 ]"), out));
  EXPECT_EQ(out.view(), "before [1]");
  EXPECT_TRUE(minify(Padded("[ 1 "), out));
  EXPECT_EQ(out.view(), "before [1]");
}

std::string nested(std::size_t depth, const std::string& open, const std::string& close,
                   const std::string& inside) {
  std::string text;
  for (std::size_t i = 0; i < depth; ++i) text += open;
  text += inside;
  for (std::size_t i = 0; i < depth; ++i) text += close;
  return text;
}

// On a fiber: its stack is what the depth has to fit.
TEST(Minify, Allows1024LevelsAndNoMore) {
  fiber::Scheduler scheduler(fiber::SchedulerOptions{});
  scheduler.start();
  scheduler.run([] {
    const std::array<std::string, 3> kinds[] = {
        {"[", "]", ""}, {"{\"a\":", "}", "1"}, {"[ ", " ]", "true"}};
    for (const auto& [open, close, inside] : kinds) {
      http::Buffer out;
      const std::string deepest = nested(1024, open, close, inside);
      EXPECT_FALSE(minify(Padded(deepest), out));
      const std::string too_deep = nested(1025, open, close, inside);
      const std::optional<Error> error = minify(Padded(too_deep), out);
      ASSERT_TRUE(error);
      EXPECT_EQ(error->status, 400);
      EXPECT_EQ(error->offset, 1024 * open.size());
      EXPECT_EQ(error->message, "nested too deeply");
    }
    http::Buffer out;
    const std::optional<Error> error = minify(Padded(std::string(100000, '[')), out);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->offset, 1024u);
  });
  scheduler.stop();
}

TEST(Minify, MixedNestingKeepsItsKinds) {
  std::string open;
  std::string close;
  std::mt19937 random(3);
  for (int i = 0; i < 1000; ++i) {
    const bool object = random() % 2 == 0;
    open += object ? "{\"k\":" : "[";
    close.insert(0, object ? "}" : "]");
  }
  EXPECT_EQ(minified(open + "0" + close), open + "0" + close);
  // One closing bracket of the wrong kind, somewhere.
  for (std::size_t i = 0; i < close.size(); i += 37) {
    std::string wrong = close;
    wrong[i] = wrong[i] == '}' ? ']' : '}';
    http::Buffer out;
    const std::optional<Error> error = minify(Padded(open + "0" + wrong), out);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->offset, open.size() + 1 + i);
  }
}

TEST(Minify, NamesTheOffset) {
  const struct {
    std::string text;
    std::size_t offset;
    std::string message;
  } cases[] = {
      {"", 0, "the document is empty"},
      {"  ", 2, "the document is empty"},
      {"\xEF\xBB\xBF{}", 0, "the text begins with a byte order mark: send UTF-8 without one"},
      {"[1, 2,, 3]", 6, "expected a value, found a comma"},
      {"[1, tru]", 4, "expected a value, found something that is not JSON"},
      {"[1, 01]", 4, "malformed number"},
      {"{\"a\" 1}", 5, "expected a colon, found a number"},
      {"{\"a\":1 ]", 7, "expected a comma or a closing brace, found a closing bracket"},
      {"[1", 2, "expected a comma or a closing bracket, found the end of the text"},
      {"[1] [", 4, "text follows the document"},
      {"[\"ab\xFF\"]", 4, "the text is not UTF-8"},
      {"[\"ok\", \"a\nb\"]", 9, "control character in a string: write it as \\u00XX"},
      {"[\"ok\", \"abc]", 7, "unclosed string"},
      {"[\"ok\\n\", \"ab\\x\"]", 12, "malformed escape in a string (or half of a surrogate pair)"},
      {"{\"a\":1,}", 7, "expected a member name, found a closing brace"},
  };
  for (const auto& [text, offset, message] : cases) {
    http::Buffer out;
    const std::optional<Error> error = minify(Padded(text), out);
    ASSERT_TRUE(error) << text;
    EXPECT_EQ(error->offset, offset) << text;
    EXPECT_EQ(error->message, message) << text;
    EXPECT_EQ(error->path, "") << text;
  }
}

TEST(Minify, BoundsTheSize) {
  http::Buffer out;
  const std::optional<Error> error = minify(Padded("[1,2,3]"), out, Limits{.max_bytes = 6});
  ASSERT_TRUE(error);
  EXPECT_EQ(error->status, 413);
  EXPECT_FALSE(minify(Padded("[1,2,3]"), out, Limits{.max_bytes = 7}));
}

// White space anywhere between tokens makes no difference; texts of every alignment to the 64-byte
// blocks of the first stage.
TEST(Minify, UndoesRandomWhiteSpace) {
  std::mt19937 random(11);
  const std::string tokens[] = {"{",      "\"a\"", ":", "[",     "1", ",",    "\"x y\\\"\"",
                                ",",      "{",     "}", ",",     "[", "]",    ",",
                                "-2.5e3", "]",     ",", "\"b\"", ":", "null", "}"};
  std::string expected;
  for (const std::string& token : tokens) expected += token;
  for (int i = 0; i < 500; ++i) {
    std::string text;
    for (const std::string& token : tokens) {
      for (unsigned n = random() % 4 * (random() % 9); n > 0; --n) text += " \t\r\n"[random() % 4];
      text += token;
    }
    EXPECT_EQ(minified(text), expected);
  }
}

TEST(Minify, ALargeDocumentLeavesNoLargeParserBehind) {
  std::string text = "[";
  for (int i = 0; i < 400000; ++i) text += "12345, ";
  text += "0]";
  http::Buffer out;
  ASSERT_FALSE(minify(Padded(text), out));
  EXPECT_EQ(out.size(), 1 + 400000 * 6 + 2u);
}

}  // namespace
}  // namespace tailrace::json
