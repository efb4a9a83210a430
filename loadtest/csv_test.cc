#include "loadtest/csv.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "loadtest/test_results.h"

namespace tailrace::loadtest {
namespace {

// RFC 4180, as a reader has it.
std::vector<std::vector<std::string>> parse(const std::string& text) {
  std::vector<std::vector<std::string>> rows(1);
  std::string field;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') {
        field += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        field += text[++i];
      } else {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',') {
      rows.back().push_back(std::move(field));
      field.clear();
    } else if (c == '\r') {
      EXPECT_EQ(text[++i], '\n');
      rows.back().push_back(std::move(field));
      field.clear();
      rows.emplace_back();
    } else {
      EXPECT_NE(c, '\n');
      field += c;
    }
  }
  EXPECT_TRUE(rows.back().empty()) << "the last row ends too";
  rows.pop_back();
  return rows;
}

std::size_t column(const std::vector<std::string>& head, const std::string& name) {
  return static_cast<std::size_t>(std::find(head.begin(), head.end(), name) - head.begin());
}

TEST(Csv, ARowASecond) {
  const Result result = test_results::stalled();
  const auto rows = parse(write_csv(result));
  ASSERT_EQ(rows.size(), 61U);
  for (const auto& row : rows) ASSERT_EQ(row.size(), rows[0].size());
  const Second& second = result.measurements[0].seconds[35];
  EXPECT_EQ(rows[36][column(rows[0], "voided")], "steal 6 %");
  EXPECT_EQ(rows[36][column(rows[0], "second")], "35");
  EXPECT_EQ(rows[36][column(rows[0], "planned")], std::to_string(second.counts.planned));
  EXPECT_EQ(rows[36][column(rows[0], "lateness_p99_ns")],
            std::to_string(std::int64_t(second.lateness.latencies().percentile_ns(99))));
  EXPECT_EQ(rows[36][column(rows[0], "response_p99_99_ns")], "") << "too few requests";
  EXPECT_EQ(rows[36][column(rows[0], "rate_per_second")], "2000");
  EXPECT_NE(rows[36][column(rows[0], "gc_cycles")], "");
}

TEST(Csv, ARampHasTheRateOfEachStep) {
  const auto rows = parse(write_csv(test_results::step_ramp()));
  ASSERT_EQ(rows.size(), 61U);
  EXPECT_EQ(rows[1][0], "500");
  EXPECT_EQ(rows[60][0], "6000");
  EXPECT_EQ(rows[60][column(rows[0], "response_p99_ns")], "inf");
}

TEST(Csv, QuotesWhatNeedsIt) {
  EXPECT_EQ(csv_field("plain text"), "plain text");
  EXPECT_EQ(csv_field("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_field("say \"x\""), "\"say \"\"x\"\"\"");
  EXPECT_EQ(csv_field("=1+1"), "'=1+1");
  EXPECT_EQ(csv_field("two\nlines"), "\"two\nlines\"");
  const Result hostile = test_results::hostile();
  const auto rows = parse(write_csv(hostile));
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[2][2], hostile.measurements[0].seconds[1].voided);
}

TEST(Csv, EmptyResultHasOnlyAHead) {
  EXPECT_EQ(parse(write_csv(Result())).size(), 1U);
  EXPECT_EQ(parse(write_csv(test_results::empty())).size(), 1U);
}

}  // namespace
}  // namespace tailrace::loadtest
