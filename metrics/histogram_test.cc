// The log-linear histogram against sorted values: error, merging, text.
#include "metrics/histogram.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace tailrace::metrics {
namespace {

template <typename T>
std::vector<std::uint64_t> fill(T& histogram, std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  std::lognormal_distribution<double> latency(13, 2);  // about 0.4 ms in the middle, a long tail
  std::vector<std::uint64_t> values;
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(static_cast<std::uint64_t>(latency(random)));
    histogram.record(values.back());
  }
  std::sort(values.begin(), values.end());
  return values;
}

TEST(Histogram, QuantilesAreWithinOnePercentAndNeverTooLow) {
  Histogram histogram;
  const std::vector<std::uint64_t> sorted = fill(histogram, 1, 100'000);
  for (const double percent : {0.001, 1.0, 25.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 99.999}) {
    const auto rank =
        static_cast<std::size_t>(std::ceil(percent * static_cast<double>(sorted.size()) / 100));
    const std::uint64_t exact = sorted[rank - 1];
    const std::uint64_t told = histogram.percentile(percent);
    EXPECT_GE(told, exact) << percent;
    EXPECT_LE(static_cast<double>(told), static_cast<double>(exact) * 1.01) << percent;
  }
  EXPECT_EQ(histogram.percentile(0), sorted.front());
  EXPECT_EQ(histogram.percentile(100), sorted.back());
  EXPECT_EQ(histogram.max(), sorted.back());
  EXPECT_EQ(histogram.min(), sorted.front());
}

template <typename T>
void check_layout() {
  EXPECT_EQ(T::lowest(0), 0u);
  for (std::size_t i = 0; i + 1 < T::kBuckets; ++i) {
    ASSERT_EQ(T::index_of(T::lowest(i)), i);
    ASSERT_EQ(T::index_of(T::highest(i)), i);
    ASSERT_EQ(T::highest(i) + 1, T::lowest(i + 1));
  }
  EXPECT_EQ(T::index_of(UINT64_MAX), T::kBuckets - 1);
  EXPECT_EQ(T::highest(T::kBuckets - 1), UINT64_MAX);
}

TEST(Histogram, BucketsTileEveryValue) {
  check_layout<Histogram>();
  check_layout<LogLinearHistogram<1, 64>>();
  check_layout<LogLinearHistogram<10, 40>>();
  check_layout<LogLinearHistogram<3, 4>>();
}

TEST(Histogram, NoBucketIsWiderThanItsShareOfTheValue) {
  for (std::size_t i = 1; i + 1 < Histogram::kBuckets; ++i) {
    const double width = static_cast<double>(Histogram::highest(i) - Histogram::lowest(i) + 1);
    ASSERT_TRUE(width == 1 || width <= static_cast<double>(Histogram::lowest(i)) / 128);
  }
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (std::uint64_t value = 0; value < 256; ++value) {
    histogram.record(value);
  }
  for (std::uint64_t rank = 1; rank <= 256; ++rank) {
    EXPECT_EQ(histogram.value_at_rank(rank), rank - 1);
  }
  EXPECT_EQ(histogram.count_at_or_below(99), 100u);
  EXPECT_EQ(histogram.sum(), 255u * 128u);
  EXPECT_DOUBLE_EQ(histogram.mean(), 127.5);
}

TEST(Histogram, MergeIsTheSameAsRecordingAll) {
  Histogram all;
  Histogram parts[3];
  for (std::uint64_t i = 0; i < 3; ++i) {
    fill(all, i, 5000);
    fill(parts[i], i, 5000);
  }
  parts[0].merge(parts[1]);
  parts[0].merge(parts[2]);
  parts[0].merge(Histogram());
  EXPECT_EQ(parts[0], all);
  EXPECT_EQ(all.count(), 15'000u);
}

TEST(Histogram, EmptyIsZeroEverywhere) {
  const Histogram empty;
  EXPECT_EQ(empty.count(), 0u);
  EXPECT_EQ(empty.percentile(99), 0u);
  EXPECT_EQ(empty.min(), 0u);
  EXPECT_EQ(empty.max(), 0u);
  EXPECT_EQ(empty.mean(), 0);
}

TEST(Histogram, RecordsOneValueManyTimes) {
  Histogram histogram;
  histogram.record(1'000'000, 999);
  histogram.record(5, 0);
  histogram.record(9'000'000);
  EXPECT_EQ(histogram.count(), 1000u);
  EXPECT_EQ(histogram.min(), 1'000'000u);
  EXPECT_LT(histogram.percentile(99.9), 1'010'000u);
  EXPECT_EQ(histogram.percentile(99.91), 9'000'000u);
}

TEST(Histogram, ValuesBeyondTheRangeAreCountedAndKeepTheirMaximum) {
  LogLinearHistogram<7, 20> histogram;
  histogram.record(5'000'000);
  histogram.record(10);
  EXPECT_EQ(histogram.count(), 2u);
  EXPECT_EQ(histogram.max(), 5'000'000u);
  EXPECT_EQ(histogram.percentile(100), 5'000'000u);
  EXPECT_EQ(histogram.percentile(75), 5'000'000u);
}

TEST(Histogram, IteratesWhatItCounted) {
  Histogram histogram;
  fill(histogram, 3, 1000);
  std::uint64_t seen = 0;
  std::uint64_t last = 0;
  histogram.for_each([&](std::uint64_t low, std::uint64_t high, std::uint64_t count) {
    EXPECT_LE(low, high);
    EXPECT_TRUE(seen == 0 || low > last);
    last = high;
    seen += count;
  });
  EXPECT_EQ(seen, 1000u);
}

TEST(Histogram, ComesBackFromItsText) {
  Histogram histogram;
  fill(histogram, 4, 2000);
  histogram.record(0);
  histogram.record(UINT64_MAX);
  const auto back = Histogram::parse(histogram.serialise());
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, histogram);
  const auto empty = Histogram::parse(Histogram().serialise());
  ASSERT_TRUE(empty.has_value());
  EXPECT_EQ(*empty, Histogram());
}

TEST(Histogram, RefusesTextThatItDidNotWrite) {
  Histogram histogram;
  histogram.record(3);
  histogram.record(300);
  const std::string text = histogram.serialise();
  ASSERT_TRUE(Histogram::parse(text).has_value());
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    const auto parsed = Histogram::parse(text.substr(0, cut));
    ASSERT_FALSE(parsed.has_value()) << text.substr(0, cut);
  }
  for (const char* wrong :
       {"", "ll1", "ll1 7 64 0 0 0 ", "ll1 8 64 303 3 300 3:1 213:1", "ll2 7 64 303 3 300 3:1",
        "ll1 7 64 303 3 300 3:1 0:1", "ll1 7 64 303 3 300 3:0", "ll1 7 64 303 3 300 9999999:1",
        "ll1 7 64 303 3 300 3:1 99:1", "ll1 7 64 303 3 300 3:1 -1:1", "ll1 7 64 1 1 1"}) {
    EXPECT_FALSE(Histogram::parse(wrong).has_value()) << wrong;
  }
  EXPECT_FALSE(Histogram::parse(text + " ").has_value());
  const bool other_layout = LogLinearHistogram<6, 64>::parse(text).has_value();
  EXPECT_FALSE(other_layout);
}

TEST(Histogram, CopiesAreIndependent) {
  Histogram a;
  a.record(7);
  Histogram b = a;
  b.record(8);
  EXPECT_EQ(a.count(), 1u);
  a = b;
  EXPECT_EQ(a, b);
  a.clear();
  EXPECT_EQ(a, Histogram());
  EXPECT_EQ(b.count(), 2u);
  Histogram moved = std::move(b);
  EXPECT_EQ(moved.count(), 2u);
}

}  // namespace
}  // namespace tailrace::metrics
