// See limit_warnings.h.
#include "server/limit_warnings.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "server/units.h"

namespace tailrace::http {
namespace {

// From here on a percentage is high: such a service counts on cycles being rare.
constexpr int kHighPercent = 200;
// A limit below twice what lives makes cycles more frequent than percent 100 would.
constexpr std::uint64_t kRoomyFactor = 2;
// The live heap may move by so much about a bound before it is told again.
constexpr unsigned kMarginPercent = 10;

// `bytes` x numerator / 10, without overflow for anything that fits into an address space.
constexpr std::uint64_t tenths(std::uint64_t bytes, unsigned numerator) {
  return bytes / 10 * numerator + bytes % 10 * numerator / 10;
}

std::string no_bound(const LimitFacts& facts, unsigned) {
  if (facts.gc_percent >= 0 || facts.memory_limit != kOff) return {};
  return "gc-percent is off and there is no memory limit, so nothing starts a cycle and the heap "
         "grows "
         "until the process is killed; give --memory-limit SIZE, or --gc-percent N";
}

std::string above_group(const LimitFacts& facts, unsigned) {
  if (facts.memory_limit == kOff || !facts.group.memory_bytes ||
      facts.memory_limit <= *facts.group.memory_bytes) {
    return {};
  }
  return "the memory limit of " + readable_size(facts.memory_limit) + " is above the cgroup's " +
         readable_size(*facts.group.memory_bytes) +
         ", so the kernel kills the process before the collector holds back; give --memory-limit " +
         std::to_string(soft_limit_of(*facts.group.memory_bytes) >> 20) + "MiB, or leave it out";
}

std::string below_live(const LimitFacts& facts, unsigned margin_percent) {
  if (facts.memory_limit == kOff) return {};
  const std::uint64_t wanted = tenths(facts.live_bytes, 11);
  if (facts.memory_limit >= wanted + wanted / 100 * margin_percent) return {};
  return "the memory limit of " + readable_size(facts.memory_limit) + " is below 1.1x the " +
         readable_size(facts.live_bytes) +
         " that are live, so cycles follow each other and requests wait or are answered 503; raise "
         "--memory-limit to " +
         std::to_string((wanted >> 20) + 1) + "MiB at least, or keep less";
}

std::string tight(const LimitFacts& facts, unsigned margin_percent) {
  if (facts.memory_limit == kOff || facts.gc_percent < kHighPercent) return {};
  const std::uint64_t wanted = kRoomyFactor * facts.live_bytes;
  if (facts.memory_limit >= wanted + wanted / 100 * margin_percent) return {};
  const std::uint64_t room = facts.memory_limit - std::min(facts.live_bytes, facts.memory_limit);
  return "gc-percent " + std::to_string(facts.gc_percent) + " wants " +
         readable_size(facts.live_bytes / 100 * static_cast<unsigned>(facts.gc_percent)) +
         " between two cycles, but the memory limit of " + readable_size(facts.memory_limit) +
         " leaves " + readable_size(room) + " over the " + readable_size(facts.live_bytes) +
         " that are live, so cycles come more often than at gc-percent 100; raise --memory-limit "
         "to " +
         std::to_string((wanted >> 20) + 1) + "MiB at least, or lower --gc-percent";
}

std::string above_quota(const LimitFacts& facts, unsigned) {
  if (!facts.group.cpus || facts.max_procs <= std::max(std::ceil(*facts.group.cpus), 1.0)) {
    return {};
  }
  return "max-procs " + std::to_string(facts.max_procs) + " is above the cgroup's CPU quota of " +
         readable_cpus(*facts.group.cpus) +
         ", so the kernel stops every thread for a part of each period; give --max-procs " +
         std::to_string(allowed_cpus(facts.group)) + ", or leave it out";
}

}  // namespace

std::string readable_cpus(double cpus) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", cpus);
  return text;
}

std::optional<std::string> warning_of(LimitWarning kind, const LimitFacts& facts,
                                      unsigned margin_percent) {
  using Rule = std::string (*)(const LimitFacts&, unsigned);
  static constexpr Rule kRules[kLimitWarnings] = {no_bound, above_group, below_live, tight,
                                                  above_quota};
  std::string text = kRules[static_cast<unsigned>(kind)](facts, margin_percent);
  return text.empty() ? std::nullopt : std::optional(std::move(text));
}

std::vector<std::string> LimitWarnings::look(const LimitFacts& facts) {
  std::vector<std::string> begun;
  for (unsigned i = 0; i < kLimitWarnings; ++i) {
    const auto kind = static_cast<LimitWarning>(i);
    std::optional<std::string> text = warning_of(kind, facts, on_[i] ? kMarginPercent : 0);
    if (text && !on_[i]) begun.push_back(std::move(*text));
    on_[i] = text.has_value();
  }
  return begun;
}

}  // namespace tailrace::http
