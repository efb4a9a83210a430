// What the synthetic server answers to GET /metrics: the names that the tailrace server has, as far
// as the load tool reads them, in Prometheus' text format.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "loadtest/synthetic_model.h"

namespace tailrace::loadtest {

// Requests answered, by method and status. Methods as in method_label(), so that there are few.
using AnswerCounts = std::map<std::pair<std::string_view, int>, std::uint64_t>;

// "get", "post", ...; "unknown" for what is not among the usual ones. Lives for ever.
std::string_view method_label(std::string_view method);

std::string synthetic_metrics(const SyntheticFigures& figures, const AnswerCounts& answers,
                              double resident_bytes);

}  // namespace tailrace::loadtest
