// What leaves with_arena by its result, by its caller's frames and by exceptions is kept; what does not, dies
// there. And who has an arena.
#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <thread>

#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/escape_scene.h"
#include "gcruntime/gc/root.h"

namespace tailrace::gc {
namespace {

using internal::is_unfaded;
using test::in_own_frame;
using test::make_node;
using test::make_part;
using test::Node;
using test::Part;
using test::Scene;

constexpr const char* kLongText = "a text that is too long to stand in its handle";

class EscapeFrames : public testing::Test {
 protected:
  // Whatever ended arenas left behind is overwritten.
  static void churn() {
    collect();
    for (int i = 0; i < 20; ++i) {
      with_arena([] {
        for (int j = 0; j < 500; ++j) make_part(-1)->text = "of another one, and long enough";
      });
    }
    collect();
  }
  ThreadScope scope_;
  test::NoCycles no_cycles_;
};

TEST_F(EscapeFrames, AResultIsKept) {
  Part* const head = with_arena([] {
    const Scene scene;
    scene.expect_faded(Scene::none());
    return scene.part(Scene::kHead);
  });
  EXPECT_FALSE(is_unfaded(head));
  EXPECT_FALSE(has_arena());
  churn();
  Scene::expect_whole(head);
}

TEST_F(EscapeFrames, ResultsOfEveryKind) {
  const Member<Node> member = with_arena([] { return Member<Node>(make_node(1)); });
  const String text = with_arena([] { return String(kLongText); });
  const Vector<String> texts = with_arena([] {
    Vector<String> made;
    for (int i = 0; i < 100; ++i) made.push_back(String(kLongText));
    return made;
  });
  struct Pair {
    std::int64_t number;
    Node* node;
  };
  const Pair pair = with_arena([] { return Pair{5, make_node(2)}; });
  const std::optional<Member<Node>> maybe =
      with_arena([] { return std::optional<Member<Node>>(make_node(3)); });
  const std::int64_t* const within = with_arena([] { return &make_node(4)->value; });
  Root<Node> root = with_arena([] { return Root<Node>(make_node(5)); });
  EXPECT_EQ(with_arena([] { return 17; }), 17);
  with_arena([] {});
  churn();
  EXPECT_EQ(member->value, 1);
  EXPECT_EQ(text, kLongText);
  for (const String& each : texts) EXPECT_EQ(each, kLongText);
  EXPECT_EQ(pair.node->value, 2);
  EXPECT_EQ((*maybe)->value, 3);
  EXPECT_EQ(*within, 4);
  EXPECT_EQ(root->value, 5);
}

// What handles in the caller's frames are given fades at once, and what they grow is the heap's; raw pointers
// there are looked at when the arena ends.
TEST_F(EscapeFrames, TheCallersFrames) {
  Node* raw = nullptr;
  Member<Node> member;
  String text;
  Vector<Member<Node>> nodes;
  std::int64_t* within = nullptr;
  struct Plain {
    std::array<Node*, 3> nodes;
  } plain{};
  with_arena([&] {
    raw = make_node(1);
    raw->next = make_node(2);
    member = make_node(3);
    text = kLongText;
    for (int i = 0; i < 100; ++i) nodes.push_back(make_node(i));
    within = &make_node(4)->value;
    plain.nodes[1] = make_node(5);
    for (const void* each :
         {static_cast<const void*>(raw), static_cast<const void*>(raw->next.get()),
          static_cast<const void*>(within), static_cast<const void*>(plain.nodes[1])}) {
      EXPECT_TRUE(is_unfaded(each));
    }
    for (const void* each :
         {static_cast<const void*>(member.get()), static_cast<const void*>(text.data()),
          static_cast<const void*>(nodes.data())}) {
      EXPECT_FALSE(is_unfaded(each));
    }
  });
  EXPECT_FALSE(is_unfaded(raw));
  churn();
  EXPECT_EQ(raw->value, 1);
  EXPECT_EQ(raw->next->value, 2);
  EXPECT_EQ(member->value, 3);
  EXPECT_EQ(text, kLongText);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(nodes[static_cast<std::size_t>(i)]->value, i);
  EXPECT_EQ(*within, 4);
  EXPECT_EQ(plain.nodes[1]->value, 5);
}

TEST_F(EscapeFrames, AFrameFarAbove) {
  struct Caller {
    TAILRACE_NOINLINE static void descend(int depth, Node** place) {
      volatile char pad[256];
      pad[0] = 0;
      if (depth > 0) {
        descend(depth - 1, place);
      } else {
        with_arena([&] { *place = make_node(9); });
      }
      asm volatile("" : : "r"(pad) : "memory");
    }
  };
  Node* node = nullptr;
  Caller::descend(100, &node);
  churn();
  EXPECT_EQ(node->value, 9);
}

TEST_F(EscapeFrames, AnExceptionEndsIt) {
  struct Failure {
    Root<Node> node;
  };
  try {
    with_arena([] {
      Node* const node = make_node(6);
      node->next = make_node(7);
      throw Failure{Root<Node>(node)};
    });
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_FALSE(has_arena());
    churn();
    EXPECT_EQ(failure.node->value, 6);
    EXPECT_EQ(failure.node->next->value, 7);
  }
  EXPECT_EQ(read_arena_stats().open, 0u);
}

TEST_F(EscapeFrames, GarbageDiesWithIt) {
  const ArenaStats before = read_arena_stats();
  in_own_frame([] {
    with_arena([] {
      for (int i = 0; i < 1000; ++i) make_part(i)->text = kLongText;
    });
  });
  const ArenaStats after = read_arena_stats();
  EXPECT_EQ(after.opened, before.opened + 1);
  EXPECT_EQ(after.objects, before.objects + 2000);
  // Words of dead frames may have kept some.
  EXPECT_LE(after.faded_objects, before.faded_objects + 20);
}

// Inside an arena another one is the same.
TEST_F(EscapeFrames, NestedOnesAreTheOuterOne) {
  with_arena([&] {
    Node* const outer = make_node(1);
    Node* const inner = with_arena([&] {
      Node* const node = make_node(2);
      node->next = outer;
      outer->next = node;
      EXPECT_TRUE(is_unfaded(node));
      return node;
    });
    EXPECT_TRUE(has_arena());
    EXPECT_TRUE(is_unfaded(inner));
    EXPECT_TRUE(is_unfaded(outer));
    with_arena([] { EXPECT_TRUE(is_unfaded(make_node(3))); });
    EXPECT_TRUE(has_arena());
    EXPECT_TRUE(is_unfaded(make_node(4)));
    try {
      with_arena([] { throw std::runtime_error("out of the inner one"); });
    } catch (const std::runtime_error&) {
      EXPECT_TRUE(has_arena());
    }
    EXPECT_TRUE(is_unfaded(inner));
    const Root<Node> root(inner);
    EXPECT_FALSE(is_unfaded(outer));
  });
  EXPECT_FALSE(has_arena());
}

// Everything fades and it takes no more; the next one begins anew.
TEST_F(EscapeFrames, FadedAsAWholeItIsClosed) {
  const ArenaStats before = read_arena_stats();
  with_arena([&] {
    const Scene scene;
    internal::fade_all();
    scene.expect_faded(Scene::all());
    EXPECT_FALSE(has_arena());
    Node* const late = make_node(1);
    EXPECT_FALSE(is_unfaded(late));
    EXPECT_FALSE(test::in_arena_range(late));
    const Scene heap;
    heap.expect_faded(Scene::all());
    collect();
    Scene::expect_whole(scene.part(Scene::kHead));
    EXPECT_EQ(late->value, 1);
  });
  EXPECT_EQ(read_arena_stats().faded_whole, before.faded_whole + 1);
  with_arena([] {
    EXPECT_TRUE(has_arena());
    EXPECT_TRUE(is_unfaded(make_node(1)));
  });
}

// An open arena is a root: what only it reaches lives, in the heap too, however many cycles it is open.
TEST_F(EscapeFrames, AnOpenArenaKeepsWhatItReaches) {
  constexpr ArenaOptions kRoomy{.max_bytes = std::uint64_t{64} << 20, .label = "test"};
  with_arena(
      [&] {
        std::array<test::Disguised, 64> parts;
        for (std::size_t i = 0; i < parts.size(); ++i) {
          in_own_frame([&] {
            Part* const part = make_part(static_cast<std::int64_t>(i));
            part->next = heap_make<Part>();
            part->next->number = -1;
            part->next->text = kLongText;
            if (i % 8 == 0) {
              // Of an object over 8 KiB too.
              for (int j = 0; j < 1500; ++j) part->list.push_back(heap_make<Part>());
            }
            // Faded, and known to an unfaded object only.
            Part* const faded = make_part(-2);
            const Root<Part> root(faded);
            part->maybe = Member<Part>(faded);
            parts[i] = test::Disguised(part);
          });
        }
        for (int cycle = 0; cycle < 4; ++cycle) {
          collect();
          in_own_frame([] {
            for (int i = 0; i < 1000; ++i) heap_make<Part>()->number = -9;
          });
        }
        for (const test::Disguised& each : parts) {
          EXPECT_TRUE(is_unfaded(reinterpret_cast<void*>(each.address())));
        }
        for (std::size_t i = 0; i < parts.size(); ++i) {
          const Part* const part = reinterpret_cast<const Part*>(parts[i].address());
          ASSERT_EQ(part->number, static_cast<std::int64_t>(i));
          ASSERT_EQ(part->next->number, -1);
          EXPECT_EQ(part->next->text, kLongText);
          ASSERT_EQ(std::get<Member<Part>>(part->maybe)->number, -2);
          for (const Member<Part>& each : part->list) ASSERT_EQ(each->number, 0);
        }
      },
      kRoomy);
}

// One that lives on fades as a whole, when it next needs memory.
TEST_F(EscapeFrames, AnOldArenaIsClosed) {
  const ArenaStats before = read_arena_stats();
  with_arena([&] {
    const Scene scene;
    for (int cycle = 0; cycle < 3; ++cycle) collect();
    scene.expect_faded(Scene::none());
    // More than a block of them.
    for (int i = 0; i < 2000 && has_arena(); ++i) make_node(i);
    EXPECT_FALSE(has_arena());
    scene.expect_faded(Scene::all());
    collect();
    Scene::expect_whole(scene.part(Scene::kHead));
  });
  EXPECT_EQ(read_arena_stats().faded_whole, before.faded_whole + 1);
}

}  // namespace
}  // namespace tailrace::gc
