// What may stand in a request's line and headers. A check gives an empty string, or what is wrong
// and the remedy.
#pragma once

#include <string>
#include <string_view>

#include "loadtest/template.h"

namespace tailrace::loadtest {

bool same_header(std::string_view a, std::string_view b) noexcept;

std::string check_method(std::string_view method);
// A path with or without query, as it goes on the wire: nothing is percent-encoded for the user.
std::string check_target(const Template& target);
// A token, and none of those that are counted from the body.
std::string check_header_name(std::string_view name);
// No line breaks and no other control characters: they would end the header and begin another.
std::string check_header_value(const Template& value);

}  // namespace tailrace::loadtest
