// Arenas by themselves: what lives in them, what leaves them, what of them stays.
#include "gcruntime/gc/arena.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

#include "gcruntime/gc/arena_record.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/escape.h"
#include "gcruntime/gc/escape_scene.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/gc/weak.h"

namespace tailrace::gc {

struct ArenaNode {
  Member<ArenaNode> next;
  std::uint64_t value = 0;
};
BOOST_DESCRIBE_STRUCT(ArenaNode, (), (next, value))

struct ArenaPage {
  String title;
  Vector<String> lines;
  Map<String, std::int64_t> marks;
  Member<ArenaNode> node;
};
BOOST_DESCRIBE_STRUCT(ArenaPage, (), (title, lines, marks, node))

template <std::size_t kBytes>
struct ArenaBytes {
  std::array<std::int64_t, kBytes / 8> numbers;
};
BOOST_DESCRIBE_STRUCT(ArenaBytes<960>, (), (numbers))
BOOST_DESCRIBE_STRUCT(ArenaBytes<2000>, (), (numbers))
BOOST_DESCRIBE_STRUCT(ArenaBytes<4000>, (), (numbers))

namespace {

using internal::is_unfaded;

ArenaNode* chain(std::uint64_t length) {
  ArenaNode* first = nullptr;
  for (std::uint64_t i = 0; i < length; ++i) {
    auto* const node = make<ArenaNode>();
    node->next = first;
    node->value = i;
    first = node;
  }
  return first;
}
void expect_chain(const ArenaNode* node, std::uint64_t length) {
  for (std::uint64_t i = length; i-- > 0; node = node->next.get()) {
    ASSERT_NE(node, nullptr);
    ASSERT_EQ(node->value, i);
  }
  EXPECT_EQ(node, nullptr);
}

TEST(ArenaTest, WhatIsMadeInsideIsUnfadedAndGoesWithoutACycle) {
  const ThreadScope scope;
  EXPECT_FALSE(has_arena());
  const ArenaStats before = read_arena_stats();
  const MemStats heap_before = read_mem_stats();
  with_arena([] {
    EXPECT_TRUE(has_arena());
    expect_chain(chain(10'000), 10'000);
    EXPECT_TRUE(is_unfaded(make<ArenaNode>()));
    EXPECT_FALSE(is_unfaded(heap_make<ArenaNode>()));
    EXPECT_TRUE(is_unfaded(String("a text that is longer than fifteen bytes").data()));
  });
  EXPECT_FALSE(has_arena());
  const ArenaStats after = read_arena_stats();
  EXPECT_EQ(after.opened - before.opened, 1u);
  EXPECT_EQ(after.objects - before.objects, 10'002u);
  EXPECT_EQ(after.faded_objects, before.faded_objects);
  EXPECT_EQ(after.open, 0u);
  EXPECT_EQ(read_mem_stats().num_gc, heap_before.num_gc);
}

TEST(ArenaTest, AStoreToTheHeapFadesWhatItReachesAndNothingElse) {
  const ThreadScope scope;
  const Root<ArenaNode> kept(heap_make<ArenaNode>());
  with_arena([&] {
    ArenaNode* const stays = chain(50);
    ArenaNode* const leaves = chain(100);
    kept->next = leaves;
    for (ArenaNode* node = leaves; node != nullptr; node = node->next.get()) {
      EXPECT_FALSE(is_unfaded(node));
    }
    for (ArenaNode* node = stays; node != nullptr; node = node->next.get()) {
      EXPECT_TRUE(is_unfaded(node));
    }
  });
  for (int i = 0; i < 3; ++i) {
    collect();
    expect_chain(kept->next.get(), 100);
  }
}

TEST(ArenaTest, ContainersGrowWhereTheirOwnerLives) {
  const ThreadScope scope;
  const Root<ArenaPage> kept(heap_make<ArenaPage>());
  with_arena([&] {
    for (int i = 0; i < 300; ++i) {
      kept->lines.emplace_back("line number " + std::to_string(i) + " of a long page");
      kept->marks[String("the mark with number " + std::to_string(i))] = i;
    }
    kept->title = "the title of a page that is on the heap";
    EXPECT_FALSE(is_unfaded(kept->lines.data()));
    EXPECT_FALSE(is_unfaded(kept->title.data()));
    auto* const page = make<ArenaPage>();
    for (int i = 0; i < 300; ++i) {
      page->lines.emplace_back("line number " + std::to_string(i) + " of another");
    }
    EXPECT_TRUE(is_unfaded(page->lines.data()));
    EXPECT_TRUE(is_unfaded(page->lines[299].data()));
  });
  collect();
  collect();
  ASSERT_EQ(kept->lines.size(), 300u);
  EXPECT_EQ(kept->lines[299], "line number 299 of a long page");
  EXPECT_EQ(kept->marks.size(), 300u);
  EXPECT_EQ(kept->title, "the title of a page that is on the heap");
}

TEST(ArenaTest, ItsResultAndTheFramesAboveMayKeepWhatItMade) {
  const ThreadScope scope;
  ArenaNode* by_frame = nullptr;
  ArenaNode* const result = with_arena([&] {
    by_frame = chain(20);
    chain(1000);
    return chain(30);
  });
  collect();
  collect();
  expect_chain(result, 30);
  expect_chain(by_frame, 20);
}

TEST(ArenaTest, LargeObjectsAreFoundByInteriorPointers) {
  const ThreadScope scope;
  Root<ArenaNode> kept;
  with_arena([&] {
    auto* const text = static_cast<char*>(allocate_noscan(200'000));
    EXPECT_TRUE(is_unfaded(text));
    EXPECT_TRUE(is_unfaded(text + 199'999));
    std::memset(text, 'x', 200'000);
    auto* const nodes = static_cast<ArenaNode*>(
        allocate_scanned(sizeof(ArenaNode) * 5000, kTypeNumber<ArenaNode>, 5000));
    nodes[4999].value = 77;
    nodes[4999].next = chain(10);
    kept = &nodes[4999];
    EXPECT_FALSE(is_unfaded(nodes));
    EXPECT_FALSE(is_unfaded(nodes[4999].next.get()));
    EXPECT_TRUE(is_unfaded(text));
  });
  collect();
  collect();
  EXPECT_EQ(kept->value, 77u);
  expect_chain(kept->next.get(), 10);
}

TEST(ArenaTest, WhatFadedIsFreedWhenNobodyReachesItAnyMore) {
  const ThreadScope scope;
  collect();
  collect();
  const std::uint64_t blocks_before = read_arena_stats().left_blocks;
  test::on_own_thread([&] {
    Root<ArenaNode> kept;
    with_arena([&] { kept = chain(5000); });
    EXPECT_GT(read_arena_stats().left_blocks, blocks_before);
    collect();
    expect_chain(kept.get(), 5000);
  });
  collect();
  collect();
  EXPECT_EQ(read_arena_stats().left_blocks, blocks_before);
}

// One object of each request fades: without the holes each would hold a block of 32 KiB.
TEST(ArenaTest, HolesOfPartlyFadedBlocksAreUsedAgain) {
  const ThreadScope scope;
  Root<Vector<Member<ArenaNode>>> kept;
  const std::uint64_t before = read_arena_stats().block_bytes;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    with_arena([&] {
      chain(50);
      ArenaNode* const node = make<ArenaNode>();
      node->value = i;
      kept->push_back(node);
    });
  }
  EXPECT_LT(read_arena_stats().block_bytes - before, std::uint64_t{2} << 20);
  collect();
  collect();
  for (std::uint64_t i = 0; i < 2000; ++i) ASSERT_EQ((*kept)[i]->value, i);
}

TEST(ArenaTest, BeyondItsBytesTheHeapTakesOver) {
  const ThreadScope scope;
  with_arena(
      [] {
        ArenaNode* first = nullptr;
        std::size_t inside = 0;
        for (std::uint64_t i = 0; i < 20'000; ++i) {
          auto* const node = make<ArenaNode>();
          inside += is_unfaded(node) ? 1 : 0;
          node->next = first;
          node->value = i;
          first = node;
        }
        EXPECT_GT(inside, 1000u);
        EXPECT_LT(inside, 10'000u);
        collect();
        expect_chain(first, 20'000);
      },
      {.max_bytes = 128 * 1024});
}

TEST(ArenaTest, OneThatLivesThroughACycleFadesAsAWhole) {
  const ThreadScope scope;
  const std::uint64_t before = read_arena_stats().faded_whole;
  with_arena([&] {
    ArenaNode* const node = chain(3);
    for (int i = 0; i < 3; ++i) {
      collect();
      expect_chain(node, 3);
    }
    chain(10'000);  // until it asks for room
    EXPECT_FALSE(has_arena());
    EXPECT_FALSE(is_unfaded(node));
    collect();
    expect_chain(node, 3);
  });
  EXPECT_EQ(read_arena_stats().faded_whole, before + 1);
}

TEST(ArenaTest, NestedOnesAreTheOuterOne) {
  const ThreadScope scope;
  with_arena([] {
    ArenaNode* const inner = with_arena([] { return make<ArenaNode>(); });
    EXPECT_TRUE(is_unfaded(inner));
  });
}

TEST(ArenaTest, AnExceptionEndsIt) {
  const ThreadScope scope;
  EXPECT_THROW(with_arena([] {
                 chain(5);
                 throw std::runtime_error("out");
               }),
               std::runtime_error);
  EXPECT_FALSE(has_arena());
}

TEST(ArenaTest, WeakReferencesAreToWhatFaded) {
  const ThreadScope scope;
  Root<ArenaNode> kept;
  Weak<ArenaNode> weak;
  with_arena([&] {
    kept = chain(3);
    weak = Weak<ArenaNode>(kept.get());
    const Weak<ArenaNode> other(chain(1));
    EXPECT_FALSE(is_unfaded(other.lock()));
  });
  collect();
  EXPECT_EQ(weak.lock(), kept.get());
}

TEST(ArenaTest, CountsAreExact) {
  const ThreadScope scope;
  const AllocCounts before = mutator()->counts();
  with_arena([] {
    for (int i = 0; i < 100; ++i) make<ArenaNode>();
    heap_make<ArenaNode>();
  });
  const AllocCounts made = mutator()->counts() - before;
  EXPECT_EQ(made.arena_objects, 100u);
  EXPECT_EQ(made.arena_bytes, 100u * 32);
  EXPECT_EQ(made.objects, 1u);
}

// Its block has more room than it takes: what fades is what was made, and no more.
TEST(ArenaTest, AnObjectAloneInItsBlockCountsItsOwnBytes) {
  constexpr std::uint64_t kBytes = 8200;
  const ThreadScope scope;
  const test::NoCycles no_cycles;
  test::on_own_thread([] { with_arena([] { chain(10'000); }); });  // of which nothing fades
  collect();
  const ArenaStats before = read_arena_stats();
  const MemStats heap_before = read_mem_stats();
  const ArenaDead dead_before = read_arena_dead();
  std::uint64_t made = 0;
  test::on_own_thread([&] {
    Root<String> kept;
    with_arena([&] { *kept = String(std::string(kBytes, 'x')); });
    const ArenaStats after = read_arena_stats();
    made = after.bytes - before.bytes;
    EXPECT_GE(made, kBytes);
    EXPECT_LE(made, kBytes + 64);
    EXPECT_EQ(after.faded_bytes - before.faded_bytes, made);
    // And the root's String.
    const std::uint64_t allocated = read_mem_stats().heap_alloc - heap_before.heap_alloc;
    EXPECT_GE(allocated, made);
    EXPECT_LE(allocated, made + 64);
    collect();
    EXPECT_EQ(kept->size(), kBytes);
  });
  collect();
  // With small ones that earlier tests have left; its block has four times as much.
  const std::uint64_t freed = read_arena_dead().bytes - dead_before.bytes;
  EXPECT_GE(freed, made);
  EXPECT_LT(freed, 2 * made);
}

// --- Holes -------------------------------------------------------------------------------------------

constexpr std::size_t kBlocks = 300;  // more than an arena may have by default
using Hole = ArenaBytes<960>;

// Leaves at least so many blocks in which holes and objects that are kept take turns.
template <typename T>
void leave_holes(Root<Vector<Member<T>>>& kept) {
  constexpr std::size_t kPair = sizeof(Hole) + sizeof(T) + 2 * kHeaderBytes;
  const std::uint64_t before = read_arena_stats().left_blocks;
  with_arena(
      [&] {
        for (std::size_t i = 0; i < (kBlocks + 1) * heap::kArenaBlockBytes / kPair; ++i) {
          make<Hole>();
          kept->push_back(make<T>());
        }
      },
      {.max_bytes = std::uint64_t{64} << 20});
  EXPECT_GE(read_arena_stats().left_blocks - before, kBlocks);
}

// It leaves them to others, and its fiber does not allocate on the heap for it.
TEST(ArenaTest, AnObjectThatFitsNoHoleUsesUpNone) {
  const ThreadScope scope;
  const test::NoCycles no_cycles;
  collect();
  Root<Vector<Member<ArenaNode>>> kept;
  leave_holes(kept);
  const ArenaStats before = read_arena_stats();
  EXPECT_GT(before.hole_bytes, kBlocks * heap::kArenaBlockBytes / 2);
  for (int request = 0; request < 100; ++request) {
    with_arena([&] {
      EXPECT_TRUE(is_unfaded(make<ArenaBytes<4000>>()));
      EXPECT_EQ(read_arena_stats().left_blocks, before.left_blocks);
    });
  }
  EXPECT_EQ(read_arena_stats().spilled_objects, before.spilled_objects);
}

// What it may have is counted by the holes, not by the blocks around them.
TEST(ArenaTest, OneThatLivesInHolesHasAllItsBytes) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 20;
  const ThreadScope scope;
  const test::NoCycles no_cycles;
  collect();
  Root<Vector<Member<ArenaBytes<2000>>>> kept;
  leave_holes(kept);
  const ArenaStats before = read_arena_stats();
  EXPECT_GT(before.hole_bytes, 2 * kMost);
  with_arena(
      [&] {
        std::uint64_t bytes = 0;
        while (is_unfaded(make<ArenaNode>())) bytes += 32;
        EXPECT_LE(bytes, kMost + 1024);
        EXPECT_GE(bytes, kMost / 4 * 3);
        EXPECT_EQ(read_arena_stats().block_bytes, before.block_bytes);
      },
      {.max_bytes = kMost});
  EXPECT_EQ(read_arena_stats().spilled_objects, before.spilled_objects + 1);
}

}  // namespace
}  // namespace tailrace::gc
