// What is due next, whichever of its sources it comes from.
#include "loadtest/schedule.h"

#include <gtest/gtest.h>

#include <set>

namespace tailrace::loadtest {
namespace {

constexpr std::int64_t kOrigin = 1'000 * kSecondNs;

PlanSettings settings() {
  PlanSettings plan;
  plan.rate_per_second = 1000;
  plan.duration_ns = kSecondNs;
  return plan;
}

std::vector<Due> all(Schedule& schedule) {
  std::vector<Due> dues;
  while (schedule.next_ns() != Schedule::kNever) dues.push_back(schedule.pop());
  return dues;
}

TEST(ScheduleTest, IsThePlanAfterAWarmUpOfAnotherSeed) {
  Schedule schedule(settings(), kSecondNs, {1}, 0);
  schedule.start(kOrigin);
  std::set<std::uint64_t> numbers;
  std::vector<Due> warm_up;
  std::vector<Due> measured;
  for (const Due& due : all(schedule)) {
    (due.due_ns < kOrigin ? warm_up : measured).push_back(due);
    EXPECT_TRUE(numbers.insert(due.number).second);
  }
  Plan plan(settings(), {1}, 0);
  Arrival arrival;
  for (const Due& due : measured) {
    ASSERT_TRUE(plan.next(arrival));
    EXPECT_EQ(due.due_ns, kOrigin + arrival.due_ns);
    EXPECT_EQ(due.draw, arrival.draw);
    EXPECT_EQ(due.number, arrival.number);
  }
  EXPECT_FALSE(plan.next(arrival));
  ASSERT_GT(warm_up.size(), 800U);
  EXPECT_GE(warm_up.front().due_ns, kOrigin - kSecondNs);
  EXPECT_NE(warm_up.front().draw, measured.front().draw);
}

TEST(ScheduleTest, LaterStepsComeInTheirOrder) {
  Schedule schedule(settings(), 0, {1}, 0);
  schedule.start(kOrigin);
  std::int64_t before = 0;
  std::size_t steps = 0;
  std::size_t arrivals = 0;
  while (schedule.next_ns() != Schedule::kNever) {
    EXPECT_GE(schedule.next_ns(), before);
    const Due due = schedule.pop();
    EXPECT_EQ(due.due_ns, std::max(before, due.due_ns));
    before = due.due_ns;
    if (due.step == 0) {
      ++arrivals;
      Due later = due;
      later.step = 1;
      later.due_ns += static_cast<std::int64_t>(arrivals % 7) * kMillisecondNs;
      EXPECT_TRUE(schedule.think(later));
    } else {
      ++steps;
    }
  }
  EXPECT_EQ(arrivals, steps);
}

TEST(ScheduleTest, NothingIsDueAtTheEnd) {
  Schedule schedule(settings(), 0, {1}, 0);
  schedule.start(kOrigin);
  schedule.end_at(kOrigin + kSecondNs / 2);
  Due step;
  step.step = 1;
  step.due_ns = kOrigin + kSecondNs / 2;
  EXPECT_TRUE(schedule.think(step)) << "forgotten, which is no want of room";
  std::size_t count = 0;
  for (const Due& due : all(schedule)) {
    EXPECT_LT(due.due_ns, kOrigin + kSecondNs / 2);
    EXPECT_EQ(due.step, 0U);
    ++count;
  }
  EXPECT_GT(count, 300U);
  EXPECT_LT(count, 700U);
}

TEST(ScheduleTest, ThinkingSessionsAreBounded) {
  Schedule schedule(settings(), 0, {1}, 0);
  schedule.start(kOrigin);
  Due step;
  step.due_ns = kOrigin;
  for (std::size_t i = 0; i < Schedule::kThinkingMost; ++i) ASSERT_TRUE(schedule.think(step));
  EXPECT_FALSE(schedule.think(step));
}

TEST(ScheduleTest, TheWarmUpOfATraceHasItsMeanRate) {
  PlanSettings trace;
  trace.kind = ArrivalKind::kTrace;
  trace.trace = std::make_shared<const std::vector<std::int64_t>>(
      std::vector<std::int64_t>{0, kSecondNs, 2 * kSecondNs, 2 * kSecondNs});
  const PlanSettings before = warm_up_plan(trace, 5 * kSecondNs);
  EXPECT_EQ(before.kind, ArrivalKind::kPoisson);
  EXPECT_EQ(before.duration_ns, 5 * kSecondNs);
  EXPECT_DOUBLE_EQ(before.rate_per_second, 2);
}

}  // namespace
}  // namespace tailrace::loadtest
