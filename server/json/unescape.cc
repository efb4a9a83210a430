// One escape at a time; runs between them by memchr and memcpy.
#include "server/json/unescape.h"

#include <cstdint>
#include <cstring>

#include "server/json/utf8.h"

namespace tailrace::json::internal {
namespace {

constexpr std::uint32_t kNone = UINT32_MAX;

// Four hexadecimal digits at `at`, or kNone.
std::uint32_t read_hex(const char* at, const char* end) {
  if (end - at < 4) return kNone;
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = at[i];
    const char lower = static_cast<char>(c | 0x20);
    if (c >= '0' && c <= '9') {
      value = value << 4 | static_cast<std::uint32_t>(c - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      value = value << 4 | static_cast<std::uint32_t>(lower - 'a' + 10);
    } else {
      return kNone;
    }
  }
  return value;
}

// The code point that the escape at `at` (a backslash) stands for; moves `at` behind it. kNone if
// it is no escape.
std::uint32_t read_escape(const char*& at, const char* end) {
  if (end - at < 2) return kNone;
  const char kind = at[1];
  if (kind != 'u') {
    static constexpr char kKinds[] = "\"\\/bfnrt";
    static constexpr char kValues[] = "\"\\/\b\f\n\r\t";
    const char* found = static_cast<const char*>(std::memchr(kKinds, kind, sizeof(kKinds) - 1));
    if (found == nullptr) return kNone;
    at += 2;
    return static_cast<std::uint32_t>(kValues[found - kKinds]);
  }
  const std::uint32_t unit = read_hex(at + 2, end);
  if (unit == kNone || (unit >= 0xDC00 && unit <= 0xDFFF)) return kNone;
  if (unit < 0xD800 || unit > 0xDFFF) {
    at += 6;
    return unit;
  }
  if (end - at < 12 || at[6] != '\\' || at[7] != 'u') return kNone;
  const std::uint32_t low = read_hex(at + 8, end);
  if (low == kNone || low < 0xDC00 || low > 0xDFFF) return kNone;
  at += 12;
  return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
}

}  // namespace

Unescaped unescape_text(std::string_view raw, char* to) noexcept {
  const char* at = raw.data();
  const char* const end = at + raw.size();
  while (at != end) {
    const auto left = static_cast<std::size_t>(end - at);
    const char* const found = static_cast<const char*>(std::memchr(at, '\\', left));
    const std::size_t plain = found == nullptr ? left : static_cast<std::size_t>(found - at);
    std::memcpy(to, at, plain);
    to += plain;
    at += plain;
    if (found == nullptr) break;
    const std::uint32_t code_point = read_escape(at, end);
    if (code_point == kNone) return {to, found};
    to = write_utf8(to, code_point);  // never longer than the escape
  }
  return {to, nullptr};
}

const char* find_bad_escape(std::string_view raw) noexcept {
  const char* at = raw.data();
  const char* const end = at + raw.size();
  while (at != end) {
    const char* const found =
        static_cast<const char*>(std::memchr(at, '\\', static_cast<std::size_t>(end - at)));
    if (found == nullptr) return nullptr;
    at = found;
    if (read_escape(at, end) == kNone) return found;
  }
  return nullptr;
}

}  // namespace tailrace::json::internal
