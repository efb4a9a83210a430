// Pool: what is kept and for how long, what is dropped, and what it tells of itself.
#include "gcruntime/pool/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/base/shard.h"
#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/gc/weak.h"
#include "gcruntime/pool/test_turns.h"

namespace tailrace::gc {
namespace {

using test::collect_and_turn;
using test::Disguised;
using test::in_own_frame;
using test::is_allocated;
using test::Node;

// Managed.
struct Reply {
  Member<Node> node;
  Vector<std::int64_t> numbers;
  std::int64_t value = 0;
  void reset() {
    node = nullptr;
    numbers.clear();
    value = 0;
  }
};
BOOST_DESCRIBE_STRUCT(Reply, (), (node, numbers, value))

// Plain; counted.
struct Plain {
  Plain() { ++alive; }
  ~Plain() { --alive; }
  Plain(const Plain&) = delete;
  Plain& operator=(const Plain&) = delete;
  void clear() { text.clear(); }

  std::string text;
  static inline std::atomic<int> alive{0};
};

struct PlainPolicy : PoolPolicy<Plain> {
  static std::size_t bytes(const Plain& item) noexcept { return item.text.capacity(); }
};
using PlainPool = Pool<Plain, PlainPolicy>;

static_assert(Pool<Reply>::kManaged && Pool<Vector<std::int64_t>>::kManaged);
static_assert(!PlainPool::kManaged && !Pool<std::string>::kManaged);

class PoolTest : public testing::Test {
 protected:
  PoolTest() : percent_(set_percent(-1)) {}
  ~PoolTest() override {
    set_percent(percent_);
    EXPECT_EQ(Plain::alive, 0);
  }

  ThreadScope scope_;

