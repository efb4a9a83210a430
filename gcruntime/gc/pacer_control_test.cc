// The pacer at work in this process: who allocates while a cycle marks pays for it, and the figures agree.
#include "gcruntime/gc/pacer_control.h"

#include <gtest/gtest.h>

#include <cmath>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/cycle_stats.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;

struct Leaf {
  Member<Leaf> next;
  std::int64_t value = 0;
};
BOOST_DESCRIBE_STRUCT(Leaf, (), (next, value))

class PacerControlTest : public testing::Test {
 protected:
  ~PacerControlTest() override { configure({}); }

  // A list: one marker at a time, so a cycle takes as long as it can.
  static Leaf* list(int nodes) {
    Leaf* head = nullptr;
    for (int i = 0; i < nodes; ++i) {
      Leaf* node = make<Leaf>();
      node->next = head;
      head = node;
    }
    return head;
  }
  static void allocate(std::uint64_t bytes) {
    for (std::uint64_t made = 0; made < bytes; made += 24) make<Leaf>();
  }
  static PacerStats stats_after_collect() {
    collect();
    return read_pacer_stats();
  }

  ThreadScope scope_;
};

// The collector's thread leaves marking to others for half a millisecond, and there is nobody else.
TEST_F(PacerControlTest, WhoAllocatesWhileACycleMarksPaysAndItIsCountedForIt) {
  configure({.marks_beside = false});
  const Root<Leaf> keep(list(400'000));
  collect();
  const HoldCounts holds = read_holds(HoldKind::kAssist);
  const AllocCounts before = thread_alloc_counts();
  const std::uint64_t cycles = read_mem_stats().num_gc;
  // At the latest it pays at the backstop.
  while (read_holds(HoldKind::kAssist).count() == holds.count()) allocate(kMebibyte);
  allocate(64 * kMebibyte);
  const AllocCounts own = thread_alloc_counts() - before;
  EXPECT_GT(own.assist_ns, 0u);
  EXPECT_EQ(own.assist_ns, read_holds(HoldKind::kAssist).total_ns - holds.total_ns)
      << "nobody else allocates";
  EXPECT_GT(read_mem_stats().num_gc, cycles);
}

TEST_F(PacerControlTest, TheLimiterLetsThoseWhoAllocatePass) {
  configure({.marks_beside = false, .cpu_limit = 0});
  const Root<Leaf> keep(list(400'000));
  while (!gc_cpu_limited()) collect();
  const PacerStats stats = read_pacer_stats();
  EXPECT_TRUE(stats.limiter_on);
  EXPECT_EQ(stats.limiter_fill, 1.0);
  EXPECT_GE(stats.limiter_times, 1u);
  EXPECT_GT(stats.limiter_cycle, 0u);
  const AllocCounts before = thread_alloc_counts();
  const std::uint64_t cycles = read_mem_stats().num_gc;
  while (read_mem_stats().num_gc < cycles + 3) allocate(kMebibyte);
  EXPECT_EQ((thread_alloc_counts() - before).assist_ns, 0u);
  configure({});
  EXPECT_FALSE(gc_cpu_limited() && read_pacer_stats().limiter_fill < 1);
}

// Who waits hurries the collector, but not while the limiter is on: its thread keeps to its quarter then.
TEST_F(PacerControlTest, WhileTheLimiterIsOnWhoWaitsHurriesNobody) {
  const Root<Leaf> keep(list(1'000'000));
  configure({.percent = -1, .cpu_limit = 0});
  while (!gc_cpu_limited()) collect();
  const std::uint64_t before = read_cycle_stats().cpu(GcCpu::kBackground);
  const std::int64_t begin_ns = os::now_ns();
  for (int i = 0; i < 3; ++i) collect();
  const std::uint64_t used = read_cycle_stats().cpu(GcCpu::kBackground) - before;
  // Of one processor; in a hurry it would be all of it. Handshakes and weak references are beside the budget.
  EXPECT_LE(used, static_cast<std::uint64_t>(os::now_ns() - begin_ns) / 5 * 3);
  EXPECT_TRUE(gc_cpu_limited());
}

TEST_F(PacerControlTest, TheFiguresAgree) {
  const Root<Leaf> keep(list(100'000));
  const PacerStats stats = stats_after_collect();
  EXPECT_GE(stats.live_bytes, 100'000u * 24);
  EXPECT_LE(stats.live_bytes, stats.trigger_bytes);
  EXPECT_LE(stats.trigger_bytes, stats.goal_bytes);
  EXPECT_GE(stats.goal_bytes, 2 * 100'000u * 24);
  EXPECT_EQ(read_mem_stats().next_gc, read_pacer_stats().goal_bytes);
  EXPECT_GT(stats.mark_bytes_per_core_second, 0);
  EXPECT_GT(stats.sustainable_alloc_bytes_per_second, 0);
  EXPECT_TRUE(std::isfinite(stats.sustainable_alloc_bytes_per_second));
  EXPECT_EQ(assist_debt_bytes(), 0u) << "no cycle marks";
  EXPECT_GE(stats_after_collect().gc_cpu_share, 0);
}

TEST_F(PacerControlTest, ThePercentMovesGoalAndTriggerAtOnce) {
  const Root<Leaf> keep(list(400'000));
  const PacerStats whole = stats_after_collect();
  set_percent(50);
  const PacerStats half = read_pacer_stats();
  EXPECT_LT(half.goal_bytes, whole.goal_bytes);
  EXPECT_LT(half.sustainable_alloc_bytes_per_second, whole.sustainable_alloc_bytes_per_second);
  EXPECT_EQ(set_percent(-1), 50);
  const PacerStats off = read_pacer_stats();
  EXPECT_EQ(off.goal_bytes, UINT64_MAX);
  EXPECT_EQ(off.trigger_bytes, UINT64_MAX);
  EXPECT_TRUE(std::isinf(off.sustainable_alloc_bytes_per_second));
  const std::uint64_t cycles = read_mem_stats().num_gc;
  allocate(64 * kMebibyte);
  EXPECT_EQ(read_mem_stats().num_gc, cycles);
}

// Nobody is at the backstop and nobody waits: it is not reached by chance either.
TEST_F(PacerControlTest, AStallIsOneHoldAsLongAsItWas) {
  configure({.percent = 10, .marks_beside = false});
  const Root<Leaf> keep(list(1'000'000));
  collect();
  const HoldCounts before = read_holds(HoldKind::kStall);
  const std::uint64_t cycles = read_mem_stats().num_gc;
  while (read_mem_stats().num_gc < cycles + 20) allocate(kMebibyte);
  HoldCounts after = read_holds(HoldKind::kStall);
  // At most one a cycle: there is one thread.
  EXPECT_LE(after.count() - before.count(), read_mem_stats().num_gc - cycles + 1);
}

}  // namespace
}  // namespace tailrace::gc
