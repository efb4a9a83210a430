// What spawned fibers allocate reaches the account of the one that spawned them: once, and in time.
#include "gcruntime/fiber/spawn_account.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "gcruntime/base/annotations.h"
#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/allocate.h"

namespace tailrace::fiber {
namespace {

constexpr std::uint64_t kSlot = 64;

void allocate(std::uint64_t objects) {
  for (std::uint64_t i = 0; i < objects; ++i) gc::allocate_noscan(kSlot);
}

class SpawnAccountTest : public FiberTest {
 protected:
  static void add_late(void* to, const gc::AllocCounts& counts) noexcept {
    static_cast<SpawnAccountTest*>(to)->late_.fetch_add(counts.objects, std::memory_order_relaxed);
  }
  static std::uint64_t close(SpawnAccount& account) {
    account.close();
    return account.settled().objects;
  }
  std::uint64_t late() const { return late_.load(std::memory_order_relaxed); }

  std::atomic<std::uint64_t> late_{0};
};
TAILRACE_FIBER_TESTS(SpawnAccountTest);

TEST_P(SpawnAccountTest, WhatIsJoinedIsSettledWithItsOwnChildren) {
  run([&] {
    SpawnAccount account(&add_late, this);
    EXPECT_TRUE(account.empty());
    EXPECT_EQ(account.settled().objects, 0u);
    std::vector<JoinHandle> children;
    for (std::uint64_t i = 1; i <= 4; ++i) {
      children.push_back(spawn([i] {
        allocate(10 * i);
        spawn([i] {
          yield();
          allocate(i);
        }).join();
      }));
    }
    allocate(1000);  // its own: no part of it
    for (JoinHandle& child : children) child.join();
    EXPECT_EQ(account.settled().objects, 110u);
    EXPECT_TRUE(account.close());
    const gc::AllocCounts all = account.settled();
    EXPECT_EQ(all.objects, 110u);
    EXPECT_EQ(all.bytes, 110 * kSlot);
    // The children's of their children; sanitizers' operators count nothing.
    EXPECT_EQ(all.malloc_bytes > 0, !TAILRACE_ASAN && !TAILRACE_TSAN);
  });
  EXPECT_EQ(late(), 0u);
}

TEST_P(SpawnAccountTest, WhatComesAfterTheCloseIsLate) {
  std::atomic<bool> closed{false};
  run([&] {
    JoinHandle child;
    JoinHandle second;
    {
      SpawnAccount account(&add_late, this);
      spawn([] { allocate(5); }).join();
      child = spawn([&] {
        allocate(3);
        EXPECT_TRUE(yield_until([&] { return closed.load(); }));
        spawn([] { allocate(4); }).join();
      });
      EXPECT_EQ(close(account), 5u);
      second = spawn([] { allocate(20); });
      second.join();
      EXPECT_EQ(close(account), 5u);
      EXPECT_EQ(late(), 20u);
    }
    closed = true;  // the child outlives the account
    child.join();
  });
  EXPECT_EQ(late(), 27u);
}

TEST_P(SpawnAccountTest, NobodyClosedItSoAllIsLate) {
  run([&] {
    {
      const SpawnAccount account(&add_late, this);
      spawn([] { allocate(7); }).join();
      EXPECT_EQ(late(), 0u);
    }
    EXPECT_EQ(late(), 7u);
    spawn([] { allocate(100); }).join();  // nobody's
  });
  EXPECT_EQ(late(), 7u);
}

TEST_P(SpawnAccountTest, TheInnerOneCountsAsLongAsItStands) {
  run([&] {
    SpawnAccount outer(&add_late, this);
    {
      SpawnAccount inner(&add_late, this);
      spawn([] { allocate(2); }).join();
      EXPECT_EQ(close(inner), 2u);
    }
    EXPECT_TRUE(outer.empty());
    spawn([] { allocate(3); }).join();
    EXPECT_EQ(close(outer), 3u);
  });
  EXPECT_EQ(late(), 0u);
}

// Wherever the close falls between the ends of many, nothing is lost and nothing is told twice.
TEST_P(SpawnAccountTest, EachByteIsToldOnce) {
  constexpr unsigned kRounds = 20;
  constexpr unsigned kChildren = 16;
  std::uint64_t in_time = 0;
  start({.perturb_seed = 11});
  run([&] {
    for (unsigned round = 0; round < kRounds; ++round) {
      std::vector<JoinHandle> children;
      SpawnAccount account(&add_late, this);
      for (unsigned i = 0; i < kChildren; ++i) {
        children.push_back(spawn([i] {
          allocate(i);
          yield();
          allocate(1);
        }));
      }
      for (unsigned i = 0; i < round; ++i) yield();
      in_time += close(account);
      for (JoinHandle& child : children) child.join();
    }
  });
  EXPECT_EQ(in_time + late(), kRounds * (kChildren * (kChildren - 1) / 2 + kChildren));
}

}  // namespace
}  // namespace tailrace::fiber
