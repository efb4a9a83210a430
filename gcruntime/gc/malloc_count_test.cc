#include "gcruntime/gc/malloc_count.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/mutator.h"

namespace tailrace::gc {
namespace {

// The sanitizers have operators of their own, which count nothing.
constexpr bool kNewIsCounted = !TAILRACE_ASAN && !TAILRACE_TSAN;

template <typename F>
AllocCounts counts_of(F&& f) {
  const AllocCounts before = thread_alloc_counts();
  f();
  return thread_alloc_counts() - before;
}

TEST(MallocCount, EachFormOfNewIsCountedAsAskedFor) {
  struct alignas(64) Line {
    char bytes[64];
  };
  const ThreadScope scope;
  const AllocCounts counts = counts_of([] {
    const auto one = std::make_unique<char[]>(100);
    const auto line = std::make_unique<Line>();
    const std::unique_ptr<int> number(new (std::nothrow) int(7));
    asm volatile("" : : "r"(one.get()), "r"(line.get()), "r"(number.get()) : "memory");
  });
  EXPECT_EQ(counts.malloc_objects, kNewIsCounted ? 3u : 0u);
  EXPECT_EQ(counts.malloc_bytes, kNewIsCounted ? 100 + sizeof(Line) + sizeof(int) : 0u);
  EXPECT_EQ(counts.objects, 0u);
}

TEST(MallocCount, GrowthIsCountedAndFreeingIsNot) {
  const ThreadScope scope;
  std::vector<char> bytes(10);
  const AllocCounts counts = counts_of([&] { bytes = std::vector<char>(1000); });
  EXPECT_EQ(counts.malloc_objects, kNewIsCounted ? 1u : 0u);
  EXPECT_EQ(counts.malloc_bytes, kNewIsCounted ? 1000u : 0u);
}

TEST(MallocCount, WhoCallsMallocMaySaySo) {
  const ThreadScope scope;
  const AllocCounts counts = counts_of([] { count_malloc(12'345); });
  EXPECT_EQ(counts.malloc_objects, 1u);
  EXPECT_EQ(counts.malloc_bytes, 12'345u);
}

TEST(MallocCount, ThreadsAreApartAndUnattachedOnesAreNobodys) {
  const ThreadScope scope;
  const AllocCounts counts = counts_of([] {
    std::thread([] {
      count_malloc(1'000'000);
      const ThreadScope attached;
      count_malloc(1'000'000);
    }).join();
  });
  EXPECT_LT(counts.malloc_bytes, 1'000'000u);
}

}  // namespace
}  // namespace tailrace::gc
