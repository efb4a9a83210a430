// Escaping, numbers and tables of markup.
#include "loadtest/markup.h"

#include <cctype>
#include <cmath>
#include <cstdint>
#include <cstdio>

namespace tailrace::loadtest {
namespace {

constexpr const char* kReplacement = "\xef\xbf\xbd";

// Bytes of the UTF-8 sequence that begins at `at`; 0 if it is none (overlong, surrogate, cut off, beyond).
std::size_t sequence(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char lead = byte(0);
  const std::size_t size = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (size == 1) return 1;
  if (lead < 0xc2 || lead > 0xf4 || at + size > text.size()) return 0;
  std::uint32_t point = lead & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return 0;
    point = point << 6 | (byte(i) & 0x3fU);
  }
  const bool overlong = (size == 3 && point < 0x800) || (size == 4 && point < 0x10000);
  const bool unfit = point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ||
                     (point >= 0x80 && point < 0xa0) || point == 0xfffe || point == 0xffff;
  return overlong || unfit ? 0 : size;
}

}  // namespace

std::string escape(std::string_view text) {
  std::string result;
  result.reserve(text.size() + text.size() / 8);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = sequence(text, at);
    const char c = text[at];
    if (size == 0 || (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') ||
        c == 0x7f) {
      result += kReplacement;
    } else if (c == '&') {
      result += "&amp;";
    } else if (c == '<') {
      result += "&lt;";
    } else if (c == '>') {
      result += "&gt;";
    } else if (c == '"') {
      result += "&quot;";
    } else if (c == '\'') {
      result += "&#39;";
    } else {
      result.append(text.substr(at, size));
    }
    at += size == 0 ? 1 : size;
  }
  return result;
}

std::string coordinate(double value) {
  if (!std::isfinite(value)) return "0";
  value = std::round(value * 10) / 10;
  if (value == 0) return "0";  // and not -0
  char text[400];
  std::snprintf(text, sizeof text, value == std::floor(value) ? "%.0f" : "%.1f", value);
  return text;
}

std::string escape_script(std::string_view json) {
  std::string result;
  result.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      result += "\\u003c";
    } else {
      result += c;
    }
  }
  return result;
}

std::string micro(std::string text) {
  // Only behind a number: a text from outside may have the word.
  for (std::size_t at = text.find(" us"); at != std::string::npos; at = text.find(" us", at + 1)) {
    const char before = at == 0 ? ' ' : text[at - 1];
    const char after = at + 3 < text.size() ? text[at + 3] : ' ';
    const bool number = before >= '0' && before <= '9';
    if (number && std::isalnum(static_cast<unsigned char>(after)) == 0) {
      text.replace(at + 1, 1, "\xc2\xb5");
    }
  }
  return text;
}

std::string write_table(const HtmlTable& table) {
  // More columns than a narrow screen has room for: it says there that they scroll.
  constexpr std::size_t kNarrowColumns = 5;
  std::string text = table.head.size() > kNarrowColumns
                         ? "<div class=\"scroll many\" tabindex=\"0\">"
                         : "<div class=\"scroll\" tabindex=\"0\">";
  text += table.text_last ? "<table class=\"wide-last\">" : "<table>";
  if (!table.caption.empty()) text += "<caption>" + escape(table.caption) + "</caption>";
  text += "<thead><tr>";
  for (const std::string& cell : table.head) text += "<th scope=\"col\">" + escape(cell) + "</th>";
  text += "</tr></thead><tbody>\n";
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    const bool marked = i < table.marked.size() && table.marked[i];
    text += marked ? "<tr class=\"voided\">" : "<tr>";
    for (std::size_t j = 0; j < table.rows[i].size(); ++j) {
      std::string cell = escape(std::string_view(table.rows[i][j]).substr(0, kMostCellBytes));
      if (table.rows[i][j].size() > kMostCellBytes) cell += "\xe2\x80\xa6";
      text += j == 0 ? "<th scope=\"row\">" + cell + "</th>" : "<td>" + cell + "</td>";
    }
    text += "</tr>\n";
  }
  return text + "</tbody></table></div>\n";
}

}  // namespace tailrace::loadtest
