// A result as CSV (RFC 4180): a row a second, and for a ramp the rate of its step in each row. Times in
// nanoseconds; what is not known is empty, infinity is "inf".
//
// A text that a spreadsheet would take for a formula begins with an apostrophe.
#pragma once

#include <string>
#include <string_view>

#include "loadtest/result.h"

namespace tailrace::loadtest {

std::string csv_field(std::string_view text);
std::string write_csv(const Result& result);

}  // namespace tailrace::loadtest
