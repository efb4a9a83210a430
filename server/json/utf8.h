// UTF-8, one sequence at a time, for the paths where text is escaped or has gone wrong. (Whole
// bodies are validated by simdjson.)
#pragma once

#include <cstddef>
#include <cstdint>

namespace tailrace::json {

struct Utf8Sequence {
  std::size_t bytes;  // of the sequence, or of its longest ill-formed start (at least 1)
  bool valid;
};

// What begins at `at`; at < end. Overlong forms, surrogates and code points over U+10FFFF are
// invalid.
Utf8Sequence utf8_sequence(const char* at, const char* end) noexcept;

// Writes a code point (not a surrogate) as 1 to 4 bytes; returns the end.
char* write_utf8(char* to, std::uint32_t code_point) noexcept;

}  // namespace tailrace::json
