// Writer: where the encoder stands in a Buffer. The position itself travels by value (`char* at`)
// through the encoding functions, so that it stays in a register: stores through char* could alias
// a member.
//
// Contract of every function that takes `after`: the caller has made room for the value's fixed
// part and `after` bytes behind it; on return `after` bytes of room are left. So an object needs
// one check for its fixed part and one for each long text, and none in between.
#pragma once

#include <emmintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <string_view>

#include "gcruntime/gc/string.h"
#include "server/buffer.h"
#include "server/json/stack_floor.h"

namespace tailrace::json::internal {

// Thrown by Writer and caught in encode(): the buffer cannot grow, or the value nests too deeply.
struct EncodeFailure : std::exception {
  const char* what() const noexcept override {
    return "the JSON text is too large or nests too deeply";
  }
};

// Quotes and one 16-byte store.
inline constexpr std::size_t kFixedTextBytes = 18;
inline constexpr unsigned kMaxEncodeDepth = 1024;

// A bit for each byte that cannot be copied as it stands: control characters, quote, backslash, and
// what is not ASCII (to be validated). Bytes over 0x7F are negative, so one comparison finds them
// too.
inline unsigned special_bytes(__m128i block) noexcept {
  const __m128i low = _mm_cmplt_epi8(block, _mm_set1_epi8(0x20));
  const __m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
  const __m128i backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
  return static_cast<unsigned>(
      _mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, backslash))));
}

// Up to 16 bytes, reading no others.
inline __m128i load_short(const char* from, std::size_t bytes) noexcept {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  if (bytes >= 8) {
    std::memcpy(&low, from, 8);
    if (bytes > 8) {
      std::memcpy(&high, from + bytes - 8, 8);
      high >>= 8 * (16 - bytes);
    }
  } else if (bytes >= 4) {
    std::uint32_t first;
    std::uint32_t last;
    std::memcpy(&first, from, 4);
    std::memcpy(&last, from + bytes - 4, 4);
    low = first | std::uint64_t{last} << (8 * (bytes - 4));
  } else if (bytes > 0) {
    const auto byte = [&](std::size_t i) {
      return std::uint64_t{static_cast<std::uint8_t>(from[i])} << (8 * i);
    };
    low = byte(0) | byte(bytes / 2) | byte(bytes - 1);
  }
  return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
}

class Writer {
 public:
  explicit Writer(http::Buffer& out) noexcept : out_(out), stack_floor_(stack_floor()) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // The first position, with room for `bytes`.
  char* start(std::size_t bytes) {
    char* at = out_.reserve(bytes);
    if (at == nullptr) throw EncodeFailure();
    limit_ = at + out_.room();
    return at;
  }
  void finish(char* at) noexcept {
    out_.commit(static_cast<std::size_t>(at - (out_.data() + out_.size())));
  }
  // Makes room for `bytes` at `at`, which may move.
  char* ensure(char* at, std::size_t bytes) {
    if (static_cast<std::size_t>(limit_ - at) >= bytes) [[likely]]
      return at;
    return grow(at, bytes);
  }

  // One level down and up again: pointers and containers, all that can make a value nest without
  // end.
  void enter() {
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    if (++depth_ > kMaxEncodeDepth || here < stack_floor_) [[unlikely]] {
      throw EncodeFailure();
    }
  }
  void leave() noexcept { --depth_; }

  // A quoted string.
  char* text(char* at, std::string_view value, std::size_t after) {
    if (value.size() <= 16)
      return short_text(at, load_short(value.data(), value.size()), value, after);
    return long_text(at, value, after);
  }
  // The text of up to 15 bytes lies in the String itself: one load, and one byte to shift out.
  char* text(char* at, const gc::String& value, std::size_t after) {
    const std::string_view view = value.view();
    const char* const self = reinterpret_cast<const char*>(&value);
    if (view.data() == self + 1) {
      const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(self));
      return short_text(at, _mm_srli_si128(words, 1), view, after);
    }
    return text(at, view, after);
  }

 private:
  char* short_text(char* at, __m128i block, std::string_view value, std::size_t after) {
    // The bytes behind the text are zeros and count as special.
    if ((special_bytes(block) & ((1u << value.size()) - 1)) != 0) [[unlikely]] {
      return escaped_text(at, value, after);
    }
    *at = '"';
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at + 1), block);
    at[1 + value.size()] = '"';
    return at + 2 + value.size();
  }
  char* long_text(char* at, std::string_view value, std::size_t after);
  char* escaped_text(char* at, std::string_view value, std::size_t after);
  char* grow(char* at, std::size_t bytes);

  http::Buffer& out_;
  char* limit_ = nullptr;
  std::uintptr_t stack_floor_;
  unsigned depth_ = 0;
};

}  // namespace tailrace::json::internal
