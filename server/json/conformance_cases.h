// Documents that a strict JSON reader must accept or refuse, in the classes of the well-known
// conformance suites: arrays, numbers, objects, strings, structure. Written for these tests.
#pragma once

#include <span>
#include <string>

namespace tailrace::json {

struct AcceptCase {
  std::string text;
  std::string minified;  // empty: the text itself
};

std::span<const AcceptCase> accept_cases();
std::span<const std::string> reject_cases();
// Documents on which readers may differ, with this reader's choice.
std::span<const AcceptCase> chosen_accept_cases();
std::span<const std::string> chosen_reject_cases();

}  // namespace tailrace::json
