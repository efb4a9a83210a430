// Timestamp: a moment in UTC, in JSON as RFC 3339 text. Reads any offset and up to 9 decimals;
// writes UTC with as many groups of three decimals as it needs.
#pragma once

#include <boost/describe.hpp>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/json/describe.h"

namespace tailrace::json {

struct Timestamp {
  std::int64_t unix_ns = 0;  // 1677 to 2262

  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
};
BOOST_DESCRIBE_STRUCT(Timestamp, (), (unix_ns))

template <>
struct TextCodec<Timestamp> {
  static constexpr std::size_t kMaxBytes = 32;
  static constexpr const char* kExpected = "a time as in 2024-02-29T12:00:00.5Z";
  static std::size_t format(const Timestamp& value, char* to) noexcept;
  static bool parse(std::string_view text, Timestamp& value) noexcept;
};

}  // namespace tailrace::json
