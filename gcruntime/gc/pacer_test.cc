// The pacer's functions one by one; what they do together is in pacer_simulation_test.cc.
#include "gcruntime/gc/pacer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "gcruntime/gc/assist_ledger.h"

namespace tailrace::gc {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;
constexpr std::uint64_t mb(std::uint64_t count) { return count * kMebibyte; }

Survivors alive(std::uint64_t bytes) {
  return {.live_bytes = bytes, .found_bytes = bytes, .scanned_bytes = bytes};
}

TEST(Pacer, TheGoalIsWhatIsAliveAndPercentOfIt) {
  EXPECT_EQ(percent_goal(alive(mb(100)), 100), mb(200));
  EXPECT_EQ(percent_goal(alive(mb(100)), 50), mb(150));
  EXPECT_EQ(percent_goal(alive(mb(100)), 0), mb(100));
  EXPECT_EQ(percent_goal(alive(mb(100)), -1), UINT64_MAX);
  Survivors left = alive(mb(100));
  left.stack_bytes = mb(10);
  left.root_bytes = mb(30);
  EXPECT_EQ(percent_goal(left, 100), mb(240));
  left.live_bytes += mb(20);  // born black
  EXPECT_EQ(percent_goal(left, 100), mb(260));
}

TEST(Pacer, MuchThatIsBornBlackTakesRoomAway) {
  Survivors left = alive(mb(100));
  left.live_bytes = mb(125);
  EXPECT_EQ(percent_goal(left, 100), mb(225));
  left.live_bytes = mb(160);
  EXPECT_EQ(percent_goal(left, 100), mb(225));
  left.live_bytes = mb(300);  // a quarter of the room there always is
  EXPECT_EQ(percent_goal(left, 100), mb(325));
}

TEST(Pacer, TheBackstopIsTwoFifthsFurther) {
  Survivors left = alive(mb(100));
  EXPECT_NEAR(static_cast<double>(heap_backstop(left, 100, mb(200))), mb(248), 16);
  EXPECT_NEAR(static_cast<double>(heap_backstop(left, 50, mb(150))), mb(178), 16);
  left.live_bytes = mb(160);
  EXPECT_NEAR(static_cast<double>(heap_backstop(left, 100, mb(225))), mb(248), 16);
  EXPECT_EQ(heap_backstop(left, 100, mb(249)), mb(257)) << "the goal and 8 MiB";
  EXPECT_NEAR(static_cast<double>(heap_backstop(left, 100, mb(170))), mb(218), 16) << "a limit's";
  EXPECT_EQ(heap_backstop(left, -1, mb(500)), mb(558));
  EXPECT_EQ(heap_backstop({}, 100, mb(4)), mb(12));
  EXPECT_EQ(heap_backstop(left, 100, UINT64_MAX), UINT64_MAX);
}

TEST(Pacer, TheSmallestHeapGrowsWithThePercent) {
  EXPECT_EQ(percent_goal({}, 100), mb(4));
  EXPECT_EQ(percent_goal({}, 200), mb(8));
  EXPECT_EQ(percent_goal({}, 25), mb(1));
  EXPECT_EQ(percent_goal(alive(mb(1)), 100), mb(4));
  EXPECT_EQ(percent_goal(alive(mb(3)), 100), mb(6));
}

TEST(Pacer, TheSmallerGoalWins) {
  PacerSettings settings{.percent = 100, .memory_limit_bytes = mb(1000)};
  EXPECT_EQ(heap_goal(alive(mb(100)), settings, 0), mb(200));
  // 1000 - 100, and 3 % of that.
  const std::uint64_t goal = heap_goal(alive(mb(600)), settings, mb(100));
  EXPECT_NEAR(static_cast<double>(goal), static_cast<double>(mb(900)) * 0.97, 100);
  settings.percent = -1;
  EXPECT_EQ(heap_goal(alive(mb(100)), settings, mb(100)), goal);
  settings.memory_limit_bytes = UINT64_MAX;
  EXPECT_EQ(heap_goal(alive(mb(100)), settings, mb(100)), UINT64_MAX);
}

TEST(Pacer, TheGoalIsNeverBelowWhatIsAlive) {
  PacerSettings settings{.percent = 100, .memory_limit_bytes = mb(100)};
  EXPECT_EQ(heap_goal(alive(mb(200)), settings, 0), mb(200));
  EXPECT_EQ(heap_goal(alive(mb(10)), settings, mb(500)), mb(10));
  EXPECT_EQ(limit_goal(alive(0), settings, mb(100)), 0u);
  EXPECT_EQ(limit_goal(alive(0), {.memory_limit_bytes = 0}, 0), 0u);
}

TEST(Pacer, TheLimitGivesWayToTheSmallestPercent) {
  PacerSettings settings{.percent = 100, .memory_limit_bytes = mb(100), .min_percent = 10};
  EXPECT_EQ(heap_goal(alive(mb(200)), settings, 0), mb(220));
  settings.percent = 5;  // asked for by hand: that is not the limit's doing
  EXPECT_EQ(heap_goal(alive(mb(200)), settings, 0), mb(210));
  settings.percent = -1;
  EXPECT_EQ(heap_goal(alive(mb(200)), settings, 0), mb(220));
}

TEST(Pacer, TheTriggerLeavesTheRunwayWithinBounds) {
  EXPECT_EQ(heap_trigger(mb(100), mb(200), mb(20)), mb(180));
  EXPECT_NEAR(static_cast<double>(heap_trigger(mb(100), mb(200), mb(90))), mb(170), 16);
  EXPECT_NEAR(static_cast<double>(heap_trigger(mb(100), mb(200), UINT64_MAX)), mb(170), 16);
  // The latest: 95 % of the way, or 4 MiB before the goal.
  EXPECT_EQ(heap_trigger(mb(100), mb(200), 0), mb(196));
  EXPECT_NEAR(static_cast<double>(heap_trigger(0, mb(10), 0)), mb(10) * 0.95, 16);
  EXPECT_EQ(heap_trigger(mb(200), mb(200), mb(1)), mb(200));
  EXPECT_EQ(heap_trigger(mb(200), UINT64_MAX, mb(1)), UINT64_MAX);
}

// A processor allocates as fast as another one marks: with a quarter for marking, three bytes a byte.
TEST(Pacer, TheRunwayIsWhatIsAllocatedWhileAQuarterMarks) {
  ConsMark cons_mark;
  EXPECT_EQ(runway_bytes(cons_mark.value(), mb(100), 0.25), 0u);
  cons_mark.note({.allocated_bytes = mb(300), .work_bytes = mb(100), .utilisation = 0.25}, 0.25);
  EXPECT_NEAR(cons_mark.value(), 1.0, 1e-9);
  EXPECT_EQ(runway_bytes(cons_mark.value(), mb(100), 0.25), mb(300));
  EXPECT_EQ(runway_bytes(cons_mark.value(), mb(50), 0.25), mb(150));
  EXPECT_EQ(runway_bytes(cons_mark.value(), mb(100), 0.5), mb(100));
  // Half of the processors marked: with a quarter it would have taken twice as long, beside 3 instead of 2.
  ConsMark assisted;
  assisted.note({.allocated_bytes = mb(100), .work_bytes = mb(100), .utilisation = 0.5}, 0.25);
  EXPECT_EQ(runway_bytes(assisted.value(), mb(100), 0.25), mb(300));
  // Slow for other reasons: as long as it was.
  ConsMark slow;
  slow.note({.allocated_bytes = mb(60), .work_bytes = mb(100), .utilisation = 0.01}, 0.25);
  EXPECT_NEAR(static_cast<double>(runway_bytes(slow.value(), mb(100), 0.25)), mb(60), 16);
}

TEST(Pacer, TheDearestOfFiveCyclesCounts) {
  ConsMark cons_mark;
  const auto note = [&](std::uint64_t allocated) {
    cons_mark.note({allocated, mb(100), 0.25}, 0.25);
    return cons_mark.value() * 3 * static_cast<double>(mb(100)) / kMebibyte;
  };
  EXPECT_NEAR(note(mb(30)), 30, 1e-6);
  EXPECT_NEAR(note(mb(300)), 300, 1e-6);
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(note(mb(30)), 300, 1e-6);
  EXPECT_NEAR(note(mb(30)), 30, 1e-6);
  cons_mark.note({mb(500), 0, 0.25}, 0.25);  // nothing to scan: says nothing
  EXPECT_NEAR(note(mb(30)), 30, 1e-6);
}

CyclePlan plan() {
  return {.begin_bytes = mb(180),
          .goal_bytes = mb(200),
          .expected_bytes = mb(100),
          .most_work_bytes = mb(180),
          .percent = 100};
}

TEST(Pacer, AssistsSpreadTheWorkOverTheRunway) {
  EXPECT_NEAR(assist_ratio(plan(), mb(180), 0), 5.0, 1e-9);
  EXPECT_NEAR(assist_ratio(plan(), mb(190), mb(50)), 5.0, 1e-9);
  EXPECT_NEAR(assist_ratio(plan(), mb(190), mb(20)), 8.0, 1e-9);
  EXPECT_NEAR(assist_ratio(plan(), mb(180), mb(100)), 1000.0 / static_cast<double>(mb(20)), 1e-9);
  CyclePlan off = plan();
  off.goal_bytes = UINT64_MAX;
  EXPECT_EQ(assist_ratio(off, mb(500), 0), 0.0);
}

// Go's extrapolation: twice the work, twice the runway.
TEST(Pacer, WhereMoreIsFoundTheGoalIsMoved) {
  // 180 of work where 100 were expected: 20 * 1.8 of runway, so a goal of 216.
  EXPECT_NEAR(assist_ratio(plan(), mb(200), mb(120)), (180.0 - 120) / 16, 1e-9);
  CyclePlan small = plan();
  small.percent = 2;  // no further than 204
  EXPECT_NEAR(assist_ratio(small, mb(200), mb(120)), 60.0 / 4, 1e-9);
  CyclePlan limited = plan();
  limited.limit_goal_bytes = mb(208);
  EXPECT_NEAR(assist_ratio(limited, mb(200), mb(120)), 60.0 / 8, 1e-9);
}

TEST(Pacer, BeyondTheGoalATenthIsLeft) {
  EXPECT_NEAR(assist_ratio(plan(), mb(210), mb(90)), 90.0 / 10, 1e-6);
  // Beyond that it is as dear as can be, and a number all the same.
  EXPECT_GE(assist_ratio(plan(), mb(400), mb(90)), static_cast<double>(mb(90)));
  EXPECT_TRUE(std::isfinite(assist_ratio(plan(), mb(400), mb(500))));
}

TEST(Pacer, ARequestIsAskedForAMillisecondAndALittleForEachMegabyte) {
  EXPECT_EQ(assist_allowance_ns({}), 1'000'000);
  EXPECT_EQ(assist_allowance_ns({.bytes = mb(4)}), 2'000'000);
  EXPECT_EQ(assist_allowance_ns({.bytes = mb(2), .large_bytes = mb(2), .assist_ns = 1'900'000}),
            100'000);
  EXPECT_EQ(assist_allowance_ns({.bytes = mb(4), .assist_ns = 2'000'001}), 0);
}

TEST(Pacer, TheSustainableRateIsGrowthOverTheTimeOfMarking) {
  const MarkRate rate{.bytes_per_core_second = 1e9, .procs = 4, .share = 0.25};
  // 100 MiB of work at 1e9 bytes a second: 0.105 s in which 100 MiB may be allocated.
  EXPECT_NEAR(sustainable_alloc_rate(alive(mb(100)), mb(200), rate), 1e9, 1);
  EXPECT_NEAR(sustainable_alloc_rate(alive(mb(100)), mb(150), rate), 0.5e9, 1);
  Survivors text = alive(mb(100));
  text.scanned_bytes = mb(10);
  EXPECT_NEAR(sustainable_alloc_rate(text, mb(200), rate), 10e9, 10);
  // Stacks are work and no room.
  Survivors stacks = alive(mb(100));
  stacks.stack_bytes = mb(100);
  EXPECT_NEAR(sustainable_alloc_rate(stacks, mb(200), rate), 0.5e9, 1);
  EXPECT_EQ(sustainable_alloc_rate(alive(mb(100)), mb(100), rate), 0.0);
  EXPECT_EQ(sustainable_alloc_rate(alive(mb(100)), mb(200), {}), 0.0);
  EXPECT_TRUE(std::isinf(sustainable_alloc_rate(alive(mb(100)), UINT64_MAX, rate)));
}

TEST(AssistLedger, BackgroundMarkingPaysFirst) {
  AssistLedger ledger;
  ledger.begin(10);
  ledger.done(100);
  ledger.owe(100);
  EXPECT_EQ(ledger.due(), -10);
  EXPECT_EQ(ledger.debt(), 0);
  ledger.owe(40);
  EXPECT_EQ(ledger.due(), 30);
  EXPECT_EQ(ledger.debt(), 40);
  ledger.done(200);  // a slice: the next ones need not pay
  EXPECT_EQ(ledger.due(), -170);
  EXPECT_EQ(ledger.debt(), 0);
}

TEST(AssistLedger, WhatIsLetOffIsDebtThatNobodyIsAskedFor) {
  AssistLedger ledger;
  ledger.begin(0);
  ledger.owe(100);
  ledger.let_off(100);
  EXPECT_EQ(ledger.due(), 0);
  EXPECT_EQ(ledger.debt(), 100);
  ledger.owe(30);
  ledger.done(20);
  ledger.let_off(30);  // of which 10 are due
  EXPECT_EQ(ledger.due(), 0);
  EXPECT_EQ(ledger.debt(), 110);
  ledger.done(500);
  ledger.let_off(30);
  EXPECT_EQ(ledger.debt(), 0);
  ledger.begin(0);
  EXPECT_EQ(ledger.work_done(), 0);
}

}  // namespace
}  // namespace tailrace::gc
