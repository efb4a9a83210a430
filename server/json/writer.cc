// Growth, long texts and texts that need escapes.
#include "server/json/writer.h"

#include <algorithm>

#include "server/json/utf8.h"

namespace tailrace::json::internal {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

__m128i load(const char* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
void store(char* to, __m128i block) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), block); }

// At most 6 bytes.
char* write_escape(char* to, char c) {
  static constexpr char kHex[] = "0123456789abcdef";
  *to++ = '\\';
  switch (c) {
    case '"':
    case '\\':
      *to++ = c;
      return to;
    case '\b':
      *to++ = 'b';
      return to;
    case '\f':
      *to++ = 'f';
      return to;
    case '\n':
      *to++ = 'n';
      return to;
    case '\r':
      *to++ = 'r';
      return to;
    case '\t':
      *to++ = 't';
      return to;
    default:
      std::memcpy(to, "u00", 3);
      to[3] = kHex[static_cast<unsigned char>(c) >> 4];
      to[4] = kHex[c & 0xF];
      return to + 5;
  }
}

}  // namespace

char* Writer::grow(char* at, std::size_t bytes) {
  finish(at);
  return start(bytes);
}

char* Writer::long_text(char* at, std::string_view value, std::size_t after) {
  at = ensure(at, value.size() + kFixedTextBytes + after);
  char* to = at;
  *to++ = '"';
  const char* from = value.data();
  const char* const last = from + value.size() - 16;
  for (; from < last; from += 16, to += 16) {
    const __m128i block = load(from);
    if (special_bytes(block) != 0) [[unlikely]]
      return escaped_text(at, value, after);
    store(to, block);
  }
  // The last block overlaps the one before, so that nothing behind the text is read.
  const __m128i block = load(last);
  if (special_bytes(block) != 0) [[unlikely]]
    return escaped_text(at, value, after);
  to = at + 1 + value.size();
  store(to - 16, block);
  *to++ = '"';
  return to;
}

char* Writer::escaped_text(char* at, std::string_view value, std::size_t after) {
  // In pieces, so that a long text with one quote in it does not ask for six times its length.
  constexpr std::size_t kPieceBytes = 2048;
  const char* from = value.data();
  const char* const end = from + value.size();
  at = ensure(at, kFixedTextBytes + after);
  *at++ = '"';
  while (from != end) {
    // A sequence may begin in the piece and end up to 3 bytes behind it.
    const char* const piece_end =
        from + std::min<std::size_t>(kPieceBytes, static_cast<std::size_t>(end - from));
    at = ensure(at, 6 * static_cast<std::size_t>(piece_end - from) + 16 + after);
    while (from < piece_end) {
      if (end - from >= 16) {
        const __m128i block = load(from);
        const unsigned special = special_bytes(block);
        if (special == 0) {
          store(at, block);
          at += 16;
          from += 16;
          continue;
        }
        // Up to 15 plain bytes; what is stored behind them is overwritten.
        const int plain = __builtin_ctz(special);
        store(at, block);
        at += plain;
        from += plain;
        if (from >= piece_end) break;
      }
      const char c = *from;
      if (static_cast<signed char>(c) >= 0) {
        if (c >= 0x20 && c != '"' && c != '\\') {
          *at++ = c;
        } else {
          at = write_escape(at, c);
        }
        ++from;
        continue;
      }
      const Utf8Sequence sequence = utf8_sequence(from, end);
      const std::string_view bytes =
          sequence.valid ? std::string_view(from, sequence.bytes) : kReplacement;
      std::memcpy(at, bytes.data(), bytes.size());
      at += bytes.size();
      from += sequence.bytes;
    }
  }
  at = ensure(at, 1 + after);
  *at++ = '"';
  return at;
}

}  // namespace tailrace::json::internal
