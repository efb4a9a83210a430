// Numbers as JSON text. Each function writes at `to`, which has the room named beside it, and
// returns the end. What is written reads back as the same value.
//
// Doubles: integers below 1e15 are written as such (1700000000, not 1.7e+09); values below 1e9 with
// at most 4 decimals by integer arithmetic (if v == i / 1e4 with both exact, then the decimal i /
// 10^4 rounds to v, because division rounds correctly); everything else as the shortest text that
// reads back. NaN and infinities, which JSON cannot say, become null.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tailrace::json {

inline constexpr std::size_t kMaxIntegerBytes = 20;
inline constexpr std::size_t kMaxDoubleBytes = 32;

namespace internal {

inline constexpr auto kTwoDigits = [] {
  std::array<char, 200> digits{};
  for (std::size_t i = 0; i < 100; ++i) {
    digits[2 * i] = static_cast<char>('0' + i / 10);
    digits[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return digits;
}();
inline constexpr auto kPowersOfTen = [] {
  std::array<std::uint64_t, 20> powers{};
  std::uint64_t power = 1;
  for (auto& entry : powers) {
    entry = power;
    power *= 10;
  }
  return powers;
}();

inline void write_two_digits(char* to, std::uint64_t below_100) noexcept {
  std::memcpy(to, &kTwoDigits[2 * below_100], 2);
}
// At least 1, also for 0.
inline unsigned digits_of(std::uint64_t value) noexcept {
  // 1233 / 4096 is just above log10(2); off by at most one, which the comparison mends.
  const unsigned guess = static_cast<unsigned>(std::bit_width(value | 1)) * 1233 >> 12;
  return guess + (value >= kPowersOfTen[guess] ? 1u : 0u) + (value == 0 ? 1u : 0u);
}

char* write_shortest(char* to, double value) noexcept;
char* write_shortest(char* to, float value) noexcept;

}  // namespace internal

// 20 bytes.
inline char* write_uint64(char* to, std::uint64_t value) noexcept {
  if (value < 10) {
    *to = static_cast<char>('0' + value);
    return to + 1;
  }
  char* const end = to + internal::digits_of(value);
  char* at = end;
  while (value >= 100) {
    at -= 2;
    internal::write_two_digits(at, value % 100);
    value /= 100;
  }
  if (value >= 10) {
    internal::write_two_digits(at - 2, value);
  } else {
    at[-1] = static_cast<char>('0' + value);
  }
  return end;
}

// 20 bytes.
inline char* write_int64(char* to, std::int64_t value) noexcept {
  auto magnitude = static_cast<std::uint64_t>(value);
  if (value < 0) {
    *to++ = '-';
    magnitude = 0 - magnitude;
  }
  return write_uint64(to, magnitude);
}

// 32 bytes.
inline char* write_double(char* to, double value) noexcept {
  const double magnitude = std::fabs(value);
  if (magnitude < 1e15) {
    const auto whole = static_cast<std::int64_t>(magnitude);
    if (std::signbit(value)) *to = '-';
    char* const digits = to + (std::signbit(value) ? 1 : 0);
    if (static_cast<double>(whole) == magnitude) {
      return write_uint64(digits, static_cast<std::uint64_t>(whole));
    }
    if (magnitude < 1e9) {
      // A wrong rounding fails the comparison. NOLINTNEXTLINE(bugprone-incorrect-roundings)
      const auto scaled = static_cast<std::int64_t>(magnitude * 1e4 + 0.5);
      if (static_cast<double>(scaled) / 1e4 == magnitude) {
        char* at = write_uint64(digits, static_cast<std::uint64_t>(scaled / 10000));
        const auto fraction = static_cast<std::uint64_t>(scaled % 10000);
        *at = '.';
        internal::write_two_digits(at + 1, fraction / 100);
        internal::write_two_digits(at + 3, fraction % 100);
        // The fraction is not 0 here, so this stops at a digit.
        at += 4;
        while (*at == '0') --at;
        return at + 1;
      }
    }
  }
  return internal::write_shortest(to, value);
}

// 32 bytes. The shortest text that reads back as this float.
inline char* write_float(char* to, float value) noexcept {
  const float magnitude = std::fabs(value);
  if (magnitude < 16777216.0F &&
      static_cast<float>(static_cast<std::int32_t>(magnitude)) == magnitude) {
    return write_double(to, static_cast<double>(value));
  }
  return internal::write_shortest(to, value);
}

}  // namespace tailrace::json
