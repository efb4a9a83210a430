// See schedule.h.
#include "loadtest/schedule.h"

#include <algorithm>

namespace tailrace::loadtest {
namespace {

constexpr std::uint64_t kWarmUpSeed = 0x9E3779B97F4A7C15;

}  // namespace

PlanSettings warm_up_plan(const PlanSettings& settings, std::int64_t warm_up_ns) {
  PlanSettings result = settings;
  result.duration_ns = warm_up_ns;
  result.seed ^= kWarmUpSeed;
  // No counter of the warm-up comes again in the measured part.
  result.first_number += PlanSettings::kPartNumbers;
  if (settings.kind == ArrivalKind::kTrace && settings.trace != nullptr) {
    result.kind = ArrivalKind::kPoisson;
    const std::int64_t lasts = settings.duration_ns > 0 || settings.trace->empty()
                                   ? settings.duration_ns
                                   : settings.trace->back();
    const auto within = std::upper_bound(settings.trace->begin(), settings.trace->end(), lasts);
    result.rate_per_second = static_cast<double>(within - settings.trace->begin()) *
                             static_cast<double>(kSecondNs) /
                             static_cast<double>(std::max<std::int64_t>(lasts, 1));
    result.trace = nullptr;
  }
  return result;
}

Schedule::Schedule(const PlanSettings& settings, std::int64_t warm_up_ns,
                   const std::vector<double>& weights, unsigned worker)
    : measured_(settings, weights, worker), warm_up_ns_(std::max<std::int64_t>(warm_up_ns, 0)) {
  if (warm_up_ns_ > 0) {
    const PlanSettings before = warm_up_plan(settings, warm_up_ns_);
    if (before.rate_per_second > 0) warm_up_.emplace(before, weights, worker);
  }
}

void Schedule::start(std::int64_t origin_ns) {
  origin_ns_ = origin_ns;
  advance();
}

void Schedule::advance() {
  Arrival arrival;
  planned_ = true;
  if (warm_up_) {
    if (warm_up_->next(arrival)) {
      next_ = {origin_ns_ - warm_up_ns_ + arrival.due_ns, arrival.draw, arrival.number,
               arrival.route, 0};
      return;
    }
    warm_up_.reset();
  }
  if (measured_.next(arrival)) {
    next_ = {origin_ns_ + arrival.due_ns, arrival.draw, arrival.number, arrival.route, 0};
  } else {
    planned_ = false;
  }
}

std::int64_t Schedule::next_ns() const noexcept {
  std::int64_t next = planned_ ? next_.due_ns : kNever;
  if (!thinking_.empty()) next = std::min(next, thinking_.top().due_ns);
  return next < end_ns_ ? next : kNever;
}

Due Schedule::pop() {
  if (!thinking_.empty() && (!planned_ || thinking_.top().due_ns < next_.due_ns)) {
    const Due due = thinking_.top();
    thinking_.pop();
    return due;
  }
  const Due due = next_;
  advance();
  return due;
}

bool Schedule::think(const Due& step) {
  if (step.due_ns >= end_ns_) return true;
  if (thinking_.size() >= kThinkingMost) return false;
  thinking_.push(step);
  return true;
}

}  // namespace tailrace::loadtest
