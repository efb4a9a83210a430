// Marking: shapes that try the queues and the pieces, and words that only look like pointers.
#include "gcruntime/gc/marker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/heap/page_map.h"

namespace tailrace::gc {
namespace {

using test::Disguised;
using test::in_own_frame;
using test::is_allocated;

struct Node {
  Member<Node> left;
  Member<Node> right;
  std::int64_t value = 0;
};
BOOST_DESCRIBE_STRUCT(Node, (), (left, right, value))

Node* make_node(std::int64_t value) {
  Node* node = make<Node>();
  node->value = value;
  return node;
}

class MarkerTest : public testing::Test {
 protected:
  ThreadScope scope_;
};

// Three words an element do not divide the pieces of 8192 words, so some elements lie in two of them.
struct Triple {
  std::int64_t before = -1;
  Member<Node> node;
  std::int64_t behind = -1;
};
BOOST_DESCRIBE_STRUCT(Triple, (), (before, node, behind))

TEST_F(MarkerTest, LargeArraysAreScannedInPiecesWithoutGaps) {
  constexpr std::int64_t kElements = 30'000;
  Root<Vector<Triple>> array;
  in_own_frame([&] {
    for (std::int64_t i = 0; i < kElements; ++i) {
      array->push_back(Triple());
      array->back().node = make_node(i);
    }
  });
  for (int i = 0; i < 2; ++i) {
    collect();
    in_own_frame([] {
      for (int j = 0; j < 50'000; ++j) make_node(-1);
    });
  }
  for (std::int64_t i = 0; i < kElements; ++i) {
    ASSERT_EQ((*array)[static_cast<std::size_t>(i)].node->value, i);
  }
}

// Only some elements hold a pointer, each at a place that some off-by-one in the pieces would skip.
TEST_F(MarkerTest, NoElementOfALargeArrayIsSkipped) {
  Root<Vector<Member<Node>>> array;
  array->resize(100'000);
  for (const std::size_t at : {0, 1, 8190, 8191, 8192, 8193, 16383, 16384, 99'998, 99'999}) {
    Disguised node;
    in_own_frame([&] {
      Node* object = make_node(static_cast<std::int64_t>(at));
      node = Disguised(object);
      (*array)[at] = object;
    });
    collect();
    ASSERT_TRUE(is_allocated(node)) << at;
    in_own_frame([&] { (*array)[at] = nullptr; });
    collect();
    ASSERT_FALSE(is_allocated(node)) << at;
  }
}

TEST_F(MarkerTest, DeepListsCombsAndCycles) {
  constexpr std::int64_t kDepth = 300'000;
  Root<Node> list;
  Root<Node> comb;
  in_own_frame([&] {
    for (std::int64_t i = 0; i < kDepth; ++i) {
      Node* node = make_node(i);
      node->left = list.get();
      list = node;
      Node* tooth = make_node(i);
      tooth->left = make_node(-i);
      tooth->right = comb.get();
      tooth->left->right = tooth;  // back
      comb = tooth;
    }
  });
  collect();
  collect();
  in_own_frame([&] {
    std::int64_t i = kDepth;
    for (const Node* node = list.get(); node != nullptr; node = node->left.get()) {
      ASSERT_EQ(node->value, --i);
    }
    EXPECT_EQ(i, 0);
    i = kDepth;
    for (const Node* node = comb.get(); node != nullptr; node = node->right.get()) {
      ASSERT_EQ(node->value, --i);
      ASSERT_EQ(node->left->value, -i);
      ASSERT_EQ(node->left->right.get(), node);
    }
    EXPECT_EQ(i, 0);
  });
  // Cycles die when nothing outside refers to them.
  const std::uint64_t before = read_mem_stats().heap_objects;
  in_own_frame([&] { comb = nullptr; });
  collect();
  EXPECT_LE(read_mem_stats().heap_objects + 2 * kDepth, before + 16);
}

// One graph, changed at random: what a walk from the root reaches is what is allocated.
TEST_F(MarkerTest, ExactlyWhatIsReachableSurvives) {
  constexpr std::size_t kNodes = 20'000;
  for (std::uint64_t seed = base::test_seed(); seed < base::test_seed() + 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Root<Node> root;
    std::vector<Disguised> nodes(kNodes);
    std::vector<std::array<std::size_t, 2>> edges(kNodes);
    in_own_frame([&] {
      std::mt19937_64 random(seed);
      const Root<Vector<Member<Node>>> all;
      for (std::size_t i = 0; i < kNodes; ++i) {
        Node* node = make_node(static_cast<std::int64_t>(i));
        nodes[i] = Disguised(node);
        all->push_back(node);
      }
      for (std::size_t i = 0; i < kNodes; ++i) {
        // A little more than one edge a node: about half is reachable.
        for (std::size_t side = 0; side < 2; ++side) {
          edges[i][side] = random() % 100 < 65 ? random() % kNodes : kNodes;
          if (edges[i][side] == kNodes) continue;
          (side == 0 ? (*all)[i]->left : (*all)[i]->right) = (*all)[edges[i][side]].get();
        }
      }
      root = (*all)[0].get();
    });
    collect();
    std::vector<bool> reachable(kNodes);
    std::vector<std::size_t> work{0};
    reachable[0] = true;
    while (!work.empty()) {
      const std::size_t node = work.back();
      work.pop_back();
      for (const std::size_t next : edges[node]) {
        if (next == kNodes || reachable[next]) continue;
        reachable[next] = true;
        work.push_back(next);
      }
    }
    for (std::size_t i = 0; i < kNodes; ++i) {
      ASSERT_EQ(is_allocated(nodes[i]), reachable[i]) << "node " << i;
    }
  }
}

TEST_F(MarkerTest, InteriorPointersOnTheStackKeepTheirObject) {
  for (const std::size_t bytes : {16, 24, 48, 1000, 32'768, 100'000}) {
    for (std::size_t offset : {std::size_t{0}, bytes / 3, bytes / 2 + 1, bytes - 1}) {
      Disguised object;
      volatile std::uintptr_t interior = 0;
      in_own_frame([&] {
        object = Disguised(allocate_noscan(bytes));
        interior = object.address() + offset;
      });
      collect();
      EXPECT_TRUE(is_allocated(object)) << bytes << " bytes, offset " << offset;
      interior = 0;
      collect();
      EXPECT_FALSE(is_allocated(object)) << bytes << " bytes, offset " << offset;
    }
  }
}

// A loop over the last array of an object may keep the array's end alone. The next slot begins there.
TEST_F(MarkerTest, APointerPastTheEndKeepsItsObject) {
  for (const std::size_t bytes : {16, 48, 64, 8192, 32'768, 65'536}) {
    for (int i = 0; i < 20; ++i) {
      Disguised object;
      volatile std::uintptr_t past_the_end = 0;
      in_own_frame([&] {
        object = Disguised(allocate_noscan(bytes));
        past_the_end = object.address() + bytes;
      });
      collect();
      EXPECT_TRUE(is_allocated(object)) << bytes;
      past_the_end = 0;
      collect();
      EXPECT_FALSE(is_allocated(object)) << bytes;
    }
  }
}

struct Either {
  std::variant<std::int64_t, Member<Node>> value;
  std::int64_t number = 0;
};
BOOST_DESCRIBE_STRUCT(Either, (), (value, number))

// A variant's word may be any number: the addresses of free slots, of the middle of objects, of pages that
// nobody has.
TEST_F(MarkerTest, NumbersThatLookLikePointersDoNoHarm) {
  Root<Vector<Either>> all;
  in_own_frame([&] {
    const auto slot = reinterpret_cast<std::int64_t>(make_node(1));
    for (std::int64_t i = 0; i < 20'000; ++i) {
      all->push_back(Either());
      all->back().value = slot + i * 37;
    }
    for (std::int64_t at = 0; at < 1000; ++at) {
      all->push_back(Either());
      all->back().value = static_cast<std::int64_t>(
          heap::page_map.base + heap::page_map.bytes / 1000 * static_cast<std::size_t>(at));
    }
  });
  for (int i = 0; i < 3; ++i) {
    collect();
    in_own_frame([] {
      for (int j = 0; j < 10'000; ++j) make_node(-1);
    });
  }
  EXPECT_EQ(all->size(), 21'000u);
}

TEST_F(MarkerTest, AVariantsPointerIsFollowed) {
  Root<Either> either(make<Either>());
  in_own_frame([&] { either->value = Member<Node>(make_node(5)); });
  for (int i = 0; i < 3; ++i) {
    collect();
    in_own_frame([] {
      for (int j = 0; j < 1000; ++j) make_node(-1);
    });
  }
  EXPECT_EQ(std::get<1>(either->value)->value, 5);
}

// Its constructor leaves the payloads alone: they must be the slot's zeros, not what its last object left,
// however much the compiler inlines.
struct Lazy {
  Lazy() {}  // NOLINT(modernize-use-equals-default): user-provided is the point
  std::optional<Member<Node>> first;
  std::array<std::optional<Member<Node>>, 5> more;
};
BOOST_DESCRIBE_STRUCT(Lazy, (), (first, more))

TEST_F(MarkerTest, SlotsAreZeroedBeforeAConstructorThatLeavesWordsAlone) {
  Root<Vector<Member<Lazy>>> kept;
  for (int round = 0; round < 5; ++round) {
    in_own_frame([&] {
      for (int i = 0; i < 2000; ++i) {
        Lazy* lazy = make<Lazy>();
        const auto* words = reinterpret_cast<const std::uintptr_t*>(lazy);
        asm volatile("" : : : "memory");
        for (std::size_t word = 0; word < sizeof(Lazy) / 8; ++word) ASSERT_EQ(words[word], 0u);
        if (i % 2 == 0) {
          kept->push_back(lazy);
          continue;
        }
        lazy->first = Member<Node>(make_node(i));
        for (auto& each : lazy->more) each = Member<Node>(make_node(i));
      }
    });
    collect();
  }
  EXPECT_EQ(kept->size(), 5000u);
}

// Dead when nothing but its own class's neighbours were marked: no bit of a neighbour is taken for its own.
TEST_F(MarkerTest, MarksAreExactInEverySizeClass) {
  for (const heap::SizeClass& size : heap::kSizeClassTable) {
    Root<Vector<Opaque<std::uintptr_t>>> disguised;
    std::vector<Root<String>> kept;
    in_own_frame([&] {
      for (std::uint32_t i = 0; i < size.slots; ++i) {
        const auto* text = static_cast<const char*>(allocate_noscan(size.bytes));
        disguised->push_back({~reinterpret_cast<std::uintptr_t>(text)});
        if (i % 3 == 0) kept.emplace_back(String::adopt(text, size.bytes));
      }
    });
    collect();
    in_own_frame([&] {
      for (std::uint32_t i = 0; i < size.slots; ++i) {
        const heap::ObjectPlace place = heap::find_object(~(*disguised)[i].value);
        ASSERT_EQ(place.slot != 0 && place.allocated(), i % 3 == 0)
            << size.bytes << " bytes, slot " << i;
      }
    });
  }
}

TEST(MarkerDeathTest, AnOverwrittenHeaderStops) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        const ThreadScope scope;
        const Root<Node> root(make_node(1));
        *test::header_of(root.get()) = Header::pack(0xabcd, 0, 1);
        collect();
      },
      "an object's header was overwritten");
}

}  // namespace
}  // namespace tailrace::gc
