// Timestamps: golden texts, offsets, what is refused, round trips.
#include "server/json/timestamp.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tailrace::json {
namespace {

std::string text_of(std::int64_t unix_ns) {
  char text[TextCodec<Timestamp>::kMaxBytes];
  return std::string(text, TextCodec<Timestamp>::format(Timestamp{unix_ns}, text));
}

TEST(Timestamp, Writes) {
  EXPECT_EQ(text_of(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(text_of(1709208000500000000), "2024-02-29T12:00:00.500Z");
  EXPECT_EQ(text_of(1709208000000500000), "2024-02-29T12:00:00.000500Z");
  EXPECT_EQ(text_of(-1), "1969-12-31T23:59:59.999999999Z");
  EXPECT_EQ(text_of(INT64_MAX), "2262-04-11T23:47:16.854775807Z");
  EXPECT_EQ(text_of(INT64_MIN), "1677-09-21T00:12:43.145224192Z");
}

TEST(Timestamp, Reads) {
  const struct {
    const char* text;
    std::int64_t unix_ns;
  } cases[] = {
      {"1970-01-01T00:00:00Z", 0},
      {"1970-01-01t00:00:00z", 0},
      {"1970-01-01T01:00:00+01:00", 0},
      {"1969-12-31T19:00:00-05:00", 0},
      {"2024-02-29T12:00:00.5Z", 1709208000500000000},
      {"1970-01-01T00:00:00.000000001Z", 1},
      {"2016-12-31T23:59:60Z", 1483228800000000000},
      {"1677-09-21T00:12:44Z", -9223372036000000000},
  };
  for (const auto& [text, unix_ns] : cases) {
    Timestamp value;
    EXPECT_TRUE(TextCodec<Timestamp>::parse(text, value)) << text;
    EXPECT_EQ(value.unix_ns, unix_ns) << text;
  }
}

TEST(Timestamp, Refuses) {
  for (const char* text : {"",
                           "1970-01-01",
                           "1970-01-01T00:00:00",
                           "1970-01-01 00:00:00Z",
                           "1970-13-01T00:00:00Z",
                           "1970-00-01T00:00:00Z",
                           "1970-01-32T00:00:00Z",
                           "2023-02-29T00:00:00Z",
                           "1970-01-01T24:00:00Z",
                           "1970-01-01T00:60:00Z",
                           "1970-01-01T00:00:61Z",
                           "1970-01-01T00:00:00.Z",
                           "1970-01-01T00:00:00.0000000001Z",
                           "1970-01-01T00:00:00+0100",
                           "1970-01-01T00:00:00+24:00",
                           "1970-01-01T00:00:00Zx",
                           "+970-01-01T00:00:00Z",
                           "2500-01-01T00:00:00Z",
                           "0001-01-01T00:00:00Z",
                           "1970-1-01T00:00:00Z",
                           "1970-01-01T00:00:00,5Z"}) {
    Timestamp value;
    EXPECT_FALSE(TextCodec<Timestamp>::parse(text, value)) << text;
  }
}

TEST(Timestamp, RoundTrips) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 20000; ++i) {
    auto unix_ns = static_cast<std::int64_t>(random());
    if (i % 3 == 0) unix_ns -= unix_ns % 1'000'000'000;
    const std::string text = text_of(unix_ns);
    Timestamp value;
    // The first and last second of the range cannot be formed by seconds first, nanoseconds second.
    if (!TextCodec<Timestamp>::parse(text, value)) {
      EXPECT_LT(unix_ns, INT64_MIN + 1'000'000'000) << text;
      continue;
    }
    EXPECT_EQ(value.unix_ns, unix_ns) << text;
  }
}

}  // namespace
}  // namespace tailrace::json
