// The whole result as one HTML page: it loads nothing, is readable with scripts blocked, light and dark, on
// a phone and on paper, and each of its charts has its data as a table.
#pragma once

#include <string>

#include "loadtest/result.h"

namespace tailrace::loadtest {

// Below 500 KB, whatever the length of the run: charts and tables have a bounded number of points, and the
// JSON in the page leaves the seconds out where they would not fit.
std::string write_html(const Result& result);

}  // namespace tailrace::loadtest
