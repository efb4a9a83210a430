// BoundedPool: never more than its items, never fewer.
#include "gcruntime/pool/bounded_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/pool/test_turns.h"

namespace tailrace::gc {
namespace {

using test::collect_and_turn;
using test::Node;

struct Parser {
  Parser() {
    ++made;
    ++alive;
  }
  ~Parser() { --alive; }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  void reset() { text.clear(); }

  std::string text;
  static inline std::atomic<int> made{0};
  static inline std::atomic<int> alive{0};
};

struct ParserPolicy : PoolPolicy<Parser> {
  static std::size_t bytes(const Parser& item) noexcept { return item.text.capacity(); }
};
using Parsers = BoundedPool<Parser, ParserPolicy>;

struct Reply {
  Member<Node> node;
  std::int64_t value = 0;
};
BOOST_DESCRIBE_STRUCT(Reply, (), (node, value))

class BoundedPoolTest : public testing::Test {
 protected:
  BoundedPoolTest() { Parser::made = 0; }
  ~BoundedPoolTest() override { EXPECT_EQ(Parser::alive, 0); }

  ThreadScope scope_;
};

TEST_F(BoundedPoolTest, HasItsItemsFromTheStartAndNoMore) {
  Parsers pool("test", 3);
  EXPECT_EQ(Parser::made, 3);
  EXPECT_EQ(pool.stats().items, 3u);
  auto a = pool.get();
  auto b = pool.get();
  auto c = pool.get();
  EXPECT_EQ((std::set<Parser*>{a.get(), b.get(), c.get()}.size()), 3u);
  auto d = pool.get();
  EXPECT_FALSE(d);
  EXPECT_EQ(pool.stats().misses, 1u);
  EXPECT_EQ(pool.stats().in_use, 3u);
  EXPECT_EQ(pool.stats().items, 0u);
  b.put();
  d = pool.get();
  EXPECT_TRUE(d);
  EXPECT_EQ(Parser::made, 3);
  EXPECT_EQ(pool.stats().hits, 4u);
}

TEST_F(BoundedPoolTest, IsNotEmptiedByCycles) {
  BoundedPool<Reply> pool("test", 100);  // more than a lane has room for
  for (int cycle = 0; cycle < 3; ++cycle) collect_and_turn();
  EXPECT_EQ(pool.stats().items, 100u);
  std::array<Pooled<BoundedPool<Reply>>, 100> all;
  for (auto& each : all) {
    each = pool.get();
    ASSERT_TRUE(each);
    each->node = test::make_node(1);
  }
  EXPECT_FALSE(pool.get());
  test::in_own_frame([] { collect(); });
  for (auto& each : all) EXPECT_EQ(each->node->value, 1);
  for (auto& each : all) each.put();
  EXPECT_EQ(pool.stats().items, 100u);
  EXPECT_EQ(pool.stats().dropped(), 0u);
  auto again = pool.get();
  EXPECT_FALSE(again->node);
}

TEST_F(BoundedPoolTest, AnItemThatHasGrownTooLargeIsMadeAgainWhenItIsWanted) {
  Parsers pool({.name = "test", .most_item_bytes = 1000}, 2);
  auto a = pool.get();
  auto b = pool.get();
  a->text.assign(5000, 'x');
  a.put();
  EXPECT_EQ(Parser::alive, 1);
  EXPECT_EQ(pool.stats().dropped_size, 1u);
  EXPECT_EQ(pool.stats().items, 0u);
  auto c = pool.get();
  ASSERT_TRUE(c);
  EXPECT_EQ(Parser::made, 3);
  EXPECT_EQ(pool.stats().misses, 1u);
  EXPECT_FALSE(pool.get());
  b.put();
  c.put();
  EXPECT_EQ(pool.stats().items, 2u);
  EXPECT_EQ(pool.stats().in_use, 0u);
}

TEST_F(BoundedPoolTest, WhatIsReleasedIsMissingUntilItIsPut) {
  Parsers pool("test", 1);
  Parser* const item = pool.get().release();
  EXPECT_FALSE(pool.get());
  EXPECT_EQ(pool.stats().in_use, 0u);
  pool.put(item);
  EXPECT_EQ(pool.get().get(), item);
}

struct ThrowingPolicy : ParserPolicy {
  static Parser* make() {
    if (Parser::made == 5) throw std::runtime_error("no more");
    return new Parser();
  }
};

TEST_F(BoundedPoolTest, IsNotMadeInPart) {
  EXPECT_THROW((BoundedPool<Parser, ThrowingPolicy>("test", 10)), std::runtime_error);
  EXPECT_EQ(Parser::alive, 0);
  const std::vector<PoolStats> all = read_pool_stats();
  EXPECT_TRUE(
      std::none_of(all.begin(), all.end(), [](const PoolStats& s) { return s.name == "test"; }));
}

constexpr std::size_t kLane = 64;
constexpr std::size_t kLongLanes = 20;

// Leaves `items` in the pool, and lanes that have been full and are empty: a look goes through all of their
// words, so that much may happen in the middle of it.
void make_looks_long(Parsers& pool, std::size_t items) {
  std::atomic<std::size_t> ready{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kLongLanes; ++i) {
    threads.emplace_back([&] {
      const ThreadScope scope;
      const auto wait_for = [&](std::size_t count) {
        ready.fetch_add(1);
        native([&] {
          while (ready.load() < count) std::this_thread::yield();
        });
      };
      wait_for(kLongLanes);  // each has a shard of its own
      std::array<Pooled<Parsers>, kLane> all;
      for (auto& each : all) each = pool.get();
      wait_for(2 * kLongLanes);  // nobody takes what another puts
    });
  }
  for (std::thread& thread : threads) test::join(thread);
  std::vector<Parser*> taken;
  while (Parser* const item = pool.get().release()) taken.push_back(item);
  for (std::size_t i = 0; i < taken.size(); ++i) {
    if (i < items) {
      pool.put(taken[i]);
    } else {
      delete taken[i];
    }
  }
}

// [pool.bounded] Two threads only get and two only put, so all items move from lane to lane. A get comes only
// when there is an item for it: it finds one, wherever that was when the look began.
TEST_F(BoundedPoolTest, WhileThereIsAnItemAGetFindsIt) {
  constexpr int kItems = 2;
  constexpr int kRounds = 30'000;
  Parsers pool("test", kItems + kLongLanes * kLane);
  make_looks_long(pool, kItems);
  std::atomic<int> permits{kItems};  // no more than items in the pool
  std::array<std::atomic<Parser*>, kItems> mail{};
  std::atomic<int> empty{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      const ThreadScope scope;
      for (int round = 0; round < kRounds; ++round) {
        native([&] {
          int now = permits.load();
          while (now == 0 || !permits.compare_exchange_weak(now, now - 1)) {
            if (now == 0) std::this_thread::yield();
            now = permits.load();
          }
        });
        Pooled<Parsers> item = pool.get();
        while (!item) {  // so that the count stays right
          empty.fetch_add(1);
          item = pool.get();
        }
        Parser* const sent = item.release();
        for (std::size_t at = 0;; at = (at + 1) % mail.size()) {
          Parser* expected = nullptr;
          if (mail[at].compare_exchange_strong(expected, sent)) break;
        }
      }
    });
    threads.emplace_back([&] {
      const ThreadScope scope;
      for (int round = 0; round < kRounds; ++round) {
        Parser* received = nullptr;
        native([&] {
          for (std::size_t at = 0; received == nullptr; at = (at + 1) % mail.size()) {
            received = mail[at].exchange(nullptr);
            if (received == nullptr && at == 0) std::this_thread::yield();
          }
        });
        pool.put(received);
        permits.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) test::join(thread);
  EXPECT_EQ(empty, 0);
  EXPECT_EQ(pool.stats().items, std::size_t{kItems});
  EXPECT_EQ(pool.stats().in_use, 0u);
}

TEST_F(BoundedPoolTest, WithAnItemForEachHolderNoneHasTwo) {
  constexpr std::size_t kHolders = 4;
  constexpr int kRounds = 20'000;
  Parsers pool("test", kHolders);
  std::atomic<int> empty{0};
  std::atomic<int> shared{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kHolders; ++i) {
    threads.emplace_back([&] {
      const ThreadScope scope;
      for (int round = 0; round < kRounds; ++round) {
        auto item = pool.get();
        if (!item) {
          empty.fetch_add(1);
          continue;
        }
        if (!item->text.empty()) shared.fetch_add(1);
        item->text = "mine";
      }
    });
  }
  for (std::thread& thread : threads) test::join(thread);
  EXPECT_EQ(empty, 0);
  EXPECT_EQ(shared, 0);
  EXPECT_EQ(pool.stats().items, kHolders);
  EXPECT_EQ(pool.stats().hits, kHolders * kRounds);
}

}  // namespace
}  // namespace tailrace::gc
