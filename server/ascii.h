// Characters as HTTP's grammar sees them, and comparisons that know only ASCII's case.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tailrace::http {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }
constexpr bool is_upper(char c) noexcept { return c >= 'A' && c <= 'Z'; }
constexpr bool is_alphanumeric(char c) noexcept {
  return is_digit(c) || is_lower(c) || is_upper(c);
}
constexpr char to_lower(char c) noexcept { return is_upper(c) ? static_cast<char>(c + 32) : c; }

// RFC 9110 5.6.2.
constexpr bool is_token(char c) noexcept {
  return is_alphanumeric(c) ||
         (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

// The value of a hexadecimal digit, or -1.
constexpr int hex_value(char c) noexcept {
  if (is_digit(c)) return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

template <typename Predicate>
constexpr bool all_of(std::string_view text, const Predicate& predicate) noexcept {
  for (const char c : text) {
    if (!predicate(c)) return false;
  }
  return true;
}

// A predicate as a table: one load a character on paths that every request takes.
class CharacterSet {
 public:
  template <typename Predicate>
  explicit constexpr CharacterSet(Predicate predicate) noexcept {
    for (unsigned i = 0; i < 256; ++i) members_[i] = predicate(static_cast<char>(i));
  }
  constexpr bool operator()(char c) const noexcept {
    return members_[static_cast<unsigned char>(c)];
  }

 private:
  std::array<bool, 256> members_{};
};

}  // namespace tailrace::http
