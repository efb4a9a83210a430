// Columns for a terminal: the first one left, the others right, two spaces between.
//
// One owner. Cells are single lines; control characters in them are shown as '?', so that a text from
// outside cannot steer the terminal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tailrace::loadtest {

// With control characters as '?'; UTF-8 stays.
std::string printable(std::string_view text);

class TextTable {
 public:
  explicit TextTable(std::vector<std::string> head);
  // Missing cells are empty. Cells beyond the head go left and are not padded: bars, marks.
  void row(std::vector<std::string> cells);
  // Empty without rows. Each line begins with `indent` spaces.
  std::string str(std::size_t indent) const;

 private:
  std::vector<std::vector<std::string>> rows_;  // the head is the first
};

}  // namespace tailrace::loadtest
