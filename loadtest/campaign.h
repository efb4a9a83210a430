// A series of rates held one after the other against one target: `run` holds one, `ramp` a staircase. Joins
// what was measured with the server's own counters, and refuses what the generator cannot do.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "loadtest/exit_code.h"
#include "loadtest/measure.h"
#include "loadtest/options.h"
#include "loadtest/result.h"

namespace tailrace::loadtest {

struct CampaignPlan {
  std::string kind;  // run, ramp
  std::vector<double> rates;
  std::int64_t duration_ns = 0;  // of each
  std::int64_t rest_ns = 0;      // between two
  // Ends a staircase when two steps in a row lost a fifth of their requests.
  bool stop_when_lost = false;
};

struct CampaignHooks {
  // What happens now, for a terminal; may be empty.
  std::function<void(const std::string& line)> say;
  std::function<void(double rate, const Progress& progress)> progress;
  std::function<void(const Measurement& measurement)> step_done;
};

struct Refusal {
  ExitCode code = kUsage;
  std::string message;
};

// Blocks for as long as it takes. A refusal comes before the first request, or if the target is lost between
// two steps and there is nothing to report; else the result holds what was measured.
std::variant<Result, Refusal> hold_rates(const Load& load, const CampaignPlan& plan,
                                         const CampaignHooks& hooks);

// The exit code that a result stands for: interrupted, then unreachable, invalid, threshold, pass.
ExitCode exit_code_of(const Result& result);

}  // namespace tailrace::loadtest
