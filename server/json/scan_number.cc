// The slow path of number input: std::from_chars, which rounds correctly, and what it leaves open.
#include "server/json/scan_number.h"

#include <charconv>
#include <limits>
#include <system_error>

namespace tailrace::json::internal {
namespace {

template <typename Float>
Float parse(const ScannedNumber& number, const char* at) {
  Float value = 0;
  const std::from_chars_result result = std::from_chars(at, number.end, value);
  if (result.ec == std::errc::result_out_of_range) {
    // Too large or too small, which from_chars does not tell: the place of the first digit that
    // counts does.
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

double to_double_slow(const ScannedNumber& number, const char* at) noexcept {
  return parse<double>(number, at);
}

float to_float(const ScannedNumber& number, const char* at) noexcept {
  return parse<float>(number, at);
}

}  // namespace tailrace::json::internal
