// What a pool holds after each of its buffers has seen one large report.
#include "handlers/patterns/oversized.h"

#include <gtest/gtest.h>

#include "gcruntime/gc/mutator.h"
#include "handlers/patterns/costs.h"

namespace tailrace::patterns {
namespace {

constexpr std::size_t kLargeLines = 8192;  // 256 KiB

// All buffers at once are out for a large report, then come back; small ones follow.
void burst(ScratchPool& pool) {
  gc::Vector<gc::Member<Scratch>> out;
  for (std::size_t i = 0; i < ScratchPool::kMostBuffers; ++i) {
    Scratch* const scratch = pool.take();
    scratch->bytes.resize(kLargeLines * 32);
    out.push_back(scratch);
  }
  for (const gc::Member<Scratch>& each : out) pool.put(each.get());
  out.clear();  // a stale word on the stack that finds the list must find it empty
  for (int i = 0; i < 100; ++i) write_report(pool, 8);
}

std::uint64_t live_bytes() {
  gc::collect();
  return gc::read_mem_stats().heap_live;
}

TEST(OversizedTest, AReportIsWritten) {
  const gc::ThreadScope attached;
  ScratchPool pool = good::make_pool();
  EXPECT_EQ(write_report(pool, 0), 0u);
  EXPECT_EQ(write_report(pool, 3), 96u);
  EXPECT_EQ(write_report(pool, 1), 32u) << "a buffer is empty when it is taken";
}

TEST(OversizedTest, BadHoldsTheLargestSizeForGood) {
  const gc::ThreadScope attached;
  const std::uint64_t before = live_bytes();
  ScratchPool good_pool = good::make_pool();
  burst(good_pool);
  const std::uint64_t with_good = live_bytes();
  ScratchPool bad_pool = bad::make_pool();
  burst(bad_pool);
  const std::uint64_t with_bad = live_bytes();

  EXPECT_LE(good_pool.held_bytes(), ScratchPool::kMostBuffers * (std::size_t{64} << 10));
  EXPECT_GE(bad_pool.held_bytes(), ScratchPool::kMostBuffers * kLargeLines * 32);
  // What the collector sees agrees: 4 MiB more, against next to nothing. Half of that is slack for
  // what stale words on the stack may keep.
  constexpr std::uint64_t kHalf = ScratchPool::kMostBuffers * kLargeLines * 32 / 2;
  EXPECT_GE(with_bad, with_good + kHalf);
  EXPECT_LE(with_good, before + kHalf);
}

TEST(OversizedTest, SmallReportsReuseTheirBufferInBoth) {
  const gc::ThreadScope attached;
  ScratchPool good_pool = good::make_pool();
  ScratchPool bad_pool = bad::make_pool();
  EXPECT_EQ(costs_of([&] { write_report(good_pool, 8); }).objects, 0u);
  EXPECT_EQ(costs_of([&] { write_report(bad_pool, 8); }).objects, 0u);
}

}  // namespace
}  // namespace tailrace::patterns
