// Percentiles in the text format of HdrHistogram, in milliseconds, so that the plotters made for it read
// them.
//
// Infinite latencies have no number in that format: they count in the total, and the percentiles among
// them have the value that the caller gives, the timeout.
#pragma once

#include <string>

#include "loadtest/latency.h"

namespace tailrace::loadtest {

std::string write_hgrm(const Latencies& latencies, std::int64_t timeout_ns);

}  // namespace tailrace::loadtest