 private:
  const int percent_;
};

TEST_F(PoolTest, GivesBackWhatWasPutAndResetsIt) {
  Pool<Reply> pool("test");
  Reply* first = nullptr;
  {
    auto item = pool.get();
    first = item.get();
    item->node = test::make_node(7);
    item->numbers.push_back(1);
    item->value = 5;
  }
  auto item = pool.get();
  EXPECT_EQ(item.get(), first);
  EXPECT_FALSE(item->node);
  EXPECT_TRUE(item->numbers.empty());
  EXPECT_GT(item->numbers.capacity(), 0u);  // its room stays
  EXPECT_EQ(item->value, 0);
}

TEST_F(PoolTest, WithoutResetOrClearAnItemIsMadeAnewInPlace) {
  struct Pair {
    int a = 1;
    int b = 2;
  };
  Pool<Pair> pool("test");
  {
    auto item = pool.get();
    item->a = item->b = 9;
  }
  auto item = pool.get();
  EXPECT_EQ(item->a, 1);
  EXPECT_EQ(item->b, 2);
  EXPECT_EQ(pool.stats().hits, 1u);
}

TEST_F(PoolTest, TheLastPutIsGotFirst) {
  PlainPool pool("test");
  auto a = pool.get();
  auto b = pool.get();
  Plain* const last = b.get();
  a.put();
  b.put();
  EXPECT_EQ(pool.get().get(), last);
}

TEST_F(PoolTest, AHandleMovesAndPutsOnce) {
  PlainPool pool("test");
  auto a = pool.get();
  Plain* const item = a.get();
  auto b = std::move(a);
  EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(b.get(), item);
  a = std::move(b);
  EXPECT_EQ(a.get(), item);
  a.put();
  EXPECT_FALSE(a);
  a.put();
  EXPECT_EQ(pool.stats().puts(), 1u);
  // Over another item: that one is put.
  auto c = pool.get();
  auto d = pool.get();
  EXPECT_EQ(pool.stats().in_use, 2u);
  c = std::move(d);
  EXPECT_EQ(pool.stats().in_use, 1u);
  EXPECT_EQ(pool.stats().items, 1u);
}

TEST_F(PoolTest, WhatIsReleasedIsTheCallersUntilItIsPut) {
  PlainPool pool("test");
  auto handle = pool.get();
  Plain* const item = handle.release();
  EXPECT_FALSE(handle);
  EXPECT_EQ(pool.stats().in_use, 0u);
  EXPECT_EQ(pool.stats().items, 0u);
  pool.put(item);
  EXPECT_EQ(pool.stats().items, 1u);
  EXPECT_EQ(pool.get().get(), item);
  pool.put(PlainPolicy::make());
  EXPECT_EQ(pool.stats().items, 2u);
  EXPECT_EQ(pool.stats().in_use, 0u);
}

TEST_F(PoolTest, AnItemThatHasGrownTooLargeIsDropped) {
  PlainPool pool({.name = "test", .most_item_bytes = 1000});
  {
    auto item = pool.get();
    item->text.assign(1000, 'x');
    ASSERT_LE(item->text.capacity(), 1000u);
  }
  EXPECT_EQ(pool.stats().items, 1u);
  EXPECT_GE(pool.stats().bytes, 1000u);
  {
    auto item = pool.get();
    EXPECT_TRUE(item->text.empty());
    EXPECT_EQ(pool.stats().bytes, 0u);
    item->text.assign(2000, 'x');
  }
  const PoolStats stats = pool.stats();
  EXPECT_EQ(stats.items, 0u);
  EXPECT_EQ(stats.bytes, 0u);
  EXPECT_EQ(stats.kept, 1u);
  EXPECT_EQ(stats.dropped_size, 1u);
  EXPECT_EQ(Plain::alive, 0);
}

TEST_F(PoolTest, WhatALaneHasNoRoomForIsDropped) {
  PlainPool pool({.name = "test", .items_per_lane = 3});
  {
    std::vector<Pooled<PlainPool>> items;
    for (int i = 0; i < 5; ++i) items.push_back(pool.get());
  }
  const PoolStats stats = pool.stats();
  EXPECT_EQ(stats.misses, 5u);
  EXPECT_EQ(stats.kept, 3u);
  EXPECT_EQ(stats.dropped_full, 2u);
  EXPECT_EQ(stats.items, 3u);
  EXPECT_EQ(Plain::alive, 3);
}

// An item that is used between any two cycles is always there; one that is not lives for one of them.
TEST_F(PoolTest, AnUnusedItemSurvivesOneCycleAndNotTwo) {
  Pool<Reply> pool("test");
  Disguised item;
  in_own_frame([&] { item = Disguised(pool.get().get()); });
  collect_and_turn();
  EXPECT_TRUE(is_allocated(item));
  EXPECT_EQ(pool.stats().items, 1u);
  // Taken from among the victims and put back: present again.
  in_own_frame([&] { EXPECT_EQ(Disguised(pool.get().get()).address(), item.address()); });
  collect_and_turn();
  EXPECT_EQ(pool.stats().items, 1u);
  collect_and_turn();
  EXPECT_EQ(pool.stats().items, 0u);
  EXPECT_EQ(pool.stats().evicted, 1u);
  EXPECT_EQ(pool.stats().bytes, 0u);
  in_own_frame([] { collect(); });
  EXPECT_FALSE(is_allocated(item));
}

TEST_F(PoolTest, PlainItemsAreDestroyedWhenTwoCyclesPassedThemBy) {
  PlainPool pool("test");
  for (int i = 0; i < 3; ++i) pool.get();
  EXPECT_EQ(Plain::alive, 1);
  collect_and_turn();
  EXPECT_EQ(Plain::alive, 1);
  collect_and_turn();
  EXPECT_EQ(Plain::alive, 0);
  EXPECT_EQ(pool.stats().misses, 1u);
}

// The promise of the victim generation: with a cycle after each round of gets, each takes what the round
// before has put, so only the first round misses. One generation would miss in all of them.
TEST_F(PoolTest, OneCycleARoundCostsNoHit) {
  constexpr unsigned kRounds = 20;
  constexpr unsigned kAtOnce = 10;
  Pool<Reply> pool("test");
  for (unsigned round = 0; round < kRounds; ++round) {
    in_own_frame([&] {
      std::array<Pooled<Pool<Reply>>, kAtOnce> items;
      for (auto& item : items) item = pool.get();
    });
    collect_and_turn();
  }
  const PoolStats stats = pool.stats();
  EXPECT_EQ(stats.gets(), kRounds * kAtOnce);
  EXPECT_EQ(stats.misses, kAtOnce);
  EXPECT_EQ(stats.evicted, 0u);
}

// And its limit: of what is used once in two cycles, nothing is left.
TEST_F(PoolTest, TwoCyclesARoundCostAllHits) {
  constexpr unsigned kRounds = 5;
  Pool<Reply> pool("test");
  for (unsigned round = 0; round < kRounds; ++round) {
    in_own_frame([&] { pool.get(); });
    collect_and_turn();
    collect_and_turn();
  }
  EXPECT_EQ(pool.stats().hits, 0u);
  EXPECT_EQ(pool.stats().evicted, kRounds);
}

TEST_F(PoolTest, AFewOfManyAreUsedAndTheOthersGoWithinTwoCycles) {
  PlainPool pool("test");
  {
    std::vector<Pooled<PlainPool>> many;
    for (int i = 0; i < 50; ++i) many.push_back(pool.get());
  }
  EXPECT_EQ(pool.stats().items, 50u);
  for (int cycle = 0; cycle < 2; ++cycle) {
    const auto a = pool.get();
    const auto b = pool.get();
    collect_and_turn();
  }
  pool.get();
  collect_and_turn();
  EXPECT_LE(pool.stats().items, 3u);
  EXPECT_EQ(pool.stats().misses, 50u);
}

// A thread's items do not end with it: whoever comes next takes them.
TEST_F(PoolTest, OthersTakeWhatAThreadHasLeft) {
  PlainPool pool("test");
  std::thread other([&] {
    const ThreadScope scope;
    const auto a = pool.get();
    const auto b = pool.get();
  });
  test::join(other);
  const auto a = pool.get();
  const auto b = pool.get();
  EXPECT_EQ(pool.stats().hits, 2u);
  EXPECT_EQ(pool.stats().misses, 2u);
}

// What others have taken from below leaves room, though the lane is full at its top.
TEST_F(PoolTest, RoomThatThievesHaveMadeIsUsed) {
  PlainPool pool({.name = "test", .items_per_lane = 4});
  auto last = pool.get();
  {
    std::vector<Pooled<PlainPool>> items;
    for (int i = 0; i < 4; ++i) items.push_back(pool.get());
  }
  std::thread thief([&] {
    const ThreadScope scope;
    delete pool.get().release();
  });
  test::join(thief);
  EXPECT_EQ(pool.stats().items, 3u);
  last.put();
  EXPECT_EQ(pool.stats().items, 4u);
  EXPECT_EQ(pool.stats().dropped_full, 0u);
}

// And from among the victims, present ones first.
TEST_F(PoolTest, VictimsOfOthersAreTakenLast) {
  PlainPool pool("test");
  Plain* victim = nullptr;
  Plain* present = nullptr;
  {
    auto a = pool.get();
    auto b = pool.get();
    present = b.get();
    victim = a.get();
    a.put();
    collect_and_turn();
  }
  std::thread other([&] {
    const ThreadScope scope;
    const auto first = pool.get();
    const auto second = pool.get();
    EXPECT_EQ(first.get(), present);
    EXPECT_EQ(second.get(), victim);
  });
  test::join(other);
}

// With all shards leased, further threads use the common one's lane together.
TEST_F(PoolTest, ThreadsWithoutAShardOfTheirOwnShareALane) {
  constexpr unsigned kThreads = base::kShards + 16;
  constexpr int kRounds = 50;
  PlainPool pool("test");
  std::atomic<unsigned> ready{0};
  std::atomic<unsigned> common{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      const ThreadScope scope;
      if (base::current_shard().common()) common.fetch_add(1);
      ready.fetch_add(1);
      native([&] {
        while (ready.load() < kThreads) std::this_thread::yield();
      });
      for (int round = 0; round < kRounds; ++round) {
        auto item = pool.get();
        EXPECT_TRUE(item->text.empty());
        item->text = "held";
        std::this_thread::yield();
        EXPECT_EQ(item->text, "held");
      }
    });
  }
  for (std::thread& thread : threads) test::join(thread);
  EXPECT_GE(common, 16u);
  const PoolStats stats = pool.stats();
  EXPECT_EQ(stats.gets(), kThreads * kRounds);
  EXPECT_EQ(stats.puts(), stats.gets());
  EXPECT_EQ(stats.in_use, 0u);
  EXPECT_EQ(static_cast<int>(stats.items), Plain::alive);
}

