// What is counted: every allocation once, at its slot's size, by thread and in all.
#include "gcruntime/heap/alloc_counts.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string_view>
#include <thread>
#include <vector>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/gc/world.h"

namespace tailrace::gc {
namespace {

using test::Node;

struct Number {
  std::int64_t value = 0;
};
BOOST_DESCRIBE_STRUCT(Number, (), (value))

struct Aligned {
  alignas(16) std::int64_t a = 0;
  Member<Node> node;
};
BOOST_DESCRIBE_STRUCT(Aligned, (), (a, node))

class AllocCountsTest : public testing::Test {
 protected:
  ThreadScope scope_;
};

struct Expected {
  std::uint64_t objects;
  std::uint64_t bytes;
};
void expect(const AllocCounts& counts, Expected expected, int line) {
  EXPECT_EQ(counts.objects, expected.objects) << "line " << line;
  EXPECT_EQ(counts.bytes, expected.bytes) << "line " << line;
  EXPECT_EQ(counts.large_objects, 0u) << "line " << line;
}

// Golden figures: a change here is a change of what a request costs.
TEST_F(AllocCountsTest, EachOperationCostsWhatItDid) {
  const auto count = [](auto&& f) { return allocs_per_run(5, f); };
  expect(count([] { make<Node>(); }), {1, 24}, __LINE__);    // 16 and the header
  expect(count([] { make<Number>(); }), {1, 16}, __LINE__);  // noscan: no header
  const auto aligned = [] {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(make<Aligned>()) % 16, 0u);
  };
  expect(count(aligned), {1, 32}, __LINE__);
  expect(count([] { make_in_slot<Node>(128); }), {1, 128}, __LINE__);
  expect(count([] { String("fifteen bytes.."); }), {0, 0}, __LINE__);
  expect(count([] { String("sixteen bytes..."); }), {1, 24},
         __LINE__);  // and one for the past-the-end pointer
  expect(count([] { Vector<int> empty; }), {0, 0}, __LINE__);
  expect(count([] { Vector<int>{1, 2, 3, 4}; }), {1, 24}, __LINE__);
  expect(count([] {
           Vector<Member<Node>>{nullptr, nullptr};
         }),
         {1, 48}, __LINE__);  // room for four
  expect(count([] { Map<int, int> empty; }), {0, 0}, __LINE__);
  expect(count([] { Map<int, int>().insert(1, 1); }), {1, 80}, __LINE__);  // 4 entries of 16 bytes
  expect(count([] { concat("a text ", "of more than ", "fifteen bytes"); }), {1, 48}, __LINE__);
  alignas(2) static constexpr char kLiteral[] = "no copy is made of this";
  expect(count([] { [[maybe_unused]] String copy(String::literal(kLiteral)); }), {0, 0}, __LINE__);
}

TEST_F(AllocCountsTest, LargeObjectsStandApart) {
  const AllocCounts counts = allocs_per_run(3, [] { allocate_noscan(40'000); });
  EXPECT_EQ(counts.objects, 0u);
  EXPECT_EQ(counts.large_objects, 1u);
  EXPECT_EQ(counts.large_bytes, 5 * heap::kPageBytes);
  const AllocCounts small = allocs_per_run(3, [] { allocate_noscan(heap::kMaxSmallBytes); });
  EXPECT_EQ(small.bytes, heap::kMaxSmallBytes);
  EXPECT_EQ(small.large_objects, 0u);
}

// Cycles and other threads in between change nothing about a thread's own counts.
TEST_F(AllocCountsTest, AThreadsCountsAreItsOwn) {
  std::atomic<bool> stop{false};
  std::thread other([&] {
    const ThreadScope scope;
    while (!stop.load(std::memory_order_relaxed)) make<Node>();
  });
  const AllocCounts before = thread_alloc_counts();
  for (int i = 0; i < 20; ++i) {
    for (int j = 0; j < 100; ++j) make<Node>();
    collect();
  }
  const AllocCounts used = thread_alloc_counts() - before;
  stop.store(true, std::memory_order_relaxed);
  native([&] { other.join(); });
  EXPECT_EQ(used.objects, 2000u);
  EXPECT_EQ(used.bytes, 2000u * 24);
}

// Totals: monotonic while threads allocate, and exact when they have ended.
TEST_F(AllocCountsTest, TotalsAddUp) {
  constexpr std::uint64_t kThreads = 4;
  constexpr std::uint64_t kEach = 50'000;
  const AllocCounts before = World::instance().counts();
  std::atomic<std::uint64_t> left{kThreads};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      const ThreadScope scope;
      for (std::uint64_t i = 0; i < kEach; ++i) make<Node>();
      allocate_noscan(100'000);
      left.fetch_sub(1, std::memory_order_release);
    });
  }
  AllocCounts last = before;
  while (left.load(std::memory_order_acquire) > 0) {
    const AllocCounts now = World::instance().counts();
    ASSERT_GE(now.objects, last.objects);
    ASSERT_GE(now.bytes, last.bytes);
    last = now;
  }
  native([&] {
    for (std::thread& thread : threads) thread.join();
  });
  const AllocCounts used = World::instance().counts() - before;
  EXPECT_EQ(used.objects, kThreads * kEach);
  EXPECT_EQ(used.bytes, kThreads * kEach * 24);
  EXPECT_EQ(used.large_objects, kThreads);
}

TEST_F(AllocCountsTest, MallocsMinusFreesIsWhatIsThere) {
  for (int i = 0; i < 5; ++i) {
    for (int j = 0; j < 10'000; ++j) make<Node>();
    const MemStats stats = read_mem_stats();
    EXPECT_EQ(stats.mallocs - stats.frees, stats.heap_objects);
    EXPECT_GE(stats.heap_inuse, stats.heap_alloc);
    EXPECT_LE(stats.heap_alloc, stats.total_alloc);
    collect();
    const MemStats after = read_mem_stats();
    EXPECT_EQ(after.mallocs, stats.mallocs);
    EXPECT_GT(after.frees, stats.frees);
    EXPECT_EQ(after.heap_alloc, after.heap_live);
  }
}

}  // namespace
}  // namespace tailrace::gc
