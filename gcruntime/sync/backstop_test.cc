// Allocation that has run ahead of the collector by all that it may: the fiber waits for the cycle, not its
// worker, and no longer than its bounds say.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/allocate.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/sync/context.h"
#include "gcruntime/sync/memory_bounds.h"

namespace tailrace::fiber {
namespace {

constexpr std::size_t kBytes = 8 * 1024;

class BackstopTest : public FiberTest {
 protected:
  // Of the scheduler's fibers, those that wait for memory.
  std::size_t waiting() {
    const std::vector<FiberInfo> fibers = scheduler().dump(1000);
    return static_cast<std::size_t>(
        std::count_if(fibers.begin(), fibers.end(), [](const FiberInfo& each) {
          return each.state == FiberState::kParked && each.reason == WaitReason::kMemory;
        }));
  }
};
TAILRACE_FIBER_TESTS(BackstopTest);

TEST_P(BackstopTest, OthersRunWhileFibersWait) {
  start();
  const gc::HoldCounts holds = gc::read_holds(gc::HoldKind::kStall);
  std::optional<gc::test::NoCycleEnds> none;
  none.emplace();
  std::atomic<bool> enough{false};
  std::vector<JoinHandle> allocating;
  for (unsigned i = 0; i < 2 * workers(); ++i) {
    allocating.push_back(scheduler().spawn([&] {
      while (!enough) gc::allocate_noscan(kBytes);
    }));
  }
  EXPECT_TRUE(spin_until([&] { return waiting() == allocating.size(); }));
  std::atomic<bool> ran{false};
  JoinHandle other = scheduler().spawn([&] { ran = true; });
  EXPECT_TRUE(spin_until([&] { return ran.load(); }));
  enough = true;
  none.reset();
  other.join();
  for (JoinHandle& each : allocating) each.join();
  EXPECT_GE(gc::read_holds(gc::HoldKind::kStall).count(), holds.count() + allocating.size());
}

TEST_P(BackstopTest, TheDeadlineOfTheWorkEndsTheWait) {
  start();
  std::optional<gc::test::NoCycleEnds> none;
  none.emplace();
  std::atomic<bool> ended{false};
  std::atomic<bool> enough{false};
  JoinHandle allocating = scheduler().spawn([&] {
    const CancelScope context = with_timeout(Context(), 20'000'000);
    const MemoryWaitsUnder bounded(context);
    while (!context.done() && !enough) gc::allocate_noscan(kBytes);
    ended = context.done();
  });
  EXPECT_TRUE(spin_until([&] { return ended.load(); }));
  enough = true;
  none.reset();
  allocating.join();
}

TEST_P(BackstopTest, ACancellationEndsTheWait) {
  start();
  std::optional<gc::test::NoCycleEnds> none;
  none.emplace();
  CancelScope context = with_cancel(Context());
  std::atomic<bool> ended{false};
  std::atomic<bool> enough{false};
  JoinHandle allocating = scheduler().spawn([&] {
    const MemoryWaitsUnder bounded(context);
    while (!context.done() && !enough) gc::allocate_noscan(kBytes);
    ended = true;
  });
  EXPECT_TRUE(spin_until([&] { return waiting() == 1; }));
  context.cancel();
  EXPECT_TRUE(spin_until([&] { return ended.load(); }));
  enough = true;
  none.reset();
  allocating.join();
}

}  // namespace
}  // namespace tailrace::fiber
