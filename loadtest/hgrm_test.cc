#include "loadtest/hgrm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>
#include <vector>

#include "loadtest/test_results.h"

namespace tailrace::loadtest {
namespace {

struct Row {
  double value_ms = 0;
  double share = 0;
  std::uint64_t total = 0;
  double inverse = 0;
};
struct Read {
  std::vector<Row> rows;
  double mean = -1, deviation = -1, max = -1;
  unsigned long long total = 0;
};

// As plotters do: rows of numbers, comments with '#'.
Read read(const std::string& text) {
  Read read;
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  EXPECT_NE(line.find("Value     Percentile TotalCount 1/(1-Percentile)"), std::string::npos);
  while (std::getline(lines, line)) {
    if (line.empty()) continue;
    if (line[0] == '#') {
      std::sscanf(line.c_str(), "#[Mean = %lf, StdDeviation = %lf]", &read.mean, &read.deviation);
      std::sscanf(line.c_str(), "#[Max = %lf, Total count = %llu]", &read.max, &read.total);
      continue;
    }
    Row row;
    std::istringstream fields(line);
    fields >> row.value_ms >> row.share >> row.total;
    EXPECT_FALSE(fields.fail()) << line;
    fields >> row.inverse;
    read.rows.push_back(row);
  }
  return read;
}

TEST(Hgrm, ReadsBack) {
  const Latencies latencies = test_results::quiet().measurements[0].response();
  const Read back = read(write_hgrm(latencies, 10'000'000'000));
  ASSERT_GT(back.rows.size(), 30U);
  EXPECT_EQ(back.rows.front().share, 0);
  EXPECT_EQ(back.rows.back().share, 1);
  EXPECT_EQ(back.rows.back().total, latencies.count());
  EXPECT_EQ(back.total, latencies.count());
  EXPECT_NEAR(back.max, static_cast<double>(latencies.finite().max()) / 1e6, 0.001);
  EXPECT_NEAR(back.mean, latencies.finite().mean() / 1e6, 0.01 * back.mean);
  EXPECT_GT(back.deviation, 0);
  for (std::size_t i = 0; i + 1 < back.rows.size(); ++i) {
    const Row& row = back.rows[i];
    EXPECT_NEAR(row.value_ms, latencies.percentile_ns(row.share * 100) / 1e6, 1e-5 * row.value_ms);
    EXPECT_LE(row.value_ms, back.rows[i + 1].value_ms);
    EXPECT_LT(row.share, back.rows[i + 1].share);
    EXPECT_NEAR(row.inverse, 1 / (1 - row.share), 0.01 * row.inverse);
    EXPECT_GE(static_cast<double>(row.total),
              row.share * static_cast<double>(latencies.count()) - 1);
  }
}

TEST(Hgrm, InfiniteOnesHaveTheTimeout) {
  Latencies latencies;
  for (int i = 1; i <= 90; ++i) latencies.record(i * 1'000'000);
  latencies.record_infinite(10);
  const Read back = read(write_hgrm(latencies, 2'000'000'000));
  EXPECT_EQ(back.total, 100U);
  EXPECT_DOUBLE_EQ(back.max, 2000);
  EXPECT_DOUBLE_EQ(back.rows.back().value_ms, 2000);
  EXPECT_NEAR(back.mean, (45.5 * 90 + 2000.0 * 10) / 100, 2);
  for (const Row& row : back.rows) EXPECT_EQ(row.value_ms > 1999, row.share > 0.9) << row.share;
}

TEST(Hgrm, EmptyAndOne) {
  const Read nothing = read(write_hgrm(Latencies(), 1));
  EXPECT_TRUE(nothing.rows.empty());
  EXPECT_EQ(nothing.total, 0U);
  Latencies one;
  one.record(5'000'000);
  const Read back = read(write_hgrm(one, 1));
  ASSERT_FALSE(back.rows.empty());
  EXPECT_NEAR(back.rows.back().value_ms, 5, 0.001);
}

}  // namespace
}  // namespace tailrace::loadtest
