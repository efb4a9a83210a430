// The slow path of number output: shortest text by std::to_chars.
#include "server/json/number_format.h"

#include <charconv>

namespace tailrace::json::internal {
namespace {

template <typename Number>
char* shortest(char* to, Number value) noexcept {
  if (!std::isfinite(value)) {
    std::memcpy(to, "null", 4);
    return to + 4;
  }
  // Always a valid JSON number: digits on both sides of a point, an exponent with its sign.
  return std::to_chars(to, to + kMaxDoubleBytes, value).ptr;
}

}  // namespace

char* write_shortest(char* to, double value) noexcept { return shortest(to, value); }
char* write_shortest(char* to, float value) noexcept { return shortest(to, value); }

}  // namespace tailrace::json::internal