TEST_F(PoolTest, AManagedItemKeepsWhatItHasWhileItIsOutAndNotAfter) {
  Pool<Reply> pool("test");
  // By a weak reference: its slot may soon be another object's.
  Weak<Node> node;
  test::on_own_thread([&] {
    auto item = pool.get();
    item->node = test::make_node(3);
    node = Weak<Node>(item->node.get());
    collect();
    EXPECT_EQ(item->node->value, 3);
  });
  collect();
  EXPECT_EQ(node.lock(), nullptr);
}

TEST_F(PoolTest, LivesAsAStaticAndIsListed) {
  static Pool<Reply> pool("test_static");
  pool.get();
  pool.get();
  const std::vector<PoolStats> all = read_pool_stats();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [](const PoolStats& s) { return s.name == "test_static"; });
  ASSERT_NE(found, all.end());
  EXPECT_EQ(found->hits, 1u);
  EXPECT_EQ(found->misses, 1u);
  EXPECT_EQ(found->items, 1u);
  EXPECT_EQ(found->bytes, sizeof(Reply));
}

TEST_F(PoolTest, IsListedForItsLife) {
  const auto listed = [] {
    const std::vector<PoolStats> all = read_pool_stats();
    return std::count_if(all.begin(), all.end(),
                         [](const PoolStats& s) { return s.name == "test_listed"; });
  };
  {
    const PlainPool a("test_listed");
    const PlainPool b("test_listed");
    EXPECT_EQ(listed(), 2);
  }
  EXPECT_EQ(listed(), 0);
}

