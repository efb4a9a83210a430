// What stops the program: items and pools used against their rules. But for the pool's end, builds with
// debug checks notice.
#include "gcruntime/pool/pool_guard.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "gcruntime/gc/test_support.h"
#include "gcruntime/pool/bounded_pool.h"
#include "gcruntime/pool/pool.h"

namespace tailrace::gc {
namespace {

using test::Node;

struct Plain {
  void reset() noexcept { value = 0; }
  long value = 0;
};

struct Managed {
  Member<Node> node;
  long value = 0;
};
BOOST_DESCRIBE_STRUCT(Managed, (), (node, value))

class PoolDeathTest : public testing::Test {
 protected:
  PoolDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }

  ThreadScope scope_;
};

TEST_F(PoolDeathTest, APoolThatEndsBeforeItsItemIsNamed) {
  EXPECT_DEATH(
      {
        std::optional<Pool<Plain>> pool;
        pool.emplace("test");
        auto item = pool->get();
        pool.reset();
      },
      "ended while items of it were out");
}

TEST_F(PoolDeathTest, ABoundedPoolTakesNoMoreThanItHas) {
  EXPECT_DEATH(
      {
        BoundedPool<Plain> pool({.name = "test", .items_per_lane = 1}, 1);
        for (int i = 0; i < 3; ++i) pool.put(new Plain());
      },
      "than it has");
}

TEST_F(PoolDeathTest, APoolHasAName) { EXPECT_DEATH(Pool<Plain> pool(""), "a pool has a name"); }

#if TAILRACE_DCHECKS
TEST_F(PoolDeathTest, AnEmptyHandleIsNotUsed) {
  Pool<Plain> pool("test");
  auto item = pool.get();
  item.put();
  EXPECT_DEATH(item->value = 1, "empty handle");
}

TEST_F(PoolDeathTest, AHandleOfAManagedItemLivesWhereTheCollectorLooks) {
  Pool<Managed> pool("test");
  EXPECT_DEATH(std::make_unique<Pooled<Pool<Managed>>>(pool.get()), "use Root<T>");
}
#endif

#if TAILRACE_POOL_GUARD
TEST_F(PoolDeathTest, PuttingTwiceIsNoticed) {
  Pool<Plain> pool("test");
  Plain* const item = pool.get().release();
  pool.put(item);
  EXPECT_DEATH(pool.put(item), "put into its pool twice");
}

TEST_F(PoolDeathTest, PuttingAManagedItemTwiceIsNoticed) {
  Pool<Managed> pool("test");
  Managed* const item = pool.get().release();
  pool.put(item);
  EXPECT_DEATH(pool.put(item), "put into its pool twice");
}

TEST_F(PoolDeathTest, WritingToAnItemInThePoolIsNoticed) {
  Pool<Plain> pool("test");
  EXPECT_DEATH(
      {
        volatile Plain* const item = pool.get().get();
        item->value = 7;
        pool.get();
      },
      TAILRACE_ASAN ? "use-after-poison" : "written to after it had been put");
}

TEST_F(PoolDeathTest, WritingToAManagedItemInThePoolIsNoticed) {
  Pool<Managed> pool("test");
  EXPECT_DEATH(
      {
        volatile Managed* const item = pool.get().get();
        item->value = 7;
        pool.get();
      },
      "written to after it had been put");
}
#endif

#if TAILRACE_ASAN
TEST_F(PoolDeathTest, ReadingAnItemInThePoolIsNoticed) {
  Pool<Plain> pool("test");
  EXPECT_DEATH(
      {
        volatile Plain* const item = pool.get().get();
        static_cast<void>(item->value);
      },
      "use-after-poison");
}
#endif

}  // namespace
}  // namespace tailrace::gc
