// Many fibers get, put, hand on and give up items of one pool on several workers, with cycles going on. The
// oracle: an item carries its holder's number, so two holders of one item notice; what it refers to is its
// holder's; and at the end every item that was made is in the pool or was given up. TAILRACE_SEED repeats a
// run's choices.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <vector>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/pool/bounded_pool.h"
#include "gcruntime/pool/pool.h"
#include "gcruntime/pool/test_turns.h"
#include "gcruntime/sync/channel.h"

namespace tailrace::gc {
namespace {

// `owner` is changed by an atomic exchange: 0, or who holds the item.
std::uint64_t exchange_owner(std::uint64_t& owner, std::uint64_t with) {
  return std::atomic_ref<std::uint64_t>(owner).exchange(with, std::memory_order_relaxed);
}

struct Managed {
  std::uint64_t owner = 0;
  Member<test::Node> node;
  // Says whose it is, in a way that a collected object would lose.
  void mark(std::int64_t value) { node = test::make_node(value); }
  std::int64_t told() const { return node->value; }
  void reset() { node = nullptr; }
};
BOOST_DESCRIBE_STRUCT(Managed, (), (owner, node))

struct Plain {
  Plain() { alive.fetch_add(1, std::memory_order_relaxed); }
  ~Plain() {
    EXPECT_EQ(owner, 0u);
    alive.fetch_sub(1, std::memory_order_relaxed);
  }
  Plain(const Plain&) = delete;
  Plain& operator=(const Plain&) = delete;
  void mark(std::int64_t value) { text = std::to_string(value) + " holds this item at present"; }
  std::int64_t told() const { return std::stoll(text); }
  void reset() { text.clear(); }

  std::uint64_t owner = 0;
  std::string text;
  static inline std::atomic<int> alive{0};
};

template <typename P>
void give_up(Pooled<P>& item) {
  [[maybe_unused]] auto* const released = item.release();
  if constexpr (!P::kManaged) delete released;
}

template <typename P>
class Stress {
 public:
  using T = typename P::value_type;

  explicit Stress(P& pool, bool may_give_up) : pool_(pool), may_give_up_(may_give_up) {}

  // On a fiber.
  void run() {
    constexpr unsigned kFibers = 12;
    constexpr int kCycles = 100;
    const std::uint64_t seed = base::test_seed();
    std::vector<fiber::JoinHandle> fibers;
    for (unsigned i = 0; i < kFibers; ++i) {
      fibers.push_back(fiber::spawn([this, i, seed] { hold(i + 1, seed * 1000 + i); }));
    }
    fiber::JoinHandle receiver = fiber::spawn([this] { receive(); });
    // Each cycle has rounds of the others' before it; they go on until the last is over.
    for (int cycle = 0; cycle < kCycles; ++cycle) {
      const std::uint64_t until = rounds_.load(std::memory_order_relaxed) + 20;
      EXPECT_TRUE(
          fiber::yield_until([&] { return rounds_.load(std::memory_order_relaxed) >= until; }));
      collect();
    }
    stop_.store(true, std::memory_order_relaxed);
    for (auto& each : fibers) each.join();
    line_.close();
    receiver.join();
    EXPECT_EQ(shared_.load(), 0u) << "items with two holders";
    EXPECT_EQ(foreign_.load(), 0u) << "items whose contents were another's";
  }

 private:
  using Item = Pooled<P>;

  void take(Item& item, std::uint64_t who) {
    if (exchange_owner(item->owner, who) != 0) shared_.fetch_add(1, std::memory_order_relaxed);
    item->mark(static_cast<std::int64_t>(who));
  }
  void leave(Item& item, std::uint64_t who) {
    if (item->told() != static_cast<std::int64_t>(who)) {
      foreign_.fetch_add(1, std::memory_order_relaxed);
    }
    if (exchange_owner(item->owner, 0) != who) shared_.fetch_add(1, std::memory_order_relaxed);
  }

  void hold(std::uint64_t who, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    while (!stop_.load(std::memory_order_relaxed)) {
      Item items[3];
      const std::size_t count = 1 + random() % 3;
      for (std::size_t i = 0; i < count; ++i) {
        items[i] = pool_.get();
        if (items[i]) take(items[i], who);
        if (random() % 4 == 0) fiber::yield();
      }
      for (std::size_t i = 0; i < count; ++i) {
        if (!items[i]) continue;
        const std::uint64_t choice = random() % 16;
        if (choice == 0) {
          // The receiver puts it, on whatever worker it is.
          static_cast<void>(line_.send(std::move(items[i])));
          continue;
        }
        leave(items[i], who);
        if (choice == 1) {
          pool_.put(items[i].release());
        } else if (choice == 2 && may_give_up_) {
          give_up(items[i]);
        } else if (choice < 8) {
          items[i].put();
        }  // else at the scope's end
      }
      rounds_.fetch_add(1, std::memory_order_relaxed);
      if (random() % 2 == 0) fiber::yield();
    }
  }

  void receive() {
    for (Item& item : line_) leave(item, item->owner);
  }

  P& pool_;
  const bool may_give_up_;
  fiber::Channel<Item> line_{4};
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> rounds_{0};
  std::atomic<std::uint64_t> shared_{0};
  std::atomic<std::uint64_t> foreign_{0};
};

class PoolStressTest : public fiber::FiberTest {
 protected:
  template <typename P>
  void stress(P& pool, bool may_give_up) {
    SCOPED_TRACE("seed " + std::to_string(base::test_seed()));
    start({.perturb_seed = base::test_seed()});
    run([&] {
      Stress<P> stress(pool, may_give_up);
      stress.run();
    });
    const PoolStats stats = pool.stats();
    EXPECT_EQ(stats.in_use, 0u);
    EXPECT_GT(stats.hits, 0u);
  }
};

TEST_P(PoolStressTest, ManagedItemsHaveOneHolder) {
  const ThreadScope scope;
  Pool<Managed> pool({.name = "test", .items_per_lane = 8});
  stress(pool, true);
  test::collect_and_turn();
  EXPECT_GT(pool.stats().turns, 0u);
}

TEST_P(PoolStressTest, PlainItemsHaveOneHolderAndNoneIsLost) {
  const ThreadScope scope;
  {
    Pool<Plain> pool({.name = "test", .items_per_lane = 8});
    stress(pool, true);
    EXPECT_EQ(Plain::alive, static_cast<int>(pool.stats().items));
    test::collect_and_turn();
    test::collect_and_turn();
    EXPECT_EQ(Plain::alive, 0);
    EXPECT_EQ(pool.stats().items, 0u);
  }
  EXPECT_EQ(Plain::alive, 0);
}

TEST_P(PoolStressTest, ABoundedPoolKeepsItsItems) {
  const ThreadScope scope;
  {
    BoundedPool<Plain> pool({.name = "test", .items_per_lane = 4}, 20);
    stress(pool, false);
    EXPECT_EQ(Plain::alive, 20);
    EXPECT_EQ(pool.stats().items, 20u);
    EXPECT_EQ(pool.stats().evicted, 0u);
  }
  EXPECT_EQ(Plain::alive, 0);
}

TEST_P(PoolStressTest, ABoundedPoolKeepsItsManagedItems) {
  const ThreadScope scope;
  BoundedPool<Managed> pool({.name = "test", .items_per_lane = 4}, 100);
  stress(pool, false);
  EXPECT_EQ(pool.stats().items, 100u);
}

using fiber::worker_name;
TAILRACE_FIBER_TESTS(PoolStressTest);

}  // namespace
}  // namespace tailrace::gc
