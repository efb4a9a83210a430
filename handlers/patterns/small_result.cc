#include "handlers/patterns/small_result.h"

#include <charconv>

namespace tailrace::patterns {

std::optional<ByteRange> good::parse_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes=";
  if (!text.starts_with(kUnit)) return std::nullopt;
  text.remove_prefix(kUnit.size());
  const char* const end = text.data() + text.size();
  ByteRange range;
  const auto [dash, first_error] = std::from_chars(text.data(), end, range.first);
  if (first_error != std::errc() || dash == end || *dash != '-') return std::nullopt;
  const auto [behind, last_error] = std::from_chars(dash + 1, end, range.last);
  if (last_error != std::errc() || behind != end || range.last < range.first) return std::nullopt;
  return range;
}

ByteRange* bad::parse_range(std::string_view text) {
  const std::optional<ByteRange> range = good::parse_range(text);
  return range ? gc::make<ByteRange>(*range) : nullptr;
}

}  // namespace tailrace::patterns
