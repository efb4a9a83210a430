// Escapes in JSON strings.
#pragma once

#include <string_view>

namespace tailrace::json::internal {

struct Unescaped {
  char* end;        // of what was written
  const char* bad;  // the backslash of the first escape that is none, or null
};

// Writes `raw` (text between the quotes) to `to`, which has room for as many bytes. Lone surrogates
// are refused: UTF-8 cannot say them.
Unescaped unescape_text(std::string_view raw, char* to) noexcept;

// The backslash of the first escape that is none, or null. `raw` is not changed.
const char* find_bad_escape(std::string_view raw) noexcept;

}  // namespace tailrace::json::internal
