// Containers obey the escape rule: what they make lies where their owner lives, what is put into them or moved
// between them fades where it escapes, and growing changes neither.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/escape_scene.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/root.h"

namespace tailrace::gc {
namespace {

using internal::is_unfaded;
using test::in_arena_range;
using test::make_node;
using test::Node;

constexpr const char* kLongText = "a text that is too long to stand in its handle";

using NodeMap = Map<String, Member<Node>>;
struct Owner {
  Vector<Member<Node>> nodes;
  Vector<std::int64_t> numbers;
  Vector<Vector<String>> texts;
  NodeMap map;
  String text;
};
BOOST_DESCRIBE_STRUCT(Owner, (), (nodes, numbers, texts, map, text))

enum class Where { kStack, kArena, kFaded, kHeap };

// An owner in that place, while `body` runs in the arena.
template <typename Body>
void with_owner(Where where, Body&& body) {
  Root<Owner> root;
  with_arena([&] {
    switch (where) {
      case Where::kStack: {
        Owner owner;
        body(owner, false);
        break;
      }
      case Where::kArena: {
        Owner* const owner = make<Owner>();
        ASSERT_TRUE(is_unfaded(owner));
        body(*owner, false);
        EXPECT_TRUE(is_unfaded(owner));
        break;
      }
      case Where::kFaded: {
        root = make<Owner>();
        ASSERT_TRUE(in_arena_range(root.get()));
        ASSERT_FALSE(is_unfaded(root.get()));
        body(*root, true);
        break;
      }
      case Where::kHeap: {
        root = heap_make<Owner>();
        ASSERT_FALSE(in_arena_range(root.get()));
        body(*root, true);
        break;
      }
    }
  });
  collect();
}

class EscapeContainers : public testing::TestWithParam<Where> {
 protected:
  // As the owner lives: in the arena and unfaded, or not in the arena at all, as what a container makes is
  // made where it is to be.
  static void expect_place(const void* made, bool outlives) {
    EXPECT_EQ(is_unfaded(made), !outlives);
    EXPECT_EQ(in_arena_range(made), !outlives);
  }
  ThreadScope scope_;
  test::NoCycles no_cycles_;
};

TEST_P(EscapeContainers, AVectorsGrowth) {
  with_owner(GetParam(), [](Owner& owner, bool outlives) {
    Node* const aside = make_node(-1);
    for (int i = 0; i < 3000; ++i) {
      Node* const node = make_node(i);
      node->next = make_node(i);
      aside->next = node;
      EXPECT_TRUE(is_unfaded(node));
      owner.nodes.push_back(node);
      EXPECT_EQ(is_unfaded(node), !outlives);
      EXPECT_EQ(is_unfaded(node->next.get()), !outlives);
      expect_place(owner.nodes.data(), outlives);
      owner.numbers.push_back(i);
      expect_place(owner.numbers.data(), outlives);
    }
    EXPECT_TRUE(is_unfaded(aside));
    for (int i = 0; i < 3000; ++i) ASSERT_EQ(owner.nodes[static_cast<std::size_t>(i)]->value, i);
  });
}

TEST_P(EscapeContainers, AMapsGrowthAndItsTexts) {
  with_owner(GetParam(), [](Owner& owner, bool outlives) {
    for (int i = 0; i < 1000; ++i) {
      Node* const node = make_node(i);
      const String key(kLongText + std::to_string(i));
      EXPECT_TRUE(is_unfaded(key.data()));
      switch (i % 3) {
        case 0:
          owner.map.insert(key, node);
          break;
        case 1:
          owner.map.insert_or_assign(key, node);
          break;
        default:
          owner.map[key] = node;
      }
      EXPECT_EQ(is_unfaded(key.data()), !outlives);
      EXPECT_EQ(is_unfaded(node), !outlives);
      if (i % 5 == 0) owner.map.erase(key);
    }
    for (const auto& entry : std::as_const(owner.map)) {
      EXPECT_EQ(is_unfaded(entry.value.get()), !outlives);
      EXPECT_EQ(is_unfaded(entry.key.data()), !outlives);
    }
    expect_place(&*owner.map.begin(), outlives);
    // Rehashed by churn, and by reserve.
    owner.map.reserve(5000);
    expect_place(&*owner.map.begin(), outlives);
  });
}

TEST_P(EscapeContainers, AString) {
  with_owner(GetParam(), [](Owner& owner, bool outlives) {
    owner.text = kLongText;
    EXPECT_EQ(is_unfaded(owner.text.data()), !outlives);
    const String own(kLongText);
    EXPECT_TRUE(is_unfaded(own.data()));
    owner.text = own;
    EXPECT_EQ(own.data(), owner.text.data());
    EXPECT_EQ(is_unfaded(own.data()), !outlives);
    owner.text.assign_padded(std::string_view("a text that is too long to be inline, padded"
                                              "................")
                                 .substr(0, 44));
    EXPECT_EQ(is_unfaded(owner.text.data()), !outlives);
    owner.text = concat(std::string_view(kLongText), std::string_view(kLongText));
    EXPECT_EQ(is_unfaded(owner.text.data()), !outlives);
    StringBuilder builder;
    for (int i = 0; i < 100; ++i) builder.append(std::int64_t{i});
    owner.text = builder.finish();
    EXPECT_EQ(is_unfaded(owner.text.data()), !outlives);
    owner.text = "short";
    EXPECT_EQ(owner.text, "short");
    const Member<Node> next = make_node(1);
    EXPECT_TRUE(is_unfaded(next.get()));
  });
}

TEST_P(EscapeContainers, VectorsWithinVectors) {
  with_owner(GetParam(), [](Owner& owner, bool outlives) {
    for (int i = 0; i < 40; ++i) {
      Vector<String> texts;
      for (int j = 0; j < 10; ++j) texts.push_back(String(kLongText));
      EXPECT_TRUE(is_unfaded(texts.data()));
      const String first = texts[0];
      if (i % 2 == 0) {
        owner.texts.push_back(std::move(texts));
      } else {
        owner.texts.push_back(texts);
        // The copy is the owner's, its texts are shared.
        EXPECT_TRUE(is_unfaded(texts.data()));
      }
      EXPECT_EQ(owner.texts.back()[0].data(), first.data());
      EXPECT_EQ(is_unfaded(first.data()), !outlives);
      EXPECT_EQ(is_unfaded(owner.texts.back().data()), !outlives);
    }
    for (const Vector<String>& each : owner.texts) {
      EXPECT_EQ(is_unfaded(each.data()), !outlives);
      for (const String& text : each) EXPECT_EQ(is_unfaded(text.data()), !outlives);
    }
  });
}

TEST_P(EscapeContainers, MovesAndCopies) {
  with_owner(GetParam(), [](Owner& owner, bool outlives) {
    Vector<Member<Node>> own;
    NodeMap map;
    for (int i = 0; i < 20; ++i) {
      own.push_back(make_node(i));
      map[String(kLongText + std::to_string(i))] = own.back();
    }
    const void* const backing = own.data();
    EXPECT_TRUE(is_unfaded(backing));
    owner.nodes = own;
    EXPECT_NE(owner.nodes.data(), backing);
    EXPECT_TRUE(is_unfaded(backing));
    EXPECT_EQ(is_unfaded(owner.nodes.data()), !outlives);
    for (const Member<Node>& each : own) EXPECT_EQ(is_unfaded(each.get()), !outlives);
    owner.map = map;
    EXPECT_TRUE(is_unfaded(&*map.begin()));
    EXPECT_EQ(is_unfaded(&*owner.map.begin()), !outlives);
    Node* const late = make_node(100);
    own.push_back(late);
    EXPECT_TRUE(is_unfaded(late));
    owner.nodes = std::move(own);
    EXPECT_EQ(is_unfaded(late), !outlives);
    EXPECT_EQ(is_unfaded(owner.nodes.data()), !outlives);
    const void* const entries = &*map.begin();
    owner.map = std::move(map);
    EXPECT_EQ(&*owner.map.begin(), entries);
    EXPECT_EQ(is_unfaded(entries), !outlives);
    // And out again: what has faded stays so, what is added stays here.
    Vector<Member<Node>> back = std::move(owner.nodes);
    EXPECT_EQ(is_unfaded(back.data()), !outlives);
    back.reserve(back.capacity() + 1);
    expect_place(back.data(), false);
    Node* const last = make_node(101);
    back.push_back(last);
    EXPECT_TRUE(is_unfaded(last));
    std::swap(back, owner.nodes);
    EXPECT_EQ(is_unfaded(last), !outlives);
  });
}

TEST_P(EscapeContainers, ErasingMovesWithinTheBacking) {
  with_owner(GetParam(), [](Owner& owner, bool outlives) {
    Node* const aside = make_node(-1);
    for (int i = 0; i < 50; ++i) owner.nodes.push_back(make_node(i));
    for (int i = 0; i < 25; ++i) owner.nodes.erase(static_cast<std::size_t>(i));
    owner.nodes.resize(60);
    owner.nodes[59] = make_node(59);
    EXPECT_EQ(is_unfaded(owner.nodes[59].get()), !outlives);
    EXPECT_EQ(is_unfaded(owner.nodes[24].get()), !outlives);
    EXPECT_EQ(owner.nodes[24]->value, 49);
    EXPECT_TRUE(is_unfaded(aside));
  });
}

std::string where_name(const testing::TestParamInfo<Where>& info) {
  constexpr const char* kNames[] = {"Stack", "Arena", "Faded", "Heap"};
  return kNames[static_cast<int>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(Owners, EscapeContainers,
                         testing::Values(Where::kStack, Where::kArena, Where::kFaded, Where::kHeap),
                         where_name);

// A Root that owns a container outlives the arena in which it is made, filled, copied and assigned.
TEST(EscapeRoots, ARootOfAContainer) {
  const ThreadScope attached;
  const test::NoCycles no_cycles;
  Root<Vector<Member<Node>>> nodes;
  Root<NodeMap> map;
  Root<String> text;
  Root<Vector<Member<Node>>> copy;
  with_arena([&] {
    const Root<Vector<Member<Node>>> made;
    EXPECT_FALSE(is_unfaded(made.get()));
    Vector<Member<Node>> own;
    for (int i = 0; i < 100; ++i) {
      Node* const node = make_node(i);
      own.push_back(node);
      EXPECT_TRUE(is_unfaded(node));
      nodes->push_back(node);
      EXPECT_FALSE(is_unfaded(node));
      const String key(kLongText + std::to_string(i));
      (*map)[key] = node;
      EXPECT_FALSE(is_unfaded(key.data()));
    }
    EXPECT_TRUE(is_unfaded(own.data()));
    EXPECT_FALSE(is_unfaded(nodes->data()));
    const String here(kLongText);
    EXPECT_TRUE(is_unfaded(here.data()));
    text = Root<String>(here);
    EXPECT_FALSE(is_unfaded(here.data()));
    const Root<Vector<Member<Node>>> of_own(own);
    EXPECT_FALSE(is_unfaded(of_own->data()));
    EXPECT_TRUE(is_unfaded(own.data()));
    copy = of_own;
  });
  collect();
  EXPECT_EQ(*text, kLongText);
  for (int i = 0; i < 100; ++i) {
    const auto index = static_cast<std::size_t>(i);
    EXPECT_EQ((*nodes)[index]->value, i);
    EXPECT_EQ((*copy)[index]->value, i);
    EXPECT_EQ((*map->find(kLongText + std::to_string(i)))->value, i);
  }
}

}  // namespace
}  // namespace tailrace::gc
