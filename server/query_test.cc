// The query table: decoding, bounds.
#include "server/query.h"

#include <gtest/gtest.h>

#include <string>

namespace tailrace::http {
namespace {

std::string value(std::string_view text, std::string_view name) {
  Query query;
  query.set_text(text);
  switch (query.parse()) {
    case Query::Result::kBadEscape:
      return "(bad)";
    case Query::Result::kTooManyPairs:
      return "(many)";
    case Query::Result::kOk:
      break;
  }
  return std::string(query.find(name).value_or("(none)"));
}

TEST(Query, FindsValues) {
  EXPECT_EQ(value("a=1&b=2", "b"), "2");
  EXPECT_EQ(value("a=1&b=2", "c"), "(none)");
  EXPECT_EQ(value("a=1&a=2", "a"), "1");
  EXPECT_EQ(value("a", "a"), "");
  EXPECT_EQ(value("a=", "a"), "");
  EXPECT_EQ(value("a=b=c", "a"), "b=c");
  EXPECT_EQ(value("&&a=1&", "a"), "1");
  EXPECT_EQ(value("", "a"), "(none)");
  EXPECT_EQ(value("=1", ""), "1");
}

TEST(Query, Decodes) {
  EXPECT_EQ(value("a=x%20y+z&b=%41", "a"), "x y z");
  EXPECT_EQ(value("a=x%20y+z&b=%41", "b"), "A");
  EXPECT_EQ(value("%61=1%26b%3D2", "a"), "1&b=2");
  EXPECT_EQ(value("plain=1&x=%2B", "plain"), "1");
}

TEST(Query, RefusesBadEscapes) {
  for (const char* bad : {"a=%", "a=%4", "a=%g1", "a=%00", "%=1"}) {
    EXPECT_EQ(value(bad, "a"), "(bad)") << bad;
  }
}

TEST(Query, IsBounded) {
  std::string text;
  for (unsigned i = 0; i < kMaxQueryPairs; ++i) text += "p" + std::to_string(i) + "=1&";
  EXPECT_EQ(value(text, "p63"), "1");
  EXPECT_EQ(value(text + "more=1", "p63"), "(many)");
}

}  // namespace
}  // namespace tailrace::http
