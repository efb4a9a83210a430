// Scanning digits, and Clinger's fast path to doubles; what it does not cover goes to std::from_chars.
#include "server/json/scan_number.h"

#include <charconv>
#include <limits>
#include <system_error>

namespace tailrace::json::internal {
namespace {

constexpr double kPowersOfTen[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
// Far beyond every double, far from overflowing the sum of two.
constexpr std::int64_t kMaxExponent = 1'000'000'000;

bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

template <typename Float>
Float parse(const ScannedNumber& number, const char* at) {
  Float value = 0;
  const std::from_chars_result result = std::from_chars(at, number.end, value);
  if (result.ec == std::errc::result_out_of_range) {
    // Too large or too small, which from_chars does not tell: the place of the first digit that counts
    // does.
    std::int64_t magnitude = number.exponent;
    bool counts = false;
    for (const char* p = at; p != number.end && *p != 'e' && *p != 'E'; ++p) {
      counts = counts || (*p >= '1' && *p <= '9');
      if (counts && *p != '.') ++magnitude;
    }
    value = magnitude > 0 ? std::numeric_limits<Float>::infinity() : Float{0};
    return number.negative ? -value : value;
  }
  return value;
}

}  // namespace

ScannedNumber scan_number(const char* at, const char* limit) noexcept {
  ScannedNumber number;
  const char* p = at;
  if (p < limit && *p == '-') {
    number.negative = true;
    ++p;
  }
  const char* const first_digit = p;
  std::uint64_t digits = 0;
  while (p < limit && is_digit(*p)) digits = digits * 10 + static_cast<std::uint64_t>(*p++ - '0');
  std::int64_t count = p - first_digit;
  if (count == 0 || (*first_digit == '0' && count > 1)) return number;
  number.integer = true;
  std::int64_t exponent = 0;
  if (p < limit && *p == '.') {
    number.integer = false;
    const char* const first_decimal = ++p;
    while (p < limit && is_digit(*p)) digits = digits * 10 + static_cast<std::uint64_t>(*p++ - '0');
    const std::int64_t decimals = p - first_decimal;
    if (decimals == 0) return number;
    exponent = -decimals;
    count += decimals;
  }
  if (p < limit && (*p == 'e' || *p == 'E')) {
    number.integer = false;
    ++p;
    bool negative = false;
    if (p < limit && (*p == '+' || *p == '-')) negative = *p++ == '-';
    const char* const first = p;
    std::int64_t written = 0;
    for (; p < limit && is_digit(*p); ++p) {
      if (written < kMaxExponent) written = written * 10 + (*p - '0');
    }
    if (p == first) return number;
    exponent += negative ? -written : written;
  }
  // 19 digits always fit. Of the integers with 20, those that begin with 1 do if they did not wrap. (The
  // leading zeros of 0.000… count as digits too, which only costs the slow path.)
  number.exact = count <= 19 || (number.integer && count == 20 && *first_digit == '1' &&
                                 digits >= 10'000'000'000'000'000'000u);
  number.digits = digits;
  number.exponent = exponent;
  number.end = p;
  return number;
}

double to_double(const ScannedNumber& number, const char* at) noexcept {
  // Both factors are exact doubles, so the one operation rounds correctly.
  if (number.exact && number.digits <= (std::uint64_t{1} << 53) && number.exponent >= -22 &&
      number.exponent <= 22) {
    double value = static_cast<double>(number.digits);
    if (number.exponent < 0) {
      value /= kPowersOfTen[-number.exponent];
    } else {
      value *= kPowersOfTen[number.exponent];
    }
    return number.negative ? -value : value;
  }
  return parse<double>(number, at);
}

float to_float(const ScannedNumber& number, const char* at) noexcept {
  return parse<float>(number, at);
}

}  // namespace tailrace::json::internal
