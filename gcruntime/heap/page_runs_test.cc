// Page runs on a range of their own, in the part of the reservation that the heap does not use yet.
#include "gcruntime/heap/page_runs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/page_map.h"

namespace tailrace::heap {
namespace {

// Each test takes the next pages: what it leaves behind is nobody else's.
class PageRunsTest : public testing::Test {
 protected:
  static constexpr std::size_t kPages = 4096;

  PageRunsTest() {
    initialise();
    static std::size_t next = (page_map.small_bytes + page_map.large_bytes) / kPageBytes;
    runs_.initialise(next, kPages);
    next += kPages;
  }
  Span* take(std::size_t pages) { return runs_.allocate(pages, SpanState::kSmall, true); }
  Span* take_used(std::size_t pages) { return runs_.allocate(pages, SpanState::kSmall, false); }
  // Pages in use before, all free again.
  void use_all_once() {
    std::vector<Span*> spans;
    while (Span* span = take(64)) spans.push_back(span);
    for (Span* span : spans) runs_.free(span);
    ASSERT_EQ(runs_.free_pages(), kPages);
    ASSERT_EQ(runs_.free_zeroed_pages(), 0u);
  }

  PageRuns runs_;
};

TEST_F(PageRunsTest, NeighboursMergeWhicheverComesFreeLast) {
  for (int last = 0; last < 3; ++last) {
    Span* spans[3] = {take(3), take(4), take(5)};
    const std::uintptr_t start = spans[0]->start;
    ASSERT_EQ(spans[1]->start, start + 3 * kPageBytes);
    ASSERT_EQ(spans[2]->start, start + 7 * kPageBytes);
    for (int i = 0; i < 3; ++i) {
      if (i != last) runs_.free(spans[i]);
    }
    runs_.free(spans[last]);
    Span* merged = take_used(12);
    ASSERT_NE(merged, nullptr) << last;
    EXPECT_EQ(merged->start, start);
    EXPECT_EQ(merged->pages, 12u);
    runs_.free(merged);
  }
}

// Free runs of 5, 3, 8, 130 and 200 pages between pages in use.
TEST_F(PageRunsTest, TheBestFitIsTaken) {
  use_all_once();
  std::map<std::size_t, std::uintptr_t> starts;
  std::vector<Span*> holes;
  for (const std::size_t pages : {5, 3, 8, 200, 130}) {
    Span* hole = take_used(pages);
    starts[pages] = hole->start;
    holes.push_back(hole);
    take_used(1);
  }
  take_used(runs_.free_pages());  // nothing else is left
  for (Span* hole : holes) runs_.free(hole);
  const auto expect_from = [&](std::size_t pages, std::size_t hole) {
    Span* span = take_used(pages);
    ASSERT_NE(span, nullptr);
    EXPECT_EQ(span->start, starts[hole]) << pages << " pages";
    EXPECT_EQ(span->pages, pages);
    runs_.free(span);
  };
  expect_from(1, 3);
  expect_from(3, 3);
  expect_from(4, 5);
  expect_from(6, 8);
  expect_from(9, 130);
  expect_from(129, 130);
  expect_from(130, 130);
  expect_from(131, 200);
  EXPECT_EQ(take_used(201), nullptr);
}

TEST_F(PageRunsTest, ARangeThatIsUsedUpSaysSo) {
  EXPECT_EQ(take_used(1), nullptr);  // nothing was in use before
  EXPECT_EQ(take(kPages + 1), nullptr);
  EXPECT_NE(take(kPages - 1), nullptr);
  EXPECT_NE(take(1), nullptr);
  EXPECT_EQ(take(1), nullptr);
  EXPECT_EQ(runs_.free_pages(), 0u);
  EXPECT_EQ(runs_.grown_pages(), kPages);
}

bool reads_as_zero(const Span* span) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(span->start);
  for (std::size_t i = 0; i < span->bytes(); ++i) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

TEST_F(PageRunsTest, ZeroedMeansZero) {
  Span* span = take(10);
  EXPECT_TRUE(span->zeroed);
  EXPECT_TRUE(reads_as_zero(span));
  std::memset(reinterpret_cast<void*>(span->start), 0xff, span->bytes());
  runs_.free(span);
  span = take_used(10);
  EXPECT_FALSE(span->zeroed);
  runs_.free(span);
  EXPECT_EQ(runs_.release(0), 10 * kPageBytes);
  EXPECT_EQ(runs_.release(0), 0u);
  EXPECT_EQ(runs_.free_zeroed_pages(), runs_.free_pages());
  EXPECT_EQ(take_used(10), nullptr) << "a released run is not resident";
  span = take(10);
  EXPECT_TRUE(span->zeroed);
  EXPECT_TRUE(reads_as_zero(span));
}

TEST_F(PageRunsTest, ReleaseKeepsWhatItIsTold) {
  use_all_once();
  const std::size_t keep = 1000 * kPageBytes;
  std::vector<Span*> spans;
  for (int i = 0; i < 32; ++i) spans.push_back(take_used(128));
  for (std::size_t i = 0; i < 32; i += 2) runs_.free(spans[i]);
  // Runs of 128 pages, given back one by one until at most 1000 are left.
  EXPECT_EQ(runs_.release(keep), (16 - 7) * 128 * kPageBytes);
  EXPECT_EQ(runs_.free_pages() - runs_.free_zeroed_pages(), 7 * 128u);
  EXPECT_EQ(runs_.release(keep), 0u);
}

// Runs that were released one after the other: together they are one again, or the range would fall to
// pieces that no large object fits.
TEST_F(PageRunsTest, ReleasedNeighboursMerge) {
  use_all_once();
  std::vector<Span*> spans;
  for (int i = 0; i < 64; ++i) spans.push_back(take_used(64));
  for (std::size_t i = 0; i < 64; i += 2) runs_.free(spans[i]);
  runs_.release(0);
  for (std::size_t i = 1; i < 64; i += 2) runs_.free(spans[i]);
  runs_.release(0);
  EXPECT_EQ(runs_.free_zeroed_pages(), kPages);
  Span* all = take(kPages);
  ASSERT_NE(all, nullptr);
  EXPECT_EQ(all->pages, kPages);
}

// Whole huge pages, of the run that has been free the longest, and from its end; then the longest runs.
TEST_F(PageRunsTest, HugePagesAreGivenBackWholeAndTheOldestFirst) {
  use_all_once();
  constexpr std::size_t kHuge = PageRuns::kReleasePages;
  std::vector<Span*> runs;
  for (const std::size_t pages : {2 * kHuge + 100, std::size_t{300}, 3 * kHuge, std::size_t{60}}) {
    runs.push_back(take_used(pages));
    take_used(1);  // apart
  }
  take_used(runs_.free_pages());
  const std::uintptr_t first_end = runs[0]->start + runs[0]->bytes();
  const std::uintptr_t short_start = runs[1]->start;
  const std::uintptr_t third_end = runs[2]->start + runs[2]->bytes();
  for (Span* run : runs) runs_.free(run);
  const auto huge_before = [](std::uintptr_t end) {
    return end / os::kHugePageBytes * os::kHugePageBytes - os::kHugePageBytes;
  };
  const auto expect_piece = [&](std::uintptr_t start, std::size_t pages) {
    Span* piece = runs_.take_resident(0);
    ASSERT_NE(piece, nullptr);
    EXPECT_EQ(piece->start, start);
    EXPECT_EQ(piece->pages, pages);
    EXPECT_EQ(runs_.releasing_pages(), pages);
    runs_.put_zeroed(piece);
  };
  expect_piece(huge_before(first_end), kHuge);
  expect_piece(huge_before(first_end) - os::kHugePageBytes, kHuge);
  // Nothing whole is left of the first; the second holds none, the third two.
  expect_piece(huge_before(third_end), kHuge);
  expect_piece(huge_before(third_end) - os::kHugePageBytes, kHuge);
  EXPECT_EQ(runs_.take_resident(0, /*whole=*/true), nullptr);
  std::size_t last = SIZE_MAX;
  bool short_seen = false;
  while (Span* piece = runs_.take_resident(0)) {
    const bool is_short =
        piece->start >= short_start && piece->start < short_start + 300 * kPageBytes;
    short_seen |= is_short;
    EXPECT_TRUE(piece->pages <= last || last >= 128) << "longest first";
    last = piece->pages;
    runs_.put_zeroed(piece);
  }
  EXPECT_TRUE(short_seen);
  EXPECT_EQ(runs_.free_resident_pages(), 0u);
  EXPECT_EQ(runs_.releasing_pages(), 0u);
}

// While the kernel works on a piece it is neither free nor in use, and its neighbours do not merge with it.
TEST_F(PageRunsTest, APieceOnItsWayIsNobodys) {
  use_all_once();
  Span* piece = runs_.take_resident(0);
  ASSERT_NE(piece, nullptr);
  EXPECT_EQ(runs_.free_pages() + runs_.releasing_pages(), kPages);
  EXPECT_EQ(runs_.used_pages(), 0u);
  EXPECT_EQ(take(kPages), nullptr);
  Span* rest = take(kPages - piece->pages);
  ASSERT_NE(rest, nullptr);
  EXPECT_EQ(take(1), nullptr);
  runs_.free(rest);
  give_pages_back(piece);
  runs_.put_zeroed(piece);
  // The range is used up, and free in two kinds of runs: who needs both gets them as one.
  Span* all = take(kPages);
  ASSERT_NE(all, nullptr);
  EXPECT_FALSE(all->zeroed);
  EXPECT_EQ(runs_.free_pages(), 0u);
  EXPECT_EQ(runs_.free_zeroed_pages(), 0u);
}

TEST_F(PageRunsTest, FreeNeighboursOfBothKindsAreJoinedWhenNothingElseFits) {
  use_all_once();
  std::vector<Span*> spans;
  for (int i = 0; i < 64; ++i) spans.push_back(take_used(64));
  // Free from 10 to 20, every other one given back; a longer run would have to go over 20.
  for (std::size_t i = 10; i < 20; i += 2) runs_.free(spans[i]);
  runs_.release(0);
  for (std::size_t i = 11; i < 20; i += 2) runs_.free(spans[i]);
  EXPECT_EQ(take(64 * 10 + 1), nullptr);
  EXPECT_EQ(take_used(65), nullptr) << "one that must not grow takes what is resident only";
  Span* joined = take(64 * 5);
  ASSERT_NE(joined, nullptr);
  EXPECT_EQ(joined->start, spans[9]->start + 64 * kPageBytes);
  EXPECT_FALSE(joined->zeroed);
  EXPECT_NE(take(64 * 5), nullptr);
  EXPECT_EQ(runs_.free_pages(), 0u);
}

// Against a table of which page is whose.
TEST_F(PageRunsTest, RandomChurnAgreesWithATable) {
  const std::uint64_t seed = base::test_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::vector<int> owner(kPages, 0);
  std::map<int, Span*> live;
  int next_id = 1;
  const std::size_t records = span_records_in_use();
  for (int step = 0; step < 20'000; ++step) {
    if (random() % 1000 == 0) runs_.release(random() % (kPages * kPageBytes));
    if (random() % 2 == 0 || live.empty()) {
      const std::size_t pages = 1 + random() % (random() % 10 == 0 ? 300 : 12);
      Span* span = random() % 2 == 0 ? take(pages) : take_used(pages);
      if (span == nullptr) continue;
      ASSERT_EQ(span->pages, pages);
      const std::size_t first = page_of(span->start) - runs_.first_page();
      ASSERT_LE(first + pages, runs_.grown_pages());
      for (std::size_t page = first; page < first + pages; ++page) {
        ASSERT_EQ(owner[page], 0) << "page " << page << " is in use";
        owner[page] = next_id;
        ASSERT_EQ(span_of_page(runs_.first_page() + page), span);
      }
      live[next_id++] = span;
    } else {
      auto at = std::next(live.begin(), static_cast<std::ptrdiff_t>(random() % live.size()));
      const std::size_t first = page_of(at->second->start) - runs_.first_page();
      for (std::size_t page = first; page < first + at->second->pages; ++page) owner[page] = 0;
      runs_.free(at->second);
      live.erase(at);
    }
    const auto in_use = static_cast<std::size_t>(
        std::count_if(owner.begin(), owner.end(), [](int id) { return id != 0; }));
    ASSERT_EQ(runs_.grown_pages() - runs_.free_pages(), in_use);
    ASSERT_LE(runs_.free_zeroed_pages(), runs_.free_pages());
  }
  for (auto& [id, span] : live) runs_.free(span);
  runs_.release(0);
  EXPECT_EQ(span_records_in_use(), records + 1) << "span records leaked";
}

}  // namespace
}  // namespace tailrace::heap
