// What is wrong with limits that do not fit each other, or what lives: one line each, with the numbers and
// the remedy, when it begins and not again until it was better.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/cgroup.h"

namespace tailrace::http {

struct LimitFacts {
  int gc_percent = 100;                     // -1: off
  std::uint64_t memory_limit = UINT64_MAX;  // off
  std::uint64_t live_bytes = 0;             // what counts against the limit and no cycle frees
  unsigned max_procs = 1;
  CgroupLimits group{};
};

enum class LimitWarning : std::uint8_t {
  kNoBound,     // gc-percent off and no limit
  kAboveGroup,  // the limit lies above the control group's
  kBelowLive,   // the limit is below 1.1x live
  kTight,       // a high percentage that the limit leaves no room for
  kAboveQuota,  // more workers than the CPU quota feeds
};
inline constexpr unsigned kLimitWarnings = 5;

// "1.5", for messages.
std::string readable_cpus(double cpus);

// The line, or nothing if all is well. `margin_percent`: how much better than the bound it must be for that;
// used against figures that move to and fro about it.
std::optional<std::string> warning_of(LimitWarning kind, const LimitFacts& facts,
                                      unsigned margin_percent = 0);

// One thread at a time.
class LimitWarnings {
 public:
  // Those that have begun since the last look.
  std::vector<std::string> look(const LimitFacts& facts);

 private:
  bool on_[kLimitWarnings] = {};
};

}  // namespace tailrace::http
