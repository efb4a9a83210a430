// Numbers, there and back: what is written reads as the same value, and what is read is what the C
// library reads.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>

#include "server/json/number_format.h"
#include "server/json/scan_number.h"

namespace tailrace::json {
namespace {

std::string text_of(double value) {
  char text[kMaxDoubleBytes];
  return std::string(text, write_double(text, value));
}
std::string text_of(float value) {
  char text[kMaxDoubleBytes];
  return std::string(text, write_float(text, value));
}

double read(const std::string& text) {
  const internal::ScannedNumber number =
      internal::scan_number(text.data(), text.data() + text.size());
  EXPECT_EQ(number.end, text.data() + text.size()) << text;
  return internal::to_double(number, text.data());
}

void expect_round_trip(double value) {
  const std::string text = text_of(value);
  ASSERT_LE(text.size(), kMaxDoubleBytes);
  ASSERT_EQ(std::bit_cast<std::uint64_t>(std::strtod(text.c_str(), nullptr)),
            std::bit_cast<std::uint64_t>(value))
      << text;
  ASSERT_EQ(std::bit_cast<std::uint64_t>(read(text)), std::bit_cast<std::uint64_t>(value)) << text;
}

TEST(WriteNumber, IntegersAroundEveryPowerOfTen) {
  char text[kMaxIntegerBytes];
  std::uint64_t power = 1;
  for (int i = 0; i < 20; ++i, power *= 10) {
    for (std::uint64_t value : {power - 1, power, power + 1, power * 9, power * 2 - 1}) {
      EXPECT_EQ(std::string(text, write_uint64(text, value)), std::to_string(value));
      const auto number = static_cast<std::int64_t>(value);
      EXPECT_EQ(std::string(text, write_int64(text, number)), std::to_string(number));
    }
  }
  for (const std::int64_t value : {std::numeric_limits<std::int64_t>::min(),
                                   std::numeric_limits<std::int64_t>::max(), std::int64_t{0}}) {
    EXPECT_EQ(std::string(text, write_int64(text, value)), std::to_string(value));
  }
  EXPECT_EQ(std::string(text, write_uint64(text, UINT64_MAX)), std::to_string(UINT64_MAX));
}

TEST(WriteNumber, DoublesLookAsPeopleWriteThem) {
  EXPECT_EQ(text_of(0.0), "0");
  EXPECT_EQ(text_of(-0.0), "-0");
  EXPECT_EQ(text_of(1.0), "1");
  EXPECT_EQ(text_of(8.75), "8.75");
  EXPECT_EQ(text_of(-8.75), "-8.75");
  EXPECT_EQ(text_of(0.0001), "0.0001");
  EXPECT_EQ(text_of(0.1), "0.1");
  EXPECT_EQ(text_of(0.3), "0.3");
  EXPECT_EQ(text_of(123456.05), "123456.05");
  EXPECT_EQ(text_of(1700000000.0), "1700000000");
  EXPECT_EQ(text_of(999999999999999.0), "999999999999999");
  EXPECT_EQ(text_of(1e15), "1e+15");
  EXPECT_EQ(text_of(0.00001), "1e-05");
  EXPECT_EQ(text_of(1.0 / 3), "0.3333333333333333");
  EXPECT_EQ(text_of(0.1F), "0.1");
  EXPECT_EQ(text_of(16777216.0F), "16777216");
  EXPECT_EQ(text_of(-3.0F), "-3");
}

TEST(WriteNumber, RandomBitPatternsRoundTrip) {
  std::mt19937_64 random(42);
  for (int i = 0; i < 100000; ++i) {
    const auto value = std::bit_cast<double>(random());
    if (std::isfinite(value)) expect_round_trip(value);
  }
}

TEST(WriteNumber, DecimalGridRoundTrips) {
  for (int i = -200000; i <= 200000; i += 7) {
    for (const double scale : {1.0, 10.0, 100.0, 1000.0, 1e4, 1e5, 1e6})
      expect_round_trip(i / scale);
  }
  // Around the ends of the fast paths.
  std::mt19937_64 random(43);
  for (int i = 0; i < 50000; ++i) {
    const double value =
        std::ldexp(static_cast<double>(random() >> 11), static_cast<int>(i % 60) - 55);
    expect_round_trip(value);
    expect_round_trip(
        std::nextafter(static_cast<double>(random() % 10'000'000'000'000) / 1e4, 0.0));
  }
  for (const double value :
       {1e9, 1e15, 1e22, 1e23, 9007199254740992.0, 9007199254740994.0, 5e-324,
        2.2250738585072014e-308, 2.2250738585072011e-308, std::numeric_limits<double>::max()}) {
    expect_round_trip(value);
    expect_round_trip(-value);
    expect_round_trip(std::nextafter(value, 0.0));
  }
}

TEST(WriteNumber, FloatsRoundTrip) {
  std::mt19937 random(44);
  for (int i = 0; i < 100000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (!std::isfinite(value)) continue;
    const std::string text = text_of(value);
    const internal::ScannedNumber number =
        internal::scan_number(text.data(), text.data() + text.size());
    ASSERT_EQ(number.end, text.data() + text.size());
    ASSERT_EQ(std::bit_cast<std::uint32_t>(internal::to_float(number, text.data())),
              std::bit_cast<std::uint32_t>(value));
  }
}

TEST(ReadNumber, AgreesWithTheCLibrary) {
  std::mt19937_64 random(45);
  for (int i = 0; i < 100000; ++i) {
    std::string text = random() % 2 == 0 ? "-" : "";
    text += std::to_string(random() % 3 == 0 ? random() % 10 : random() >> (random() % 64));
    if (random() % 2 == 0) {
      text += '.';
      for (unsigned n = 1 + random() % 20; n > 0; --n)
        text += static_cast<char>('0' + random() % 10);
    }
    if (random() % 2 == 0) text += "e" + std::to_string(static_cast<int>(random() % 660) - 330);
    ASSERT_EQ(std::bit_cast<std::uint64_t>(read(text)),
              std::bit_cast<std::uint64_t>(std::strtod(text.c_str(), nullptr)))
        << text;
  }
}

TEST(ReadNumber, TooLargeIsInfiniteTooSmallIsZero) {
  for (const char* text :
       {"1e309", "1e400", "1e99999999999999999999", "123456789012345678901234567890e300",
        "0.00001e400", "17976931348623159e292"}) {
    EXPECT_EQ(read(text), std::numeric_limits<double>::infinity()) << text;
    EXPECT_EQ(read("-" + std::string(text)), -std::numeric_limits<double>::infinity()) << text;
  }
  for (const char* text : {"1e-400", "1e-99999999999999999999", "0e99999999999999999999", "0.0e-5",
                           "100000e-400", "0.000000e309", "2e-324"}) {
    EXPECT_EQ(read(text), 0.0) << text;
    EXPECT_TRUE(std::signbit(read("-" + std::string(text)))) << text;
  }
  const std::string many = "0." + std::string(1000, '0') + "1e1001";
  EXPECT_EQ(read(many), 1.0);
  const std::string digits(400, '9');
  EXPECT_EQ(read(digits), std::numeric_limits<double>::infinity());
  EXPECT_EQ(read(digits + "e-400"), 1.0);
}

TEST(ReadNumber, StopsAtTheLimit) {
  const std::string text = "12345";
  const internal::ScannedNumber number = internal::scan_number(text.data(), text.data() + 3);
  EXPECT_EQ(number.digits, 123u);
  EXPECT_EQ(number.end, text.data() + 3);
}

TEST(ReadNumber, KnowsWhatFitsSixtyFourBits) {
  const struct {
    std::string text;
    bool exact;
    std::uint64_t digits;
  } cases[] = {
      {"0", true, 0},
      {"9999999999999999999", true, 9999999999999999999u},
      {"10000000000000000000", true, 10000000000000000000u},
      {"18446744073709551615", true, 18446744073709551615u},
      {"18446744073709551616", false, 0},
      {"19999999999999999999", false, 0},
      {"20000000000000000000", false, 0},
      {"99999999999999999999", false, 0},
      {"100000000000000000000", false, 0},
      {"184467440737095516150", false, 0},
  };
  for (const auto& [text, exact, digits] : cases) {
    const internal::ScannedNumber number =
        internal::scan_number(text.data(), text.data() + text.size());
    EXPECT_EQ(number.exact, exact) << text;
    if (exact) {
      EXPECT_EQ(number.digits, digits) << text;
    }
  }
}

}  // namespace
}  // namespace tailrace::json
