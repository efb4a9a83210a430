// Text for HTML and SVG: the only place where what comes from outside is made harmless.
//
// Everything that is not a constant of ours goes through escape(), numbers through coordinate(). What is
// written is well-formed XML too (elements closed, attributes quoted), so that a test can check it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tailrace::loadtest {

// For element content and quoted attributes: & < > " ' as references; controls and bytes that are no UTF-8
// as U+FFFD.
std::string escape(std::string_view text);

// At most one decimal, never in scientific notation; what is not finite is 0.
std::string coordinate(double value);

// JSON for a <script type="application/json">: every '<' as \u003c, so that nothing in it ends the element.
std::string escape_script(std::string_view json);

// "us" behind a number with a micro sign; for texts of report_format.h.
std::string micro(std::string text);

// Cells are escaped, and cut where they are longer than kMostCellBytes. `marked` rows have the class "voided".
inline constexpr std::size_t kMostCellBytes = 400;
struct HtmlTable {
  std::string caption;
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;
  std::vector<bool> marked = {};
  bool text_last = false;  // the last column is text and may wrap
};
std::string write_table(const HtmlTable& table);

}  // namespace tailrace::loadtest
