// Numbers of JSON, from text. Strict: no plus sign, no leading zeros, digits on both sides of a
// point.
#pragma once

#include <cstdint>

#include "gcruntime/base/annotations.h"

namespace tailrace::json::internal {

struct ScannedNumber {
  const char* end = nullptr;  // behind the number; null if it is not one
  std::uint64_t digits = 0;   // all digits as one integer, if `exact`
  std::int64_t exponent = 0;  // value = digits * 10^exponent
  bool negative = false;
  bool integer = false;  // no fraction, no exponent
  bool exact = false;    // the digits fit 64 bits
};

inline bool is_digit(char c) noexcept { return static_cast<unsigned char>(c - '0') < 10; }

// Reads the number that begins at `at`, not beyond `limit`. Inlined into its few callers, so that
// what they do not ask for is not computed.
TAILRACE_ALWAYS_INLINE ScannedNumber scan_number(const char* at, const char* limit) noexcept {
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
    // Far beyond every double, far from overflowing the sum of two.
    constexpr std::int64_t kMaxExponent = 1'000'000'000;
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
  // 19 digits always fit. Of the integers with 20, those that begin with 1 do if they did not wrap.
  // (The leading zeros of 0.000… count as digits too, which only costs the slow path.)
  number.exact = count <= 19 || (number.integer && count == 20 && *first_digit == '1' &&
                                 digits >= 10'000'000'000'000'000'000u);
  number.digits = digits;
  number.exponent = exponent;
  number.end = p;
  return number;
}

inline constexpr double kExactPowersOfTen[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                               1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                               1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// By std::from_chars; the same contract as to_double.
double to_double_slow(const ScannedNumber& number, const char* at) noexcept;

// The nearest double (float); infinity if there is none. `at` is where scan_number was called.
inline double to_double(const ScannedNumber& number, const char* at) noexcept {
  // Clinger's fast path: both factors are exact doubles, so the one operation rounds correctly.
  if (number.exact && number.digits <= (std::uint64_t{1} << 53) && number.exponent >= -22 &&
      number.exponent <= 22) {
    auto value = static_cast<double>(static_cast<std::int64_t>(number.digits));
    if (number.exponent < 0) {
      value /= kExactPowersOfTen[-number.exponent];
    } else {
      value *= kExactPowersOfTen[number.exponent];
    }
    return number.negative ? -value : value;
  }
  return to_double_slow(number, at);
}
float to_float(const ScannedNumber& number, const char* at) noexcept;

}  // namespace tailrace::json::internal
