// Cursor: reads values off a structural index, token by token. The decoder's templates are built on it,
// so that neither they nor their users see simdjson.
//
// simdjson's on-demand front end is left out on purpose: it does not validate what it skips, counts no
// depth, and costs every including file seconds to compile. Here each token is looked at exactly once
// and everything that the first stage does not check (grammar, numbers, escapes, atoms, depth) is
// checked by whoever reads the token.
//
// Every reader returns false after noting the first error; callers add their path on the way out
// (in_member, in_element). One fiber's at a time. Texts are followed by 64 readable bytes, which are
// never taken for text.
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

#include "gcruntime/gc/string.h"
#include "server/json/error.h"
#include "server/json/structural_index.h"

namespace tailrace::json::internal {

inline bool is_space(char c) noexcept { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

class Cursor {
 public:
  static constexpr std::size_t kMaxDepth = 1024;
  enum class Next { kMore, kDone, kFailed };

  // Notes an error at once if the text is empty, too large, begins with a byte order mark, or does not
  // pass the first stage.
  Cursor(std::string_view text, const StructuralIndex& index, const Limits& limits);

  bool ok() const noexcept { return error_ == nullptr; }
  Error take_error() { return std::move(*error_); }
  const Limits& limits() const noexcept { return limits_; }

  // --- Tokens ------------------------------------------------------------------------------------

  // The first byte of the next token; 0 at the end of the text.
  char token() const noexcept { return next_ != end_ ? text_[*next_] : '\0'; }
  std::size_t offset() const noexcept { return *next_; }
  // After the outermost value: nothing may follow.
  bool finish() { return next_ == end_ || fail("text follows the document"); }

  // --- Arrays and objects ------------------------------------------------------------------------

  // Takes '{' or '['.
  bool open(char bracket) {
    if (token() != bracket) [[unlikely]] {
      return fail_expected(bracket == '{' ? "an object" : "an array");
    }
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    if (++depth_ > max_depth_ || stack_ - here > limits_.max_stack_bytes) [[unlikely]] {
      return fail("nested too deeply");
    }
    ++next_;
    return true;
  }
  // Takes '}' or ']' if it comes next.
  bool try_close(char bracket) noexcept {
    if (token() != bracket) return false;
    ++next_;
    --depth_;
    return true;
  }
  // What follows a member or an element.
  Next after_value(char closing) {
    const char c = token();
    if (c == ',') {
      ++next_;
      return Next::kMore;
    }
    if (try_close(closing)) return Next::kDone;
    fail_expected(closing == '}' ? "a comma or a closing brace" : "a comma or a closing bracket");
    return Next::kFailed;
  }
  // Takes a member's name and colon if the name is written without escapes as `name_and_quote` (the
  // name followed by a quote).
  template <std::size_t N>
  bool try_name(const std::array<char, N>& name_and_quote) noexcept {
    if (end_ - next_ < 2 || text_[*next_] != '"' || next_[1] - next_[0] <= N ||
        std::memcmp(text_ + *next_ + 1, name_and_quote.data(), N) != 0 || text_[next_[1]] != ':') {
      return false;
    }
    next_ += 2;
    return true;
  }
  // Takes a member's name and colon. The view is valid until the next call. A name that is too long to be
  // a member's may come with its escapes.
  bool read_name(std::string_view& name);
  bool read_name(gc::String& name);

  // How many elements the array has whose '[' was just taken; fewer if counting has become too costly,
  // so 0 says nothing. The sum of all counting is linear in the text.
  std::size_t count_elements() noexcept;

  // --- Values ------------------------------------------------------------------------------------

  bool read_string(gc::String& value) {
    std::string_view raw;
    bool escaped = false;
    if (!take_text("a string", raw, escaped)) [[unlikely]] return false;
    if (escaped) [[unlikely]] return unescape(raw, value);
    value = gc::String(raw);
    return true;
  }
  // Text without escapes as it stands, else unescaped into memory of the cursor; refused if that is
  // longer than kScratchBytes.
  bool read_short_string(const char* expected, std::string_view& value);
  bool read_signed(std::int64_t& value, std::int64_t low, std::int64_t high);
  bool read_unsigned(std::uint64_t& value, std::uint64_t high);
  bool read_double(double& value);
  bool read_float(float& value);
  bool read_bool(bool& value);
  bool try_null() noexcept;
  // Walks one value of any kind, checking all of it.
  bool skip_value();
  // The same, and copies it to `to` without white space; never more bytes than the text has.
  bool copy_value(char*& to);

  // --- Errors: each returns false ----------------------------------------------------------------

  bool fail(const char* message) {
    note(offset(), 400, message);
    return false;
  }
  bool fail_at(std::size_t offset, int status, std::string message) {
    note(offset, status, std::move(message));
    return false;
  }
  // "expected …, found …", at the next token.
  bool fail_expected(const char* what) {
    note_expected(what);
    return false;
  }
  bool fail_expected_at(std::size_t offset, const char* what) {
    note(offset, 400, std::string("expected ") + what);
    return false;
  }
  // Put a step before the error's path.
  bool in_member(std::string_view name);
  bool in_element(std::size_t index);

  static constexpr std::size_t kScratchBytes = 512;

 private:
  const char* token_end_limit() const noexcept { return text_ + next_[1]; }
  // The text of the string that comes next, without its quotes.
  bool take_text(const char* expected, std::string_view& raw, bool& escaped) {
    if (token() != '"') [[unlikely]] return fail_expected(expected);
    const char* const open = text_ + next_[0];
    const char* close = text_ + next_[1] - 1;
    while (is_space(*close)) --close;  // stops at the opening quote at the latest
    if (close == open || *close != '"') [[unlikely]] return fail("unclosed string");
    raw = {open + 1, static_cast<std::size_t>(close - open - 1)};
    escaped = has_backslash(raw);
    ++next_;
    return true;
  }
  // Reads up to 15 bytes behind the text.
  static bool has_backslash(std::string_view text) noexcept {
    const __m128i backslash = _mm_set1_epi8('\\');
    const char* at = text.data();
    std::size_t left = text.size();
    for (;; at += 16, left -= 16) {
      const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
      const auto found =
          static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(block, backslash)));
      if (left <= 16) return (found & ((std::uint32_t{1} << left) - 1)) != 0;
      if (found != 0) return true;
    }
  }
  bool unescape(std::string_view raw, gc::String& value);
  bool fail_escape(const char* at);
  // The first error is kept.
  [[gnu::cold]] void note(std::size_t offset, int status, std::string message);
  [[gnu::cold]] void note_expected(const char* what);
  // A number, true, false or null: checks that it ends where the token ends.
  bool ends_token(const char* end) const noexcept {
    const char* const limit = token_end_limit();
    return end == limit || (end < limit && is_space(*end));
  }
  bool token_is(std::string_view atom) const noexcept;
  template <bool kCopy>
  bool walk(char*& to);

  const char* text_;
  const std::uint32_t* next_;
  const std::uint32_t* end_;
  std::size_t depth_ = 0;
  std::size_t max_depth_;
  std::uintptr_t stack_;
  std::size_t counting_left_;  // tokens that count_elements may still look at
  Limits limits_;
  std::unique_ptr<Error> error_;
  char scratch_[kScratchBytes];
};

}  // namespace tailrace::json::internal
