// A tree of YAML as the text of a JSON document, fields of templates left in place; and the refusal
// that reading a scenario ends with. For scenario_parser.cc.
#pragma once

#include <string>

namespace YAML {
class Node;
}

namespace tailrace::loadtest {

// Thrown, and caught by Scenario::parse().
struct Refusal {
  std::string message;
};
[[noreturn]] void refuse(const YAML::Node& at, const std::string& message);

// Plain true, false, null and JSON numbers stay what they are, everything else is a string. A
// string that is a single field of a number is written without quotes. Throws Refusal: depth 64, 16
// MiB.
std::string json_text(const YAML::Node& tree);

}  // namespace tailrace::loadtest
