// What is reachable survives with its contents; what is not is freed; from every kind of place.
#include "gcruntime/gc/collect.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "gcruntime/gc/map.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"

namespace tailrace::gc {
namespace {

using test::in_own_frame;

struct Node {
  Member<Node> left;
  Member<Node> right;
  std::int64_t value = 0;
};
BOOST_DESCRIBE_STRUCT(Node, (), (left, right, value))

struct Everything {
  Member<Node> node;
  String text;
  Vector<String> texts;
  Map<String, std::int64_t> numbers;
  std::optional<Member<Node>> maybe;
  std::variant<std::int64_t, Member<Node>> either;
  std::array<Member<Node>, 3> three;
  Atomic<Node> atomic;
};
BOOST_DESCRIBE_STRUCT(Everything, (), (node, text, texts, numbers, maybe, either, three, atomic))

Node* make_node(std::int64_t value) {
  Node* node = make<Node>();
  node->value = value;
  return node;
}

Node* make_tree(int depth) {
  Node* node = make_node(depth);
  if (depth > 0) {
    node->left = make_tree(depth - 1);
    node->right = make_tree(depth - 1);
  }
  return node;
}
std::int64_t count_tree(const Node* node) {
  if (node == nullptr) return 0;
  return 1 + count_tree(node->left.get()) + count_tree(node->right.get());
}

std::uint64_t live_objects() {
  collect();
  return read_mem_stats().heap_objects;
}

class CollectorTest : public testing::Test {
 protected:
  ThreadScope scope_;
};

TEST_F(CollectorTest, GarbageIsFreedAndCounted) {
  const std::uint64_t before = live_objects();
  in_own_frame([] {
    for (int i = 0; i < 100'000; ++i) make_node(i);
  });
  const MemStats stats = read_mem_stats();
  EXPECT_GE(stats.mallocs, 100'000u);
  EXPECT_LE(live_objects(), before + 16);
  const MemStats after = read_mem_stats();
  EXPECT_EQ(after.mallocs - after.frees, after.heap_objects);
  EXPECT_EQ(after.heap_sys, after.heap_inuse + after.heap_idle);
}

TEST_F(CollectorTest, StackAndRootKeepATreeAlive) {
  Node* on_stack = make_tree(12);
  Root<Node> root(make_tree(12));
  for (int i = 0; i < 3; ++i) {
    collect();
    in_own_frame([] { make_tree(10); });
  }
  EXPECT_EQ(count_tree(on_stack), (1 << 13) - 1);
  EXPECT_EQ(count_tree(root.get()), (1 << 13) - 1);
  root = nullptr;
  collect();
  EXPECT_EQ(count_tree(on_stack), (1 << 13) - 1);
}

TEST_F(CollectorTest, EveryKindOfMemberIsTraced) {
  Root<Everything> root(make<Everything>());
  in_own_frame([&] {
    Everything& all = *root;
    all.node = make_node(1);
    all.text = String("a text of more than fifteen bytes");
    for (int i = 0; i < 100; ++i) all.texts.push_back(concat("text number ", std::to_string(i)));
    for (int i = 0; i < 100; ++i) {
      all.numbers.insert(concat("a long enough key ", std::to_string(i)), i);
    }
    all.maybe = Member<Node>(make_node(2));
    all.either = Member<Node>(make_node(3));
    for (int i = 0; i < 3; ++i) all.three[static_cast<std::size_t>(i)] = make_node(10 + i);
    all.atomic.store(make_node(4));
  });
  for (int i = 0; i < 3; ++i) {
    collect();
    in_own_frame([] {
      for (int j = 0; j < 10'000; ++j) make_node(-1);
    });
  }
  const Everything& all = *root;
  EXPECT_EQ(all.node->value, 1);
  EXPECT_EQ(all.text, "a text of more than fifteen bytes");
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(all.texts[i], "text number " + std::to_string(i));
    const std::int64_t* found = all.numbers.find("a long enough key " + std::to_string(i));
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(*found, static_cast<std::int64_t>(i));
  }
  EXPECT_EQ((*all.maybe)->value, 2);
  EXPECT_EQ(std::get<1>(all.either)->value, 3);
  EXPECT_EQ(all.three[2]->value, 12);
  EXPECT_EQ(all.atomic.load()->value, 4);
}

TEST_F(CollectorTest, InteriorAndPastTheEndPointersKeepTheirObject) {
  Vector<std::int64_t> numbers;
  for (int i = 0; i < 1000; ++i) numbers.push_back(i);
  const std::int64_t* middle = numbers.data() + 500;
  const std::int64_t* end = numbers.data() + numbers.capacity();
  const std::size_t capacity = numbers.capacity();
  numbers = Vector<std::int64_t>();
  collect();
  in_own_frame([] {
    for (int i = 0; i < 10'000; ++i) make_node(-1);
    Vector<std::int64_t> other;
    for (int i = 0; i < 1000; ++i) other.push_back(-1);
  });
  EXPECT_EQ(*middle, 500);
  EXPECT_EQ(*(end - static_cast<std::ptrdiff_t>(capacity)), 0);
}

TEST_F(CollectorTest, LargeObjectsLiveAndDie) {
  const std::uint64_t before = live_objects();
  in_own_frame([&] {
    Root<Vector<Member<Node>>> root;
    for (int i = 0; i < 200'000; ++i) root->push_back(make_node(i));
    collect();
    for (int i = 0; i < 200'000; ++i) {
      ASSERT_EQ((*root)[static_cast<std::size_t>(i)]->value, i);
    }
  });
  EXPECT_LE(live_objects(), before + 64);
}

TEST_F(CollectorTest, AListOfAMillionNodesIsMarkedWithoutRecursion) {
  Root<Node> head(make_node(0));
  in_own_frame([&] {
    Node* tail = head.get();
    for (int i = 1; i < 1'000'000; ++i) {
      Node* next = make_node(i);
      tail->left = next;
      tail = next;
    }
  });
  collect();
  std::int64_t count = 0;
  for (const Node* node = head.get(); node != nullptr; node = node->left.get()) {
    ASSERT_EQ(node->value, count++);
  }
  EXPECT_EQ(count, 1'000'000);
}

TEST_F(CollectorTest, AThreadThatSpinsWithoutAllocatingIsStopped) {
  TAILRACE_SKIP_WITHOUT_STOP_SIGNALS();
  std::atomic<bool> stop{false};
  std::atomic<bool> running{false};
  std::thread spinner([&] {
    const ThreadScope scope;
    Node* held = make_node(77);
    running.store(true, std::memory_order_release);
    while (!stop.load(std::memory_order_relaxed)) {
    }
    EXPECT_EQ(held->value, 77);
  });
  while (!running.load(std::memory_order_acquire)) std::this_thread::yield();
  for (int i = 0; i < 200; ++i) collect();
  stop.store(true, std::memory_order_relaxed);
  spinner.join();
}

// Threads that build, mutate and check structures of their own while others force cycles.
TEST_F(CollectorTest, ThreadsAllocateWhileCyclesRunBackToBack) {
  constexpr int kThreads = 4;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const ThreadScope scope;
      std::mt19937 random(static_cast<unsigned>(t));
      Root<Map<String, Member<Node>>> map;
      std::vector<std::int64_t> expected(512, -1);
      for (int i = 0; i < 5'000 || !stop.load(std::memory_order_relaxed); ++i) {
        const std::size_t key = random() % expected.size();
        const String name = concat("thread key number ", std::to_string(key));
        if (random() % 4 == 0) {
          ASSERT_EQ(map->erase(name), expected[key] >= 0);
          expected[key] = -1;
        } else {
          map->insert_or_assign(name, make_node(i));
          expected[key] = i;
        }
        const std::size_t probe = random() % expected.size();
        const Member<Node>* found = map->find(concat("thread key number ", std::to_string(probe)));
        ASSERT_EQ(found != nullptr, expected[probe] >= 0);
        if (found != nullptr) {
          ASSERT_EQ((*found)->value, expected[probe]);
        }
      }
    });
  }
  for (int i = 0; i < 50; ++i) collect();
  stop.store(true, std::memory_order_relaxed);
  native([&] {
    for (std::thread& thread : threads) thread.join();
  });
}

struct Board {
  std::array<Atomic<Node>, 16> places;
};
BOOST_DESCRIBE_STRUCT(Board, (), (places))

// Readers look at what others replace at once: from then on their stacks and registers alone keep it.
TEST_F(CollectorTest, WhatWasLoadedOutlivesItsReplacement) {
  const Root<Board> board(make<Board>());
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> read{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      const ThreadScope scope;
      std::mt19937 random(t);
      for (std::int64_t i = 0; !stop.load(std::memory_order_relaxed); ++i) {
        Node* node = make_node(i);
        node->left = make_node(~i);
        board->places[random() % board->places.size()].store(node);
      }
    });
    threads.emplace_back([&, t] {
      const ThreadScope scope;
      std::mt19937 random(100 + t);
      while (!stop.load(std::memory_order_relaxed)) {
        const Node* node = board->places[random() % board->places.size()].load();
        if (node == nullptr) continue;
        // Whatever was freed too early is given out again.
        for (unsigned i = random() % 100; i > 0; --i) make_node(-1);
        ASSERT_GE(node->value, 0);
        ASSERT_EQ(node->left->value, ~node->value);
        read.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  while (read.load(std::memory_order_relaxed) < 20'000 && !HasFailure()) collect();
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) test::join(thread);
}

TEST_F(CollectorTest, TheHeapStaysWithinItsGoalWhileGarbageIsMade) {
  Root<Node> live(make_tree(15));
  collect();
  const MemStats before = read_mem_stats();
  std::uint64_t peak = 0;
  for (int i = 0; i < 200; ++i) {
    in_own_frame([] { make_tree(13); });
    peak = std::max(peak, read_mem_stats().heap_alloc);
  }
  const MemStats after = read_mem_stats();
  EXPECT_GT(after.num_gc, before.num_gc);
  // The goal, half as much and 8 MiB until allocation waits for a cycle; then that is alive for all the
  // cycle knows, and as much may come until the next one has ended and is swept.
  EXPECT_LE(peak, 2 * (before.next_gc * 3 / 2 + (8u << 20)) + (4u << 20));
  EXPECT_EQ(count_tree(live.get()), (1 << 16) - 1);
}

TEST_F(CollectorTest, PercentOffStopsAutomaticCycles) {
  const int old = set_percent(-1);
  collect();  // a cycle asked for before that may still be to come
  const std::uint64_t before = read_mem_stats().num_gc;
  in_own_frame([] {
    for (int i = 0; i < 500'000; ++i) make_node(i);
  });
  EXPECT_EQ(read_mem_stats().num_gc, before);
  EXPECT_EQ(set_percent(old), -1);
}

TEST_F(CollectorTest, AllocationIsCountedExactly) {
  const AllocCounts one = allocs_per_run(10, [] { make_node(1); });
  EXPECT_EQ(one.objects, 1u);
  EXPECT_EQ(one.bytes, 32u);  // 24 bytes and the header
  const AllocCounts large = allocs_per_run(3, [] { allocate_noscan(100'000); });
  EXPECT_EQ(large.large_objects, 1u);
  EXPECT_EQ(large.large_bytes, 106'496u);  // 13 pages
}

// "gc 7 @1.234s 5%: 0.1+2+3 ms clock, 0.1+0/2/0+3 ms cpu, 4->4->1 MB, 8 MB goal, 0 MB stacks, 0 MB globals, 2 P"
TEST_F(CollectorTest, TheTraceLineIsInGosFormat) {
  set_percent(-1);
  collect();  // a cycle that is due already would print as well
  configure({.percent = -1, .trace = true, .procs = 2});
  testing::internal::CaptureStderr();
  collect();
  std::string text = testing::internal::GetCapturedStderr();
  configure({});
  ASSERT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  // Each number, with its exponent, becomes a 0.
  std::string shape;
  for (std::size_t i = 0; i < text.size();) {
    if (std::isdigit(static_cast<unsigned char>(text[i])) == 0) {
      shape += text[i++];
      continue;
    }
    char* end = nullptr;
    std::strtod(text.c_str() + i, &end);
    i = static_cast<std::size_t>(end - text.c_str());
    shape += '0';
  }
  EXPECT_EQ(shape,
            "gc 0 @0s 0%: 0+0+0 ms clock, 0+0/0/0+0 ms cpu, 0->0->0 MB, 0 MB goal, 0 MB stacks, "
            "0 MB globals, 0 P (forced)\n");
}

TEST_F(CollectorTest, FiguresOfACycle) {
  const Root<Node> live(make_tree(14));
  collect();
  const MemStats before = read_mem_stats();
  // Whoever waits for a cycle is answered for; one that runs is held by its own answers.
  std::atomic<bool> stop{false};
  std::thread running([&] {
    const ThreadScope scope;
    while (!stop.load(std::memory_order_relaxed)) poll();
  });
  while (World::instance().mutator_count() < 2) poll();
  // A hold that outlasts its cycle, as the thread has lost its processor, is a later one's.
  std::uint32_t cycles = 0;
  do {
    collect();
    ++cycles;
  } while (cycles < 3 ||
           (cycles < 200 && read_mem_stats().pause_total_ns == before.pause_total_ns));
  stop.store(true, std::memory_order_relaxed);
  test::join(running);
  const MemStats after = read_mem_stats();
  EXPECT_EQ(after.num_gc, before.num_gc + cycles);
  EXPECT_EQ(after.num_forced_gc, before.num_forced_gc + cycles);
  EXPECT_GT(after.pause_total_ns, before.pause_total_ns);
  EXPECT_GT(after.gc_cpu_ns, before.gc_cpu_ns);
  EXPECT_GE(after.last_gc_unix_ns, before.last_gc_unix_ns);
  EXPECT_GE(after.heap_live, std::uint64_t{(1 << 15) - 1} * 32);
  EXPECT_GE(after.next_gc, after.heap_live);
  EXPECT_LE(after.next_gc, 2 * after.heap_live + (4u << 20));
  EXPECT_EQ(after.pause_count, std::min<std::uint64_t>(after.num_gc, MemStats::kPauses));
  EXPECT_EQ(after.sys, after.heap_sys + after.stack_sys + after.mspan_sys + after.mcache_sys +
                           after.gc_sys + after.other_sys);
}

using CollectorDeathTest = CollectorTest;

TEST_F(CollectorDeathTest, AnUnattachedThreadThatAllocatesStopsWithAMessage) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(std::thread([] { make_node(1); }).join(), "not attached");
}

}  // namespace
}  // namespace tailrace::gc
