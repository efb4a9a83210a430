// Thresholds that decide the exit code: "p99<10ms,err<0.1%". Latencies are those of the response over the
// clean seconds, infinite ones included; err is the share of planned requests that were dropped, timed out,
// failed, or got an unexpected status.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "loadtest/result.h"

namespace tailrace::loadtest {

struct Threshold {
  enum class Of { kPercentile, kMost, kMean, kErrors } of = Of::kPercentile;
  double percent = 0;  // kPercentile
  double bound = 0;    // nanoseconds, or a share of 1
  std::string text;    // as it was written
};

// An error is a message with the remedy.
std::variant<std::vector<Threshold>, std::string> parse_thresholds(std::string_view text);
// A sentence for each that does not hold, or cannot be judged: "p99<10ms: 31.2 ms".
std::vector<std::string> failed(const std::vector<Threshold>& thresholds,
                                const Measurement& measurement);

}  // namespace tailrace::loadtest