class PoolFibersTest : public fiber::FiberTest {
 protected:
  PoolFibersTest() : percent_(set_percent(-1)) {}
  ~PoolFibersTest() override { set_percent(percent_); }

 private:
  const int percent_;
};

// An item goes back to the lane of the worker on which its fiber is then.
TEST_P(PoolFibersTest, AFiberMayMoveWhileItHasAnItem) {
  constexpr unsigned kFibers = 32;
  constexpr unsigned kRounds = 100;
  Pool<Reply> pool("test");
  start({.perturb_seed = 7});
  run([&] {
    std::vector<fiber::JoinHandle> fibers;
    for (unsigned i = 0; i < kFibers; ++i) {
      fibers.push_back(fiber::spawn([&pool, i] {
        for (unsigned round = 0; round < kRounds; ++round) {
          auto item = pool.get();
          EXPECT_EQ(item->value, 0);
          item->value = i + 1;
          fiber::yield();
          EXPECT_EQ(item->value, i + 1);
        }
      }));
    }
    for (auto& each : fibers) each.join();
  });
  // Wherever an item was put, what was made is there or was dropped. (How many were made is no promise: who
  // looks through the others' lanes while items move may find none.)
  const PoolStats stats = pool.stats();
  EXPECT_EQ(stats.gets(), kFibers * kRounds);
  EXPECT_EQ(stats.puts(), kFibers * kRounds);
  EXPECT_EQ(stats.in_use, 0u);
  EXPECT_EQ(stats.items, stats.misses - stats.dropped() - stats.evicted);
}

using fiber::worker_name;
TAILRACE_FIBER_TESTS(PoolFibersTest);

}  // namespace
}  // namespace tailrace::gc
