// Cursor: reads values off a structural index, token by token. The decoder's templates are built on
// it, so that neither they nor their users see simdjson.
//
// simdjson's on-demand front end is left out on purpose: it does not validate what it skips, counts
// no depth, and costs every including file seconds to compile. Here each token is looked at exactly
// once and everything that the first stage does not check (grammar, numbers, escapes, atoms, depth)
// is checked by whoever reads the token.
//
// The position in the index travels by value, so that it stays in a register: a chain of 100 tokens
// through memory would cost as much as all the rest. Readers return the position behind what they
// read, or null after noting the first error; callers add their path on the way out (in_member,
// in_element). One fiber's at a time. Texts are followed by 64 readable bytes, which are never
// taken for text.
#pragma once

#include <emmintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/string.h"
#include "server/json/error.h"
#include "server/json/stack_floor.h"
#include "server/json/structural_index.h"

namespace tailrace::json::internal {

inline bool is_space(char c) noexcept { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// A member's name and the quote behind it, N bytes, to be compared as whole words; the second word
// may overlap the first.
template <std::size_t N>
class NamePattern {
 public:
  constexpr explicit NamePattern(std::string_view name) {
    for (std::size_t i = 0; i < N; ++i) bytes_[i] = i + 1 < N ? name[i] : '"';
    for (std::size_t i = 0; i < 8; ++i) {
      first_ |= byte(i) << (8 * i);
      if constexpr (N > 8) last_ |= byte(N - 8 + i) << (8 * i);
    }
  }
  // Reads at least 8 bytes.
  TAILRACE_ALWAYS_INLINE bool matches(const char* text) const noexcept {
    if constexpr (N > 16) {
      return std::memcmp(text, bytes_.data(), N) == 0;
    } else if constexpr (N > 8) {
      return ((word_at(text) ^ first_) | (word_at(text + N - 8) ^ last_)) == 0;
    } else {
      return (word_at(text) ^ first_) << (64 - 8 * N) == 0;
    }
  }

 private:
  constexpr std::uint64_t byte(std::size_t i) const {
    return i < N ? static_cast<std::uint8_t>(bytes_[i]) : 0;
  }
  static std::uint64_t word_at(const char* text) noexcept {
    std::uint64_t word;
    std::memcpy(&word, text, 8);
    return word;
  }

  std::array<char, N> bytes_{};
  std::uint64_t first_ = 0;
  std::uint64_t last_ = 0;
};

// Of the next token: where the index has its offset.
using Position = const std::uint32_t*;

class Cursor {
 public:
  static constexpr std::size_t kMaxDepth = 1024;
  static constexpr std::size_t kScratchBytes = 512;

  // Notes an error at once if the text is empty, too large, begins with a byte order mark, or does
  // not pass the first stage.
  Cursor(std::string_view text, const StructuralIndex& index, const Limits& limits);

  bool ok() const noexcept { return error_ == nullptr; }
  Error take_error() { return std::move(*error_); }
  const Limits& limits() const noexcept { return limits_; }

  // --- Tokens ------------------------------------------------------------------------------------

  Position begin() const noexcept { return begin_; }
  // The token's first byte; 0 at the end of the text.
  char token(Position at) const noexcept { return at != end_ ? text_[*at] : '\0'; }
  // Behind the outermost value nothing may follow.
  bool finish(Position at) {
    return at == end_ || fail(at, "text follows the document") != nullptr;
  }

  // --- Arrays and objects ------------------------------------------------------------------------

  // Behind '{' or '['.
  Position open(Position at, char bracket) {
    if (token(at) != bracket) [[unlikely]] {
      return fail_expected(at, bracket == '{' ? "an object" : "an array");
    }
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    if (++depth_ > max_depth_ || here < stack_floor_) [[unlikely]] {
      return fail(at, "nested too deeply");
    }
    return at + 1;
  }
  // Behind '}' or ']', whose place `at` is.
  Position close(Position at) noexcept {
    --depth_;
    return at + 1;
  }
  Position fail_separator(Position at, char closing) {
    return fail_expected(
        at, closing == '}' ? "a comma or a closing brace" : "a comma or a closing bracket");
  }
  // True if a member's name and a colon come, and the name is written as it is, without escapes.
  // They are two tokens.
  template <std::size_t N>
  TAILRACE_ALWAYS_INLINE bool name_is(Position at, const NamePattern<N>& name) const noexcept {
    return end_ - at >= 2 && text_[at[0]] == '"' && at[1] - at[0] > N &&
           name.matches(text_ + at[0] + 1) && text_[at[1]] == ':';
  }
  // Behind a member's name and colon. The view is valid until the next call. A name that is too
  // long to be a member's may come with its escapes.
  Position read_name(Position at, std::string_view& name);
  Position read_name(Position at, gc::String& name);

  // How many elements the array has that begins before `at`, for who makes room for them. Not
  // exact: of a long outermost array it is told by the first elements, as its end is known, and it
  // is less if counting has become too costly. The sum of all counting is linear in the text.
  std::size_t expect_elements(Position at) noexcept;
  // The same, exact, if each element is one token.
  std::size_t count_scalars(Position at) const noexcept;

  // --- Values ------------------------------------------------------------------------------------

  Position read_string(Position at, gc::String& value) {
    std::string_view raw;
    bool escaped = false;
    if (!string_at(at, "a string", raw, escaped)) [[unlikely]]
      return nullptr;
    if (escaped) [[unlikely]]
      return unescape(at, raw, value);
    value.assign_padded(raw);
    return at + 1;
  }
  // Text without escapes as it stands, else unescaped into memory of the cursor; refused if that is
  // longer than kScratchBytes.
  Position read_short_string(Position at, const char* expected, std::string_view& value);
  Position read_signed(Position at, std::int64_t& value, std::int64_t low, std::int64_t high);
  Position read_unsigned(Position at, std::uint64_t& value, std::uint64_t high);
  Position read_double(Position at, double& value);
  Position read_float(Position at, float& value);
  Position read_bool(Position at, bool& value);
  bool is_null(Position at) const noexcept { return token(at) == 'n' && token_is(at, "null"); }
  // Walks one value of any kind, checking all of it.
  Position skip_value(Position at);
  // The same, and copies it to `to` without white space; never more bytes than the text has.
  Position copy_value(Position at, char*& to);

  // --- Errors: each returns null -----------------------------------------------------------------

  Position fail(Position at, const char* message) {
    note(*at, 400, message);
    return nullptr;
  }
  Position fail(Position at, int status, std::string message) {
    note(*at, status, std::move(message));
    return nullptr;
  }
  // "expected …, found …"
  Position fail_expected(Position at, const char* what) {
    note_expected(at, what);
    return nullptr;
  }
  // Put a step before the error's path.
  Position in_member(std::string_view name);
  Position in_element(std::size_t index);

 private:
  // Where the token ends at the latest.
  const char* limit(Position at) const noexcept { return text_ + at[1]; }
  // The text of a string, without its quotes.
  bool string_at(Position at, const char* expected, std::string_view& raw, bool& escaped) {
    if (token(at) != '"') [[unlikely]] {
      note_expected(at, expected);
      return false;
    }
    const char* const open = text_ + at[0];
    const char* close = text_ + at[1] - 1;
    while (is_space(*close)) --close;  // stops at the opening quote at the latest
    if (close == open || *close != '"') [[unlikely]] {
      note(*at, 400, "unclosed string");
      return false;
    }
    raw = {open + 1, static_cast<std::size_t>(close - open - 1)};
    escaped = has_backslash(raw);
    return true;
  }
  // Reads up to 16 bytes behind the text.
  static bool has_backslash(std::string_view text) noexcept {
    const __m128i backslash = _mm_set1_epi8('\\');
    const char* at = text.data();
    std::size_t left = text.size();
    for (;; at += 16, left -= 16) {
      const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
      const auto found = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(block, backslash)));
      if (left <= 16) return (found & ((std::uint32_t{1} << left) - 1)) != 0;
      if (found != 0) return true;
    }
  }
  Position unescape(Position at, std::string_view raw, gc::String& value);
  Position fail_escape(const char* backslash);
  // Whether a number, true, false or null that ends at `end` is all of its token.
  bool ends_token(Position at, const char* end) const noexcept {
    const char* const last = limit(at);
    return end == last || (end < last && is_space(*end));
  }
  bool token_is(Position at, std::string_view atom) const noexcept {
    const char* const text = text_ + *at;
    return std::memcmp(text, atom.data(), atom.size()) == 0 && ends_token(at, text + atom.size());
  }
  template <bool kCopy>
  Position walk(Position at, char*& to);
  // The first error is kept.
  [[gnu::cold]] void note(std::size_t offset, int status, std::string message);
  [[gnu::cold]] void note_expected(Position at, const char* what);

  const char* text_;
  Position begin_;
  Position end_;
  std::size_t depth_ = 0;
  std::size_t max_depth_;
  std::uintptr_t stack_floor_;
  std::size_t counting_left_;  // tokens that count_elements may still look at
  Limits limits_;
  std::unique_ptr<Error> error_;
  char scratch_[kScratchBytes];
};

}  // namespace tailrace::json::internal
