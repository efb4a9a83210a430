// What is due next on one worker: the plan of the warm-up, then that of the measured part, and
// between them the later steps of sessions, all in the order of their due times.
//
// Not synchronised.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <queue>
#include <vector>

#include "loadtest/plan.h"
#include "loadtest/request.h"

namespace tailrace::loadtest {

class Schedule {
 public:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  // Sessions that think at one time.
  static constexpr std::size_t kThinkingMost = 1 << 20;

  // `settings` is of the measured part; before it comes `warm_up_ns` of the same rate, Poisson if a
  // trace is measured, from another seed.
  Schedule(const PlanSettings& settings, std::int64_t warm_up_ns,
           const std::vector<double>& weights, unsigned worker);

  // `origin_ns`: when the measured part begins. Once, before the rest.
  void start(std::int64_t origin_ns);
  // Nothing is due at or after this time.
  void end_at(std::int64_t end_ns) noexcept { end_ns_ = end_ns; }

  // kNever if nothing will be due, but for steps that are yet to come.
  std::int64_t next_ns() const noexcept;
  Due pop();
  // A later step. False if too many wait already; one that is due after the end is forgotten.
  bool think(const Due& step);

 private:
  struct Later {
    bool operator()(const Due& a, const Due& b) const noexcept { return a.due_ns > b.due_ns; }
  };
  void advance();

  std::optional<Plan> warm_up_;
  Plan measured_;
  std::int64_t warm_up_ns_;
  std::int64_t origin_ns_ = 0;
  std::int64_t end_ns_ = kNever;
  Due next_;  // of the plans
  bool planned_ = false;
  std::priority_queue<Due, std::vector<Due>, Later> thinking_;
};

// Of the warm-up that goes before.
PlanSettings warm_up_plan(const PlanSettings& settings, std::int64_t warm_up_ns);

}  // namespace tailrace::loadtest
