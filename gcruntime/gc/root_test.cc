// Root: who keeps what alive, wherever the Root is.
#include "gcruntime/gc/root.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/root_table.h"
#include "gcruntime/gc/test_support.h"

namespace tailrace::gc {
namespace {

using test::Disguised;
using test::in_own_frame;
using test::is_allocated;
using test::Node;

class RootTest : public testing::Test {
 protected:
  // A node that only `f` puts somewhere; the test sees it disguised.
  template <typename F>
  Disguised with_node(std::int64_t value, F&& f) {
    Disguised result;
    in_own_frame([&] {
      Node* node = make<Node>();
      node->value = value;
      result = Disguised(node);
      f(node);
    });
    return result;
  }
  static bool alive(Disguised object) {
    bool result = false;
    in_own_frame([] { collect(); });
    in_own_frame([&] { result = is_allocated(object); });
    return result;
  }

  ThreadScope scope_;
};

TEST_F(RootTest, KeepsItsObjectUntilItIsSetOrEnds) {
  auto root = std::make_unique<Root<Node>>();
  EXPECT_FALSE(*root);
  const Disguised first = with_node(1, [&](Node* node) { *root = node; });
  EXPECT_TRUE(alive(first));
  in_own_frame([&] { EXPECT_EQ((*root)->value, 1); });
  const Disguised second = with_node(2, [&](Node* node) { *root = node; });
  EXPECT_FALSE(alive(first));
  EXPECT_TRUE(alive(second));
  in_own_frame([&] { root.reset(); });
  EXPECT_FALSE(alive(second));
}

TEST_F(RootTest, ACopyIsARootOfItsOwnAndAMoveTakesIt) {
  using Owner = std::unique_ptr<Root<Node>>;
  auto first = std::make_unique<Root<Node>>();
  Owner copy;
  Owner moved;
  auto assigned = std::make_unique<Root<Node>>();
  const Disguised node = with_node(1, [&](Node* object) { *first = object; });
  in_own_frame([&] {
    copy = std::make_unique<Root<Node>>(*first);
    first.reset();
  });
  EXPECT_TRUE(alive(node));
  in_own_frame([&] {
    moved = std::make_unique<Root<Node>>(std::move(*copy));
    EXPECT_FALSE(*copy);
    copy.reset();
  });
  EXPECT_TRUE(alive(node));
  in_own_frame([&] {
    *assigned = *moved;
    *moved = nullptr;
  });
  EXPECT_TRUE(alive(node));
  in_own_frame([&] {
    const Root<Node>& self = *assigned;
    *assigned = self;
  });
  EXPECT_TRUE(alive(node));
  in_own_frame([&] {
    *moved = std::move(*assigned);
    assigned.reset();
  });
  EXPECT_TRUE(alive(node));
  in_own_frame([&] { moved.reset(); });
  EXPECT_FALSE(alive(node));
}

TEST_F(RootTest, LivesInMallocMemoryOfAllKinds) {
  std::vector<Disguised> nodes;
  std::vector<Root<Node>> vector;
  std::map<int, Root<Node>> map;
  std::function<std::int64_t()> function;
  std::optional<Root<Node>> optional;
  const auto add = [&](std::int64_t value, auto&& put) { nodes.push_back(with_node(value, put)); };
  for (int i = 0; i < 100; ++i) add(i, [&](Node* node) { vector.emplace_back(node); });
  add(100, [&](Node* node) { map.emplace(1, Root<Node>(node)); });
  add(101, [&](Node* node) { function = [root = Root<Node>(node)] { return root->value; }; });
  add(102, [&](Node* node) { optional.emplace(node); });
  for (const Disguised node : nodes) EXPECT_TRUE(alive(node));
  in_own_frame([&] {
    EXPECT_EQ(vector[42]->value, 42);
    EXPECT_EQ(function(), 101);
  });
  in_own_frame([&] {
    vector.clear();
    map.clear();
    function = nullptr;
    optional.reset();
  });
  for (const Disguised node : nodes) EXPECT_FALSE(alive(node));
}

struct Failure {
  Root<Node> node;
};

TEST_F(RootTest, LivesInAnExceptionInFlight) {
  Disguised node;
  try {
    node = with_node(7, [](Node*) {});
    in_own_frame([&] {
      Node* object = make<Node>();
      object->value = 8;
      node = Disguised(object);
      throw Failure{Root<Node>(object)};
    });
  } catch (const Failure& failure) {
    test::overwrite_dead_frames();
    EXPECT_TRUE(alive(node));
    in_own_frame([&] { EXPECT_EQ(failure.node->value, 8); });
  }
  test::overwrite_dead_frames();
  EXPECT_FALSE(alive(node));
}

TEST_F(RootTest, OwnsContainers) {
  std::unique_ptr<Root<Vector<Member<Node>>>> vector;
  in_own_frame([&] {
    vector = std::make_unique<Root<Vector<Member<Node>>>>();
    EXPECT_TRUE((*vector)->empty());
  });
  const Disguised node = with_node(1, [&](Node* object) { (*vector)->push_back(object); });
  EXPECT_TRUE(alive(node));
  std::unique_ptr<Root<Vector<Member<Node>>>> copy;
  in_own_frame([&] {
    copy = std::make_unique<Root<Vector<Member<Node>>>>(*vector);
    (*copy)->push_back(nullptr);
    EXPECT_EQ((*vector)->size(), 1u);  // a copy's vector is its own
    vector.reset();
  });
  EXPECT_TRUE(alive(node));
  in_own_frame([&] { EXPECT_EQ((**copy)[0]->value, 1); });
  Root<String> text{String("a text of more than fifteen bytes")};
  Root<Map<String, String>> map;
  map->insert(*text, *text);
  in_own_frame([] { collect(); });
  EXPECT_EQ(*text, "a text of more than fifteen bytes");
  EXPECT_EQ(*map->find("a text of more than fifteen bytes"), *text);
  in_own_frame([&] { copy.reset(); });
  EXPECT_FALSE(alive(node));
}

TEST_F(RootTest, CellsAreUsedAgain) {
  { std::vector<Root<Node>> warm(20'000, Root<Node>(make<Node>())); }
  const std::size_t bytes = root_table_bytes();
  for (int i = 0; i < 50; ++i) {
    const std::vector<Root<Node>> roots(20'000, Root<Node>(make<Node>()));
    ASSERT_EQ(roots.back()->value, 0);
  }
  EXPECT_EQ(root_table_bytes(), bytes);
}

TEST_F(RootTest, ANullRootNeedsNoCell) {
  const std::size_t bytes = root_table_bytes();
  const std::vector<Root<Node>> roots(100'000);
  EXPECT_EQ(root_table_bytes(), bytes);
}

TEST_F(RootTest, ThreadsMakeAndDestroyRootsUnderCycles) {
  std::atomic<int> left{3};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      const ThreadScope scope;
      std::vector<Root<Node>> roots;
      for (std::int64_t i = 0; i < 30'000; ++i) {
        Node* node = make<Node>();
        node->value = t;
        roots.emplace_back(node);
        if (roots.size() == 100) {
          for (const Root<Node>& root : roots) ASSERT_EQ(root->value, t);
          roots.erase(roots.begin(), roots.begin() + 1 + i % 99);
        }
      }
      left.fetch_sub(1, std::memory_order_release);
    });
  }
  while (left.load(std::memory_order_acquire) > 0) collect();
  native([&] {
    for (std::thread& thread : threads) thread.join();
  });
}

// A static Root ends after main's ThreadScope.
TEST(Root, MayEndOnAThreadThatIsNotAttached) {
  std::optional<Root<Node>> root;
  Disguised node;
  std::thread([&] {
    const ThreadScope scope;
    root.emplace(make<Node>());
    node = Disguised(root->get());
  }).join();
  std::thread([&] { root.reset(); }).join();
  const ThreadScope scope;
  collect();
  EXPECT_FALSE(is_allocated(node));
}

TEST(RootDeathTest, WritingOneUnattachedStopsWithAMessage) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        std::optional<Root<Node>> root;
        std::thread([&] {
          const ThreadScope scope;
          root.emplace(make<Node>());
        }).join();
        *root = nullptr;
      },
      "not attached");
}

}  // namespace
}  // namespace tailrace::gc
