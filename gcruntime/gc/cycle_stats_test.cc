// The sums over cycles.
#include "gcruntime/gc/cycle_stats.h"

#include <gtest/gtest.h>

#include <thread>

namespace tailrace::gc {
namespace {

// Cycles of the real collector may end meanwhile, so sums only have lower bounds.
TEST(CycleStats, CyclesAreCountedByTheirRounds) {
  const CycleStats before = read_cycle_stats();
  note_cycle(
      {.rounds = 3, .forced = true, .fibers_held = 2, .marked_bytes = 64, .marked_objects = 4});
  note_cycle({.rounds = 40});
  note_cycle({.rounds = 0});
  const CycleStats after = read_cycle_stats();
  EXPECT_GE(after.cycles(), before.cycles() + 3);
  EXPECT_GE(after.rounds[2], before.rounds[2] + 1);
  EXPECT_GE(after.rounds[CycleStats::kMostRounds - 1],
            before.rounds[CycleStats::kMostRounds - 1] + 1);
  EXPECT_GE(after.rounds[0], before.rounds[0] + 1);
  EXPECT_GE(after.rounds_total, before.rounds_total + 44);
  EXPECT_GE(after.forced, before.forced + 1);
  EXPECT_GE(after.fibers_held, before.fibers_held + 2);
  EXPECT_GE(after.marked_bytes, before.marked_bytes + 64);
  EXPECT_GE(after.marked_objects, before.marked_objects + 4);
}

TEST(CycleStats, CpuTimeIsCountedByKind) {
  const CycleStats before = read_cycle_stats();
  std::thread other([] { note_gc_cpu(GcCpu::kAssist, 1000); });
  note_gc_cpu(GcCpu::kAssist, 500);
  note_gc_cpu(GcCpu::kSweep, 7);
  note_gc_cpu(GcCpu::kSweep, -7);
  other.join();
  const CycleStats after = read_cycle_stats();
  EXPECT_GE(after.cpu(GcCpu::kAssist), before.cpu(GcCpu::kAssist) + 1500);
  EXPECT_GE(after.cpu(GcCpu::kSweep), before.cpu(GcCpu::kSweep) + 7);
  EXPECT_GE(after.all_cpu_ns(), before.all_cpu_ns() + 1507);
}

}  // namespace
}  // namespace tailrace::gc
