// Columns for a terminal.
#include "loadtest/text_table.h"

#include <algorithm>
#include <utility>

namespace tailrace::loadtest {
namespace {

// In characters: bytes that go on with one are not counted.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
  }));
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result(text);
  for (std::size_t i = 0; i < result.size(); ++i) {
    const auto c = static_cast<unsigned char>(result[i]);
    if (c < 0x20 || c == 0x7f) result[i] = '?';
    // C1 controls, two bytes in UTF-8: some terminals obey them.
    const bool c1 =
        c == 0xc2 && i + 1 < result.size() && static_cast<unsigned char>(result[i + 1]) < 0xa0;
    if (c1) result[i] = result[i + 1] = '?';
  }
  return result;
}

TextTable::TextTable(std::vector<std::string> head) { rows_.push_back(std::move(head)); }

void TextTable::row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

std::string TextTable::str(std::size_t indent) const {
  if (rows_.size() < 2) return "";
  std::vector<std::size_t> widths(rows_.front().size(), 0);
  std::vector<std::vector<std::string>> rows = rows_;
  for (std::vector<std::string>& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = printable(row[i]);
      if (i < widths.size()) widths[i] = std::max(widths[i], width_of(row[i]));
    }
  }
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    std::string line(indent, ' ');
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::size_t width = i < widths.size() ? widths[i] : 0;
      const std::string padding(width - std::min(width, width_of(row[i])), ' ');
      if (i != 0) line += "  ";
      line += i == 0 ? row[i] + padding : padding + row[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace tailrace::loadtest
