// Results as JSON: what results.json holds, and what compare and report read.
//
// Keys are snake_case with the unit last and keep their meaning within a schema; a reader ignores keys that
// it does not know. What is not known is null, infinity is the text "inf". Histograms are texts as
// metrics/histogram.h writes them. The "summary" of a measurement is for people and scripts: it is made
// of the rest when written, and not read.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "loadtest/result.h"

namespace tailrace::loadtest {

enum class JsonDetail {
  kWhole,
  // Without the seconds, for a page that is read and not computed with; read_json() refuses it.
  kSummary,
};
std::string write_json(const Result& result, JsonDetail detail);
std::string write_json(const Result& result);

// An error is a message that says where and what to do.
std::variant<Result, std::string> read_json(std::string_view text);

}  // namespace tailrace::loadtest
