#include "loadtest/axis.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tailrace::loadtest {
namespace {

using Kind = Axis::Kind;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

std::string labels(const Axis& axis, std::size_t most) {
  std::string text;
  for (const Tick& tick : ticks_of(axis, most)) text += (text.empty() ? "" : "|") + tick.label;
  return text;
}

TEST(Axis, Positions) {
  const Axis linear{Kind::kNumber, 0, 200, ""};
  EXPECT_DOUBLE_EQ(linear.position(50), 0.25);
  EXPECT_DOUBLE_EQ(linear.position(-5), 0);
  EXPECT_DOUBLE_EQ(linear.position(kInfinity), 1);
  const Axis logarithmic{Kind::kLatency, 1e3, 1e9, ""};
  EXPECT_DOUBLE_EQ(logarithmic.position(1e6), 0.5);
  EXPECT_DOUBLE_EQ(logarithmic.position(0), 0);
  EXPECT_DOUBLE_EQ(logarithmic.position(kNone), 0);
  EXPECT_DOUBLE_EQ((Axis{Kind::kNumber, 0, 0, ""}).position(3), 0);
}

TEST(Axis, LinearTicks) {
  EXPECT_EQ(labels({Kind::kNumber, 0, 100, ""}, 6), "0|20|40|60|80|100");
  EXPECT_EQ(labels({Kind::kNumber, 0, 6300, ""}, 8), "0|1,000|2,000|3,000|4,000|5,000|6,000");
  EXPECT_EQ(labels({Kind::kNumber, 0, 42'000, ""}, 6), "0|10k|20k|30k|40k");
  EXPECT_EQ(labels({Kind::kNumber, 0, 0.5, ""}, 6), "0|0.1|0.2|0.3|0.4|0.5");
  EXPECT_EQ(labels({Kind::kNumber, 0, 2.4e6, ""}, 4), "0|1M|2M");
}

TEST(Axis, SecondsHaveTheUnitOfTheirStep) {
  EXPECT_EQ(labels({Kind::kSeconds, 0, 60, ""}, 7), "0 s|10 s|20 s|30 s|40 s|50 s|60 s");
  EXPECT_EQ(labels({Kind::kSeconds, 0, 600, ""}, 6), "0 min|2 min|4 min|6 min|8 min|10 min");
  EXPECT_EQ(labels({Kind::kSeconds, 0, 7200, ""}, 3), "0 h|1 h|2 h");
  EXPECT_EQ(labels({Kind::kSeconds, 0, 1, ""}, 11), "0 s|1 s");
}

TEST(Axis, BytesCountInTheirUnit) {
  EXPECT_EQ(labels({Kind::kBytes, 0, 25'000, ""}, 4), "0 KiB|10 KiB|20 KiB");
  EXPECT_EQ(labels({Kind::kBytes, 0, 900, ""}, 3), "0 B|500 B");
}

TEST(Axis, LatencyTicksChangeTheirUnit) {
  EXPECT_EQ(labels({Kind::kLatency, 2e5, 2e7, ""}, 8),
            "200 \xc2\xb5s|500 \xc2\xb5s|1 ms|2 ms|5 ms|10 ms|20 ms");
  EXPECT_EQ(labels({Kind::kLatency, 1e3, 1e10, ""}, 8),
            "1 \xc2\xb5s|10 \xc2\xb5s|100 \xc2\xb5s|1 ms|10 ms|100 ms|1 s|10 s");
  EXPECT_LE(ticks_of({Kind::kLatency, 1, 1e12, ""}, 5).size(), 5U);
}

TEST(Axis, SpectrumTicksAreNines) {
  EXPECT_EQ(labels({Kind::kSpectrum, 1, 120'000, ""}, 12),
            "0 %|50 %|90 %|99 %|99.9 %|99.99 %|99.999 %");
  EXPECT_EQ(labels({Kind::kSpectrum, 1, 120'000, ""}, 3), "0 %|99.99 %|99.999 %");
}

TEST(Axis, NeverMoreTicksThanFitAndAlwaysInOrder) {
  for (const Kind kind :
       {Kind::kSeconds, Kind::kNumber, Kind::kBytes, Kind::kLatency, Kind::kSpectrum}) {
    for (double high = 1.5; high < 1e13; high *= 1.37) {
      const bool logarithmic = kind == Kind::kLatency || kind == Kind::kSpectrum;
      const Axis axis{kind, logarithmic ? 1.0 : 0.0, high, ""};
      for (const std::size_t most : {2, 5, 11}) {
        const std::vector<Tick> ticks = ticks_of(axis, most);
        ASSERT_LE(ticks.size(), most) << high;
        ASSERT_FALSE(ticks.empty()) << high;
        for (std::size_t i = 0; i < ticks.size(); ++i) {
          ASSERT_FALSE(ticks[i].label.starts_with("-")) << ticks[i].label;
          ASSERT_LE(ticks[i].value, axis.high * (1 + 1e-6));
          if (i > 0) {
            ASSERT_GT(ticks[i].value, ticks[i - 1].value);
          }
        }
      }
    }
  }
}

TEST(Axis, RangesHoldTheirValues) {
  const Axis latency = latency_axis({3e5, kInfinity, kNone, 0, 7e6}, "");
  EXPECT_DOUBLE_EQ(latency.low, 2e5);
  EXPECT_DOUBLE_EQ(latency.high, 1e7);
  const Axis narrow = latency_axis({1.1e6, 1.2e6}, "");
  EXPECT_GE(narrow.high, 10 * narrow.low);
  EXPECT_LE(narrow.low, 1.1e6);
  const Axis nothing = latency_axis({kInfinity}, "");
  EXPECT_GT(nothing.high, nothing.low);
  EXPECT_GT(from_zero_axis(Kind::kNumber, {}, "").high, 0);
  EXPECT_GE(from_zero_axis(Kind::kNumber, {3, kInfinity, kNone}, "").high, 3);
  EXPECT_LT(from_zero_axis(Kind::kNumber, {3, kInfinity, kNone}, "").high, 4);
}

}  // namespace
}  // namespace tailrace::loadtest
