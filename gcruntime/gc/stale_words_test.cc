// Raw pointers where the collector does not look: reported with both stacks, and what they point to is
// poisoned and given to nobody else.
#include "gcruntime/gc/stale_words.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/malloc_blocks.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/heap/poison.h"
#include "gcruntime/heap/quarantine.h"

#if !defined(TAILRACE_VERIFY)
#error "of the verify build only: see sources.cmake"
#endif

namespace tailrace::gc {
namespace {

using internal::stale_word_counts;
using internal::StaleWordCounts;
using test::Disguised;
using test::in_own_frame;
using test::Node;

struct Holder {
  std::int64_t number = 0;
  Node* node = nullptr;
};

// Functions of their own, so that a report can be asked for their names.
TAILRACE_NOINLINE Node* make_the_lost_one() {
  Node* node = make<Node>();
  asm volatile("" : "+r"(node));
  return node;
}
TAILRACE_NOINLINE std::unique_ptr<Holder> make_the_holder() {
  auto holder = std::make_unique<Holder>();
  asm volatile("" : : "r"(holder.get()) : "memory");
  return holder;
}
TAILRACE_NOINLINE void reserve_the_vector(std::vector<Node*>& nodes) {
  nodes.reserve(4);
  asm volatile("" : : "r"(&nodes) : "memory");
}
struct Closure {
  Node* node;
  std::int64_t more[3];
  void operator()() const {}
};
TAILRACE_NOINLINE void fill_the_function(std::function<void()>& function, Node* node) {
  function = Closure{node, {}};
  asm volatile("" : : "r"(&function) : "memory");
}

// The pairs of stacks differ from test to test, so that none is known already.
class StaleWords : public testing::Test {
 protected:
  StaleWords() {
    // The span stays in use.
    for (int i = 0; i < 20; ++i) neighbours_->push_back(make<Node>());
  }

  // A cycle; what it wrote to stderr.
  static std::string collect_captured() {
    testing::internal::CaptureStderr();
    collect();
    return testing::internal::GetCapturedStderr();
  }

  static bool poisoned(std::uintptr_t address) {
    const heap::ObjectPlace place = heap::find_object(address);
    return !place.allocated() && heap::poison_intact(place.slot, place.slot_bytes);
  }
  // Whether somebody gets the slot within many more allocations than its span has slots, over some cycles.
  // Each is made in a frame of its own and is garbage at once.
  static bool given_out(std::uintptr_t address) {
    for (int cycle = 0; cycle < 3; ++cycle) {
      bool allocated = false;
      in_own_frame([&] {
        for (int i = 0; i < 20'000 && !allocated; ++i) {
          make<Node>();
          const heap::ObjectPlace place = heap::find_object(address);
          allocated = place.slot != 0 && place.allocated();
        }
      });
      if (allocated) return true;
      collect();
    }
    return false;
  }

  // What `plant` puts into malloc memory is reported, with these two functions on the stacks.
  template <typename F>
  static void expect_reported(const char* maker_of_block, F&& plant) {
    Disguised lost;
    Disguised gone;  // beside it, and nothing points to it
    in_own_frame([&] {
      Node* node = make_the_lost_one();
      plant(node);
      lost = Disguised(node);
      gone = Disguised(make<Node>());
    });
    const StaleWordCounts before = stale_word_counts();
    const std::string report = collect_captured();
    EXPECT_EQ(stale_word_counts().quarantined, before.quarantined + 1);
    EXPECT_EQ(stale_word_counts().pairs, before.pairs + 1);
    const std::size_t block = report.find("\n  the block at 0x");
    const std::size_t object = report.find("\n  the object at 0x");
    EXPECT_NE(report.find("a word in malloc memory points to an object that cycle "), report.npos);
    ASSERT_TRUE(block != report.npos && object != report.npos && block < object) << report;
    const std::size_t maker = report.find(maker_of_block, block);
    EXPECT_TRUE(maker != report.npos && maker < object) << report;
    EXPECT_NE(report.find("Node], allocated by:\n", object), report.npos) << report;
    EXPECT_NE(report.find("make_the_lost_one", object), report.npos) << report;
    EXPECT_NE(report.find("keep a tailrace::gc::Root<T> there", object), report.npos) << report;
    EXPECT_TRUE(poisoned(lost.address()));
    EXPECT_TRUE(given_out(gone.address()));
    EXPECT_FALSE(given_out(lost.address()));
    EXPECT_TRUE(poisoned(lost.address()));
    // Once for each pair of stacks.
    EXPECT_EQ(collect_captured(), "");
  }

