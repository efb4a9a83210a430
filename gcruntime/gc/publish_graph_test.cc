// publish of graphs: identity, depth, beside cycles, and without memory.
#include "gcruntime/gc/publish.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/test_seed.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/memory_limit.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_publish.h"

namespace tailrace::gc {
namespace {

using test::expect_user;
using test::faded_objects;
using test::in_arena_range;
using test::make_user;
using test::Node;
using test::text;
using test::User;

class PublishGraphTest : public test::PublishFixture {};

struct Knot {
  std::int64_t value = 0;
  Member<Knot> left;
  Member<const Knot> right;
  Atomic<Knot> current;
  Vector<Member<Knot>> more;
  Map<std::int64_t, Member<Knot>> by_number;
  String name;
};
BOOST_DESCRIBE_STRUCT(Knot, (), (value, left, right, current, more, by_number, name))

TEST_F(PublishGraphTest, CyclesStayCyclesAndSharingStaysSharing) {
  with_arena([] {
    Knot* a = make<Knot>();
    Knot* b = make<Knot>();
    Knot* on_heap = heap_make<Knot>();
    a->left = a;
    a->right = b;
    a->current.store(b);
    a->more.push_back(b);
    a->more.push_back(nullptr);
    a->more.push_back(on_heap);
    a->by_number.insert(1, b);
    b->left = a;
    b->name = text("b");
    Knot* copy = publish(a);
    Knot* other = copy->current.load();
    EXPECT_FALSE(in_arena_range(copy) || in_arena_range(other));
    EXPECT_NE(other, copy);
    EXPECT_EQ(copy->left, copy);
    EXPECT_EQ(copy->right, other);
    EXPECT_EQ(copy->more[0], other);
    EXPECT_EQ(copy->more[1], nullptr);
    EXPECT_EQ(copy->more[2], on_heap);
    EXPECT_EQ(*copy->by_number.find(1), other);
    EXPECT_EQ(other->left, copy);
    EXPECT_EQ(other->name, text("b"));
    EXPECT_EQ(faded_objects(), 0u);
  });
}

TEST_F(PublishGraphTest, LongTextsThatAreSharedStayShared) {
  with_arena([] {
    Vector<String> texts;
    const String shared(std::string(5000, 'x'));
    const String other(std::string(5000, 'y'));
    for (int i = 0; i < 50; ++i) {
      texts.push_back(shared);
      texts.push_back(other);
    }
    const Vector<String> copy = publish(texts);
    EXPECT_FALSE(in_arena_range(copy[0].data()));
    EXPECT_EQ(copy[0], shared);
    EXPECT_EQ(copy[1], other);
    for (std::size_t i = 2; i < copy.size(); ++i) EXPECT_EQ(copy[i].data(), copy[i % 2].data());
  });
}

constexpr std::int64_t kMany = TAILRACE_ASAN || TAILRACE_TSAN ? 50'000 : 1'000'000;

TEST_F(PublishGraphTest, AChainOfManyObjectsNeedsNoDeepStack) {
  const ArenaOptions options{.max_bytes = std::uint64_t{1} << 30, .label = "chain"};
  Node* kept = with_arena(
      [] {
        Node* first = nullptr;
        for (std::int64_t i = 0; i < kMany; ++i) {
          Node* node = make<Node>();
          node->value = i;
          node->next = first;
          first = node;
        }
        Node* copy = publish(first);
        first->value = 0;
        return copy;
      },
      options);
  disturb();
  std::int64_t expected = kMany;
  for (const Node* node = kept; node != nullptr; node = node->next.get()) {
    ASSERT_EQ(node->value, --expected);
    ASSERT_FALSE(in_arena_range(node));
  }
  EXPECT_EQ(expected, 0);
}

struct Tree {
  std::int64_t value = 0;
  Vector<Tree> children;
};
BOOST_DESCRIBE_STRUCT(Tree, (), (value, children))
TEST_F(PublishGraphTest, DeeplyNestedContainersNeedNoDeepStack) {
  const ArenaOptions options{.max_bytes = std::uint64_t{1} << 30, .label = "nested"};
  Tree* kept = with_arena(
      [] {
        Tree* tree = make<Tree>();
        for (std::int64_t i = 1; i < kMany / 10; ++i) {
          Tree* outer = make<Tree>();
          outer->value = i;
          outer->children.push_back(Tree());
          outer->children.push_back(std::move(*tree));
          tree = outer;
        }
        return publish(tree);
      },
      options);
  disturb();
  const Tree* tree = kept;
  for (std::int64_t i = kMany / 10 - 1; i > 0; --i, tree = &tree->children[1]) {
    ASSERT_EQ(tree->value, i);
    ASSERT_EQ(tree->children.size(), 2u);
    ASSERT_FALSE(in_arena_range(tree->children.data()));
  }
  EXPECT_TRUE(tree->children.empty());
}

// --- Under stress ----------------------------------------------------------------------------------

// Random graphs, of which a part is on the heap: the copy looks the same, shares that part and has nothing
// else in common.
TEST_F(PublishGraphTest, CopiesOfRandomGraphsAreIsomorphic) {
  std::mt19937_64 random(base::test_seed());
  const int rounds = TAILRACE_ASAN || TAILRACE_TSAN ? 20 : 100;
  for (int round = 0; round < rounds; ++round) {
    with_arena([&] {
      const std::size_t count = 1 + random() % 300;
      Vector<Member<Knot>> knots;
      std::size_t on_heap = 0;
      for (std::size_t i = 0; i < count; ++i) {
        // Those on the heap come first: they point to each other only, or what they point to would fade.
        const bool heap = i < count / 4;
        on_heap += heap ? 1 : 0;
        Knot* knot = heap ? heap_make<Knot>() : make<Knot>();
        knot->value = static_cast<std::int64_t>(i);
        knot->name = String(std::string(random() % 40, 'n'));
        knots.push_back(knot);
      }
      for (std::size_t i = 0; i < count; ++i) {
        Knot* knot = knots[i].get();
        const std::size_t most = i < on_heap ? on_heap : count;
        const auto any = [&] { return random() % 4 == 0 ? nullptr : knots[random() % most].get(); };
        knot->left = any();
        knot->right = any();
        knot->current.store(any());
        for (std::size_t n = random() % 4; n > 0; --n) knot->more.push_back(any());
        for (std::size_t n = random() % 4; n > 0; --n) {
          knot->by_number.insert_or_assign(static_cast<std::int64_t>(random() % 100), any());
        }
      }
      const std::uint64_t faded_before = faded_objects();
      const Knot* from = knots[random() % count].get();
      const Knot* to = publish(from);
      ASSERT_EQ(faded_objects(), faded_before);

      std::unordered_map<const Knot*, const Knot*> copies;
      std::unordered_map<const Knot*, const Knot*> originals;
      std::vector<std::pair<const Knot*, const Knot*>> todo;
      const auto meet = [&](const Knot* a, const Knot* b) {
        ASSERT_EQ(a == nullptr, b == nullptr);
        if (a == nullptr) return;
        ASSERT_FALSE(in_arena_range(b));
        ASSERT_EQ(a == b, !in_arena_range(a));
        const bool fresh = copies.emplace(a, b).second;
        ASSERT_EQ(originals.emplace(b, a).second, fresh);
        ASSERT_EQ(copies[a], b);
        ASSERT_EQ(originals[b], a);
        if (fresh) todo.emplace_back(a, b);
      };
      meet(from, to);
      while (!todo.empty() && !HasFatalFailure()) {
        const auto [a, b] = todo.back();
        todo.pop_back();
        ASSERT_EQ(a->value, b->value);
        ASSERT_EQ(a->name, b->name);
        meet(a->left.get(), b->left.get());
        meet(a->right.get(), b->right.get());
        meet(a->current.load(), b->current.load());
        ASSERT_EQ(a->more.size(), b->more.size());
        for (std::size_t i = 0; i < a->more.size(); ++i) meet(a->more[i].get(), b->more[i].get());
        ASSERT_EQ(a->by_number.size(), b->by_number.size());
        for (const auto& entry : a->by_number) {
          const Member<Knot>* other = b->by_number.find(entry.key);
          ASSERT_NE(other, nullptr);
          meet(entry.value.get(), other->get());
        }
      }
    });
    if (HasFatalFailure()) return;
  }
}

// The collector marks the copies while they are being filled.
TEST_F(PublishGraphTest, CopiesLiveThroughCyclesThatRunMeanwhile) {
  std::atomic<bool> stop{false};
  std::thread collecting([&stop] {
    const ThreadScope scope;
    while (!stop.load(std::memory_order_relaxed)) collect();
  });
  const auto enough = read_mem_stats().num_gc + 50;
  const Root<Vector<Member<User>>> users;
  Root<Node> chain;
  constexpr std::int64_t kNodes = 2000;
  for (int round = 0; round < 100 || read_mem_stats().num_gc < enough; ++round) {
    with_arena([&] {
      if (users->size() < 300) users->push_back(publish(make_user()));
      Node* first = nullptr;
      for (std::int64_t i = 0; i < kNodes; ++i) {
        Node* node = make<Node>();
        node->value = i;
        node->next = first;
        first = node;
      }
      chain = publish(first);
    });
    std::int64_t expected = kNodes;
    for (const Node* node = chain.get(); node != nullptr; node = node->next.get()) {
      ASSERT_EQ(node->value, --expected);
    }
    ASSERT_EQ(expected, 0);
  }
  stop.store(true, std::memory_order_relaxed);
  test::join(collecting);
  disturb();
  for (const Member<User>& user : *users) expect_user(*user);
}

TEST_F(PublishGraphTest, WithoutMemoryNothingIsPublished) {
  const Root<Vector<Member<User>>> kept;
  const ArenaOptions options{.max_bytes = std::uint64_t{1} << 30, .label = "no memory"};
  free_os_memory();  // what is idle would do
  with_arena(
      [&] {
        auto* users = make<Vector<Member<User>>>();
        while (mutator()->arena->bytes_so_far() < std::uint64_t{16} << 20) {
          users->push_back(make_user());
        }
        const std::uint64_t limit = set_memory_limit(accounted_bytes() + (std::uint64_t{2} << 20));
        bool refused = false;
        try {
          *kept = publish(*users);
        } catch (const MemoryLimitExceeded&) {
          refused = true;
        }
        set_memory_limit(limit);
        EXPECT_TRUE(refused);
        EXPECT_TRUE(kept->empty());
        EXPECT_EQ(faded_objects(), 0u);
        // There is room again.
        *kept = publish(*users);
        EXPECT_EQ(faded_objects(), 0u);
        for (const Member<User>& user : *users) expect_user(*user);
      },
      options);
  disturb();
  ASSERT_GT(kept->size(), 1000u);
  for (const Member<User>& user : *kept) {
    ASSERT_FALSE(in_arena_range(user.get()));
    expect_user(*user);
  }
}

}  // namespace
}  // namespace tailrace::gc
