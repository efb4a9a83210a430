// See scenario_check.h.
#include "loadtest/scenario_check.h"

#include <algorithm>

namespace tailrace::loadtest {
namespace {

constexpr std::size_t kTargetMost = 64 << 10;
constexpr std::size_t kHeaderMost = 64 << 10;

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

std::string named(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte > 0x20 && byte < 0x7f) return "\"" + std::string(1, c) + "\"";
  if (c == ' ') return "a blank";
  constexpr std::string_view kDigits = "0123456789abcdef";
  return std::string("the byte 0x") + kDigits[byte >> 4] + kDigits[byte & 15];
}

std::string percent_encoded(char c) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  const auto byte = static_cast<unsigned char>(c);
  return std::string("%") + kDigits[byte >> 4] + kDigits[byte & 15];
}

bool is_token_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

}  // namespace

bool same_header(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string check_method(std::string_view method) {
  const bool fits = !method.empty() && method.size() <= 20 &&
                    std::all_of(method.begin(), method.end(),
                                [](char c) { return (c >= 'A' && c <= 'Z') || c == '-'; });
  if (!fits) return "a method is 1 to 20 capital letters, as GET";
  if (method == "CONNECT") return "CONNECT is for proxies: its answer is no HTTP message";
  return "";
}

std::string check_target(const Template& target) {
  if (!target.begins_with('/')) return "a path begins with \"/\"";
  if (target.longest() > kTargetMost) return "a path of more than 64 KiB";
  for (const std::string_view text : target.texts()) {
    for (const char c : text) {
      if (c == '#')
        return "\"#\" begins a fragment, which is never sent: leave it out or write %23";
      if (c == '{' || c == '}') {
        return named(c) + " in a path: a field is written {{int 0 99999}}, a literal brace " +
               percent_encoded(c);
      }
      const bool visible = c > 0x20 && c < 0x7f;
      if (!visible || std::string_view("\"<>\\^`|").find(c) != std::string_view::npos) {
        return named(c) + " in a path: write " + percent_encoded(c);
      }
    }
  }
  return "";
}

std::string check_header_name(std::string_view name) {
  if (name.empty() || name.size() > 256 || !std::all_of(name.begin(), name.end(), is_token_char)) {
    return "a header's name is letters, digits and hyphens";
  }
  if (same_header(name, "Content-Length")) {
    return "Content-Length is counted from the body: leave it out";
  }
  if (same_header(name, "Transfer-Encoding")) {
    return "Transfer-Encoding has no place here, bodies are sent whole: leave it out";
  }
  return "";
}

std::string check_header_value(const Template& value) {
  if (value.longest() > kHeaderMost) return "a header of more than 64 KiB";
  for (const std::string_view text : value.texts()) {
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if ((byte < 0x20 && c != '\t') || byte == 0x7f) {
        return named(c) + " in a header: a value is one line without control characters";
      }
    }
  }
  return "";
}

}  // namespace tailrace::loadtest