  ThreadScope scope_;
  Root<Vector<Member<Node>>> neighbours_;
};

TEST_F(StaleWords, AnElementOfAStdVector) {
  std::vector<Node*> nodes;
  reserve_the_vector(nodes);
  expect_reported("reserve_the_vector", [&](Node* node) { nodes.push_back(node); });
}

TEST_F(StaleWords, AStdFunctionsCapture) {
  std::function<void()> function;
  expect_reported("fill_the_function", [&](Node* node) { fill_the_function(function, node); });
}

TEST_F(StaleWords, AStructBehindAUniquePtr) {
  const std::unique_ptr<Holder> holder = make_the_holder();
  expect_reported("make_the_holder", [&](Node* node) { holder->node = node; });
  EXPECT_EQ(*reinterpret_cast<volatile std::uint64_t*>(&holder->node->value), heap::kPoison);
}

TEST_F(StaleWords, AnInteriorPointer) {
  const auto place = std::make_unique<std::int64_t*>();
  const StaleWordCounts before = stale_word_counts();
  in_own_frame([&] { *place = &make<Node>()->value; });
  collect();
  EXPECT_EQ(stale_word_counts().quarantined, before.quarantined + 1);
}

TEST_F(StaleWords, ALargeObjectKeepsItsPages) {
  const auto place = std::make_unique<void*>();
  constexpr std::size_t kBytes = 100'000;
  const StaleWordCounts before = stale_word_counts();
  in_own_frame([&] { *place = static_cast<char*>(allocate_noscan(kBytes)) + 50'000; });
  collect();
  EXPECT_EQ(stale_word_counts().quarantined, before.quarantined + 1);
  const auto address = reinterpret_cast<std::uintptr_t>(*place);
  for (int i = 0; i < 300; ++i) {
    const auto other = reinterpret_cast<std::uintptr_t>(allocate_noscan(kBytes));
    ASSERT_FALSE(address >= other && address < other + kBytes);
    if (i % 100 == 0) collect();
  }
  EXPECT_TRUE(poisoned(address));
  *place = nullptr;
  for (std::uint64_t i = 0; i <= internal::kQuarantineCycles + 1; ++i) collect();
  EXPECT_EQ(heap::find_object(address).slot, 0u);  // its pages are free
}

TEST_F(StaleWords, WhatNothingPointsToAnyMoreIsUsedAgain) {
  const std::unique_ptr<Holder> holder = std::make_unique<Holder>();
  in_own_frame([&] { holder->node = make<Node>(); });
  collect();
  const Disguised lost(holder->node);
  const std::uintptr_t slot = heap::find_object(lost.address()).slot;
  EXPECT_NE(heap::find_quarantined(slot), nullptr);
  holder->node = nullptr;
  for (std::uint64_t i = 0; i < internal::kQuarantineCycles; ++i) {
    collect();
    ASSERT_NE(heap::find_quarantined(slot), nullptr) << i;
  }
  collect();
  EXPECT_EQ(heap::find_quarantined(slot), nullptr);
  EXPECT_TRUE(given_out(lost.address()));
}

TEST_F(StaleWords, RootsAndLivingObjectsAreFine) {
  std::vector<Root<Node>> roots;
  std::vector<Node*> beside;
  const std::function<void()> closure = [root = Root<Node>(make<Node>())] {
    static_cast<void>(root.get());
  };
  for (int i = 0; i < 100; ++i) {
    roots.emplace_back(make<Node>());
    beside.push_back(roots.back().get());
  }
  const StaleWordCounts before = stale_word_counts();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(collect_captured(), "");
  EXPECT_EQ(stale_word_counts().words, before.words);
}

// The words of a begin and an end: the end is the next slot's first byte.
TEST_F(StaleWords, TheEndOfALivingArrayIsNotTheNextObject) {
  struct Range {
    char* begin;
    char* end;
  };
  const auto range = std::make_unique<Range>();
  const StaleWordCounts before = stale_word_counts();
  std::vector<Root<std::int64_t>> pinned;
  in_own_frame([&] {
    for (int i = 0; i < 200; ++i) {
      auto* bytes = static_cast<char*>(allocate_noscan(64));
      if (i % 2 == 0) pinned.emplace_back(reinterpret_cast<std::int64_t*>(bytes));
      if (i == 100) *range = {bytes, bytes + 64};
    }
  });
  collect();
  EXPECT_EQ(stale_word_counts().words, before.words);
}

TEST_F(StaleWords, NewMemoryHoldsNothingOfItsEarlierOwner) {
  in_own_frame([&] {
    auto nodes = std::make_unique<Node*[]>(64);
    for (int i = 0; i < 64; ++i) nodes[static_cast<std::size_t>(i)] = make<Node>();
  });
  const std::unique_ptr<Node*[]> fresh(new Node*[64]);  // not initialised
  const auto* bytes = reinterpret_cast<volatile unsigned char*>(fresh.get());
  for (std::size_t i = 0; i < 512; ++i) ASSERT_EQ(bytes[i], internal::kNewByte);
}

// More than the quarantine holds: it stays bounded, and has room again later.
TEST_F(StaleWords, TheQuarantineIsBounded) {
  std::vector<Node*> nodes;
  const StaleWordCounts before = stale_word_counts();
  in_own_frame([&] {
    for (std::size_t i = 0; i < 2 * heap::kMostQuarantined; ++i) nodes.push_back(make<Node>());
  });
  collect();
  const auto held = [] {
    return static_cast<std::size_t>(heap::quarantined_end() - heap::quarantined_begin());
  };
  EXPECT_EQ(held(), heap::kMostQuarantined);
  EXPECT_GE(stale_word_counts().no_room, before.no_room + heap::kMostQuarantined);
  nodes.clear();
  nodes.shrink_to_fit();
  collect();
  collect();
  EXPECT_LE(held(), heap::kMostQuarantined / 2);
  for (int i = 0; i < 10'000; ++i) neighbours_->push_back(make<Node>());
  collect();
}

using StaleWordsDeathTest = StaleWords;

TEST_F(StaleWordsDeathTest, AWriteThroughTheStaleWordStops) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        const std::unique_ptr<Holder> holder = make_the_holder();
        in_own_frame([&] { holder->node = make_the_lost_one(); });
        collect();
        holder->node->value = 1;
        collect();
      },
      "a freed object was written to\n(.*\n)*.*make_the_holder(.*\n)*.*make_the_lost_one(.*\n)*.*"
      "keep a Root<T> there");
}

// Threads that the collector does not stop make and free blocks while it looks at them, among them some
// that hold pointers; attached ones do so in and out of native scopes.
TEST_F(StaleWords, BlocksComeAndGoMeanwhile) {
  std::atomic<bool> end{false};
  std::atomic<std::uint64_t> blocks{0};
  const std::uintptr_t bait = reinterpret_cast<std::uintptr_t>(make<Node>());
  const auto churn = [&](std::uint64_t seed, bool attached) {
    std::uint64_t state = seed * 2 + 1;
    const auto random = [&] {
      return (state = state * 6364136223846793005u + 1442695040888963407u) >> 33;
    };
    std::vector<std::unique_ptr<std::uintptr_t[]>> mine(64);
    const auto step = [&] {
      auto& place = mine[random() % mine.size()];
      if (random() % 3 == 0) {
        place.reset();
      } else {
        const std::size_t count = 1 + random() % (random() % 50 == 0 ? 5000 : 40);
        place = std::make_unique<std::uintptr_t[]>(count);
        place[count - 1] = bait;
      }
      // Relaxed, here and below: a count and a flag.
      blocks.fetch_add(1, std::memory_order_relaxed);
    };
    while (!end.load(std::memory_order_relaxed)) {
      if (!attached) {
        for (int i = 0; i < 100; ++i) step();
      } else if (random() % 2 == 0) {
        for (int i = 0; i < 100; ++i) step();
      } else {
        native([&] {
          for (int i = 0; i < 100; ++i) step();
        });
      }
    }
  };
  const std::uint64_t seed = base::test_seed();
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] { churn(seed + i, false); });
    threads.emplace_back([&, i] {
      const ThreadScope attached;
      churn(seed + 100 + i, true);
    });
  }
  testing::internal::CaptureStderr();
  std::uint64_t cycles = 0;
  while (cycles < 100 || blocks.load(std::memory_order_relaxed) < 200'000) {
    collect();
    ++cycles;
  }
  end.store(true, std::memory_order_relaxed);
  native([&] {
    for (std::thread& thread : threads) thread.join();
  });
  static_cast<void>(testing::internal::GetCapturedStderr());
  collect();
}

}  // namespace
}  // namespace tailrace::gc
