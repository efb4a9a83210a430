// The Prometheus grammar of names.
#include "metrics/names.h"

#include <cstdint>

namespace tailrace::metrics {
namespace {

constexpr std::size_t kMaxNameBytes = 256;

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool digit(char c) { return c >= '0' && c <= '9'; }

// The length of the UTF-8 character at the start of `text`, or 0 if there is none.
std::size_t character_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return static_cast<unsigned char>(text[i]);
  };
  if (byte(0) < 0x80) {
    return 1;
  }
  const std::size_t length = byte(0) < 0xC2   ? 0
                             : byte(0) < 0xE0 ? 2
                             : byte(0) < 0xF0 ? 3
                             : byte(0) < 0xF5 ? 4
                                              : 0;
  if (length == 0 || text.size() < length) {
    return 0;
  }
  std::uint32_t point = byte(0) & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) {
      return 0;
    }
    point = point << 6 | (byte(i) & 0x3F);
  }
  const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
  const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
  return overlong || surrogate || point > 0x10FFFF ? 0 : length;
}

}  // namespace

bool valid_metric_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > kMaxNameBytes || digit(name[0])) {
    return false;
  }
  for (const char c : name) {
    if (!letter(c) && !digit(c) && c != ':') {
      return false;
    }
  }
  return true;
}

bool valid_label_name(std::string_view name) noexcept {
  return valid_metric_name(name) && name.find(':') == name.npos && !name.starts_with("__") &&
         name != "le" && name != "quantile";
}

std::string clean_label_value(std::string_view value) {
  std::string clean;
  while (!value.empty()) {
    const std::size_t bytes = character_bytes(value);
    const std::size_t taken = bytes == 0 ? 1 : bytes;
    if (clean.size() + taken > kMaxLabelValueBytes) {
      break;
    }
    clean.append(bytes == 0 ? std::string_view("?") : value.substr(0, bytes));
    value.remove_prefix(taken);
  }
  return clean;
}

}  // namespace tailrace::metrics
