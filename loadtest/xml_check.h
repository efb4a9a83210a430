// Whether markup is well-formed: elements nest and close, attributes are quoted and not doubled, references
// are known, ids are unique. For tests; knows what our own pages use of HTML and XML.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tailrace::loadtest::test_results {

struct XmlCheck {
  std::string error;  // empty: well-formed
  std::size_t elements = 0;
  std::vector<std::string> ids;
  std::vector<std::string> names;       // of the elements, in order
  std::vector<std::string> attributes;  // name=value, in order
};
XmlCheck check_xml(std::string_view text);

// Each "<svg ...>...</svg>" of a page.
std::vector<std::string> svgs_of(std::string_view page);

}  // namespace tailrace::loadtest::test_results
