#include "gcruntime/sync/context.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/os/clock.h"
#include "gcruntime/sync/select.h"

namespace tailrace::fiber {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kLong = 60'000 * kMs;

class ContextTest : public FiberTest {
 protected:
  void TearDown() override {
    FiberTest::TearDown();
    EXPECT_EQ(internal::context_records(), 0u) << "contexts left";
  }
};
TAILRACE_FIBER_TESTS(ContextTest);

TEST_P(ContextTest, EndsOnceAndSaysWhy) {
  run([] {
    EXPECT_EQ(Context::background().error(), ContextError::kNone);
    EXPECT_EQ(Context::background().remaining_ns(), Context::kNever);
    CancelScope cancelled = with_timeout(Context::background(), kLong);
    EXPECT_FALSE(cancelled.done());
    EXPECT_GT(cancelled.remaining_ns(), kLong / 2);
    EXPECT_LE(cancelled.remaining_ns(), kLong);
    cancelled.cancel();
    cancelled.cancel();
    EXPECT_EQ(cancelled.error(), ContextError::kCancelled);
    EXPECT_EQ(cancelled.remaining_ns(), 0);
    CancelScope late = with_timeout(Context::background(), 0);
    late.cancel();
    EXPECT_EQ(late.error(), ContextError::kDeadline) << "the deadline came before the cancel";
  });
}

TEST_P(ContextTest, ChildrenEndWithTheirParents) {
  run([] {
    CancelScope root = with_cancel(Context::background());
    CancelScope child = with_timeout(root, kLong);
    CancelScope grandchild = with_timeout(child, 2 * kLong);
    EXPECT_EQ(grandchild.deadline_ns(), child.deadline_ns());
    CancelScope sibling = with_cancel(root);
    sibling.cancel();
    EXPECT_FALSE(root.done());
    root.cancel();
    EXPECT_EQ(grandchild.error(), ContextError::kCancelled);
    CancelScope unborn = with_cancel(grandchild);
    EXPECT_EQ(unborn.error(), ContextError::kCancelled);
    EXPECT_TRUE(unborn.wait_until());
  });
}

TEST_P(ContextTest, AScopeEndsWhatItHandedOut) {
  run([] {
    Context kept;
    {
      CancelScope scope = with_cancel(Context::background());
      kept = scope;
      EXPECT_FALSE(kept.done());
    }
    EXPECT_EQ(kept.error(), ContextError::kCancelled);
    // A child keeps its parent's record, a parent no child's.
    const std::size_t before = internal::context_records();
    CancelScope parent = with_cancel(Context::background());
    for (int i = 0; i < 100; ++i) with_cancel(parent).cancel();
    EXPECT_EQ(internal::context_records(), before + 1);
  });
}

TEST_P(ContextTest, SleepIsCutShort) {
  run([] {
    CancelScope scope = with_cancel(Context::background());
    JoinHandle sleeper =
        spawn([&] { EXPECT_EQ(sleep_for_ns(scope, kLong), ContextError::kCancelled); });
    EXPECT_EQ(sleep_for_ns(scope, 2 * kMs), ContextError::kNone);
    scope.cancel();
    sleeper.join();
    CancelScope limited = with_timeout(Context::background(), 2 * kMs);
    EXPECT_EQ(sleep_for_ns(limited, kLong), ContextError::kDeadline);
    EXPECT_EQ(sleep_for_ns(Context::background(), kMs), ContextError::kNone);
  });
}

TEST_P(ContextTest, AChainOfManyIsNoRecursion) {
  run([] {
    constexpr int kDepth = 20'000;
    CancelScope root = with_cancel(Context::background());
    std::vector<CancelScope> chain;
    chain.push_back(with_cancel(root));
    for (int i = 1; i < kDepth; ++i) chain.push_back(with_cancel(chain.back()));
    root.cancel();
    EXPECT_EQ(chain.back().error(), ContextError::kCancelled);
    Context last = chain.back();
    chain.clear();  // the last handle holds all of them
    EXPECT_GE(internal::context_records(), static_cast<std::size_t>(kDepth));
    last = Context::background();
    EXPECT_EQ(internal::context_records(), 1u);
  });
}

TEST_P(ContextTest, ManyChildrenAreTakenAFewAtATime) {
  run([] {
    constexpr std::size_t kChildren = 100'000;
    CancelScope root = with_cancel(Context::background());
    std::vector<CancelScope> children;
    children.reserve(kChildren);
    for (std::size_t i = 0; i < kChildren; ++i) children.push_back(with_cancel(root));
    root.cancel();
    for (const CancelScope& child : children) ASSERT_EQ(child.error(), ContextError::kCancelled);
    EXPECT_GT(internal::most_children_at_once(), 0u);
    EXPECT_LE(internal::most_children_at_once(), 64u);
  });
}

// Who has seen it done finds its case ready, though the canceller has children to take first.
TEST_P(ContextTest, DoneIsReadyAtOnce) {
  for (int round = 0; round < 100; ++round) {
    CancelScope root = with_cancel(Context::background());
    std::vector<CancelScope> children;
    for (int i = 0; i < 64; ++i) children.push_back(with_cancel(root));
    std::atomic<bool> watches{false};
    std::size_t chosen = 9;
    std::thread watcher([&, context = Context(root)] {
      watches = true;
      for (int look = 1; !context.done(); ++look) {
        if (look % 256 == 0) std::this_thread::yield();
      }
      chosen = select(on_done(context), otherwise());
    });
    EXPECT_TRUE(spin_until([&] { return watches.load(); }));
    run([&] { root.cancel(); });
    watcher.join();
    ASSERT_EQ(chosen, 0u) << "round " << round;
  }
}

// Two cancel at once while somebody makes and drops children: when either has returned, all
// children have ended.
TEST_P(ContextTest, TwoCancelWhileChildrenComeAndGo) {
  constexpr int kRounds = 40;
  constexpr int kChildren = 400;
  for (int round = 0; round < kRounds; ++round) {
    CancelScope root = with_cancel(Context::background());
    std::vector<CancelScope> children;
    for (int i = 0; i < kChildren; ++i) children.push_back(with_cancel(root));
    std::atomic<int> ready{0};
    const auto together = [&] {
      ++ready;
      EXPECT_TRUE(spin_until([&] { return ready == 3; }));
    };
    const auto cancel = [&] {
      together();
      root.cancel();
      int alive = 0;
      for (const CancelScope& child : children) alive += child.done() ? 0 : 1;
      EXPECT_EQ(alive, 0);
    };
    std::thread one(cancel);
    std::thread other([&] {
      together();
      for (int turn = 0; turn < 200; ++turn) {
        const bool ended = root.done();
        CancelScope child = with_cancel(root);
        CancelScope grandchild = with_cancel(child);
        EXPECT_TRUE(!ended || grandchild.done());
      }
    });
    run(cancel);
    one.join();
    other.join();
  }
}

// Trees are built, cancelled from several sides, waited on and dropped at the same time.
TEST_P(ContextTest, TreesUnderCancellation) {
  SchedulerOptions options;
  options.perturb_seed = base::test_seed(7);
  SCOPED_TRACE("TAILRACE_SEED=" + std::to_string(options.perturb_seed));
  start(options);
  std::atomic<int> woken{0};
  constexpr int kTrees = 60;
  constexpr int kWaiters = 6;
  run([&] {
    for (int tree = 0; tree < kTrees; ++tree) {
      CancelScope root = with_cancel(Context::background());
      std::vector<JoinHandle> fibers;
      for (int i = 0; i < kWaiters; ++i) {
        fibers.push_back(spawn([&, i, context = Context(root)] {
          for (int drop = 0; drop < i; ++drop) {
            CancelScope dropped = with_cancel(context);
            yield();
          }
          CancelScope middle = with_timeout(context, kLong);
          CancelScope own = with_cancel(middle);
          JoinHandle killer = spawn([&, i] {
            if (i % 2 == 0) middle.cancel();
          });
          EXPECT_TRUE(own.wait_until());
          EXPECT_EQ(own.error(), ContextError::kCancelled);
          killer.join();
          ++woken;
        }));
      }
      for (int i = tree % 7; i > 0; --i) yield();
      root.cancel();
      for (JoinHandle& each : fibers) each.join();
    }
  });
  EXPECT_EQ(woken, kTrees * kWaiters);
}

TEST_P(ContextTest, ThreadsCancelAndWait) {
  scheduler();
  CancelScope scope = with_cancel(Context::background());
  std::atomic<bool> timed_out{false};
  std::thread waiting([&] {
    CancelScope child = with_timeout(scope, kLong);
    EXPECT_FALSE(child.wait_until(os::now_ns() + kMs));
    timed_out = true;
    EXPECT_TRUE(child.wait_until());
  });
  run([&] {
    EXPECT_TRUE(yield_until([&] { return timed_out.load(); }));
    scope.cancel();
  });
  waiting.join();
}

}  // namespace
}  // namespace tailrace::fiber
