// Numbers of JSON, from text. Strict: no plus sign, no leading zeros, digits on both sides of a point.
#pragma once

#include <cstdint>

namespace tailrace::json::internal {

struct ScannedNumber {
  const char* end = nullptr;   // behind the number; null if it is not one
  std::uint64_t digits = 0;    // all digits as one integer, if `exact`
  std::int64_t exponent = 0;   // value = digits * 10^exponent
  bool negative = false;
  bool integer = false;        // no fraction, no exponent
  bool exact = false;          // the digits fit 64 bits
};

// Reads the number that begins at `at`, not beyond `limit`.
ScannedNumber scan_number(const char* at, const char* limit) noexcept;

// The nearest double (float); infinity if there is none. `at` is where scan_number was called.
double to_double(const ScannedNumber& number, const char* at) noexcept;
float to_float(const ScannedNumber& number, const char* at) noexcept;

}  // namespace tailrace::json::internal
