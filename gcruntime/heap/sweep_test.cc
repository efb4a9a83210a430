// The sweep by itself: worker caches made by hand, marks set by hand, no collector.
//
// What other tests of the binary have left in the heap is kept: each marking here marks all that is
// allocated but the objects which the test lets go.
#include "gcruntime/heap/sweep.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/heap/page_runs.h"
#include "gcruntime/heap/quarantine.h"
#include "gcruntime/heap/size_class.h"
#include "gcruntime/heap/span.h"
#include "gcruntime/heap/sweep_test_support.h"

namespace tailrace::heap {
namespace {

constexpr std::size_t kClass64 = size_class_of(64);
constexpr std::size_t kSlots64 = kSizeClassTable[kClass64].slots;
constexpr std::size_t kClass1024 = size_class_of(1024);

std::uintptr_t page_start(const void* object) {
  return reinterpret_cast<std::uintptr_t>(object) / kPageBytes * kPageBytes;
}

class SweepTest : public testing::Test {
 protected:
  SweepTest() {
    initialise();
    while (sweep_some(64)) {
    }
    run_cycle({});
    strangers_ = sweep_totals();
  }
  // Everything the test allocated goes.
  ~SweepTest() override {
    if (!swept()) {
      answer();
      allow_sweep();
    }
    while (sweep_some(64)) {
    }
    thread_.black = false;
    run_cycle(std::exchange(objects_, {}));
    set_roomy_bytes(UINT64_MAX);
  }

  void* take(std::size_t size_class, bool noscan = true) {
    void* object = thread_.take(size_class, noscan);
    objects_.push_back(object);
    return object;
  }
  std::vector<void*> take_many(std::size_t size_class, std::size_t count) {
    std::vector<void*> taken;
    for (std::size_t i = 0; i < count; ++i) taken.push_back(take(size_class));
    return taken;
  }
  void forget(const std::vector<void*>& dead) {
    const std::set<void*> set(dead.begin(), dead.end());
    std::erase_if(objects_, [&](void* object) { return set.contains(object); });
  }
  // A marking that finds all alive but these. The thread has not answered yet.
  void mark_all_but(const std::vector<void*>& dead) {
    for_each_allocated([](const ObjectPlace& place) { mark(place); });
    for (void* object : dead) {
      const ObjectPlace place = place_of(object);
      place.mark_word->fetch_and(~place.bit);
    }
    forget(dead);
    end_marking();
  }
  void answer() {
    return_cache(thread_.cache);
    thread_.cache.generation = generation();
    thread_.black = false;
  }
  void mark_and_allow(const std::vector<void*>& dead) {
    mark_all_but(dead);
    answer();
    allow_sweep();
  }
  void run_cycle(const std::vector<void*>& dead) {
    mark_and_allow(dead);
    while (sweep_some(64)) {
    }
    ASSERT_TRUE(swept());
  }
  void put_idle_runs() {
    for (Span* run : std::exchange(idle_, {})) {
      give_pages_back(run);
      put_idle_run(run);
    }
  }
  std::uint64_t live_objects() const {
    return sweep_totals().live_objects - strangers_.live_objects;
  }

  std::vector<Span*> idle_;
  HandMadeThread thread_;
  std::vector<void*> objects_;  // allocated by the test, and not let go
  SweepTotals strangers_;
};

std::vector<void*> every_second(const std::vector<void*>& objects) {
  std::vector<void*> result;
  for (std::size_t i = 0; i < objects.size(); i += 2) result.push_back(objects[i]);
  return result;
}

TEST_F(SweepTest, FreesWhatIsNotMarkedAndCountsIt) {
  const SweepTotals before = sweep_totals();
  std::vector<void*> dead;
  std::uint64_t dead_bytes = 0;
  std::uint64_t live = 0;
  for (const std::size_t bytes : {16u, 48u, 1024u, 32768u}) {
    const std::size_t size_class = size_class_of(bytes);
    const std::vector<void*> objects = take_many(size_class, 3 * kSizeClassTable[size_class].slots);
    const std::vector<void*> half = every_second(objects);
    dead.insert(dead.end(), half.begin(), half.end());
    dead_bytes += half.size() * bytes;
    live += objects.size() - half.size();
  }
  const std::vector<void*> kept = [&] {
    const std::set<void*> gone(dead.begin(), dead.end());
    std::vector<void*> rest;
    for (void* object : objects_) {
      if (!gone.contains(object)) rest.push_back(object);
    }
    return rest;
  }();
  run_cycle(dead);
  const SweepTotals after = sweep_totals();
  EXPECT_EQ(after.freed_objects - before.freed_objects, dead.size());
  EXPECT_EQ(after.freed_bytes - before.freed_bytes, dead_bytes);
  EXPECT_EQ(live_objects(), live);
  for (void* object : dead) EXPECT_FALSE(is_allocated(object));
  for (void* object : kept) {
    EXPECT_TRUE(place_of(object).allocated());
    EXPECT_FALSE(place_of(object).marked()) << "a mark survived the sweep";
  }
}

TEST_F(SweepTest, FreedSlotsAreHandedOutAgainBeforeFreshPages) {
  const std::vector<void*> objects = take_many(kClass64, 8 * kSlots64);
  const std::vector<void*> dead = every_second(objects);
  run_cycle(dead);
  std::set<void*> free(dead.begin(), dead.end());
  for (std::size_t i = 0; i < dead.size(); ++i) {
    EXPECT_EQ(free.erase(take(kClass64)), 1u) << i;
  }
}

TEST_F(SweepTest, SpansWithoutLiveSlotsGiveTheirPagesBack) {
  const std::uint64_t before = levels().inuse_bytes;
  const std::vector<void*> objects = take_many(kClass1024, 400);
  ASSERT_GE(levels().inuse_bytes, before + 400 * 1024);
  run_cycle(objects);
  EXPECT_LE(levels().inuse_bytes, before);
  for (void* object : objects) EXPECT_FALSE(is_allocated(object));
}

TEST_F(SweepTest, SpansThatWereUsedUpOrReturnedAreSweptLikeOthers) {
  // Full ones, and with the cache emptied in between: sparse, crowded and empty-handed ones.
  const std::size_t counts[] = {kSlots64, kSlots64 / 4, kSlots64 - 3, 1, 2 * kSlots64};
  std::vector<void*> all;
  for (const std::size_t count : counts) {
    for (std::size_t i = 0; i < count; ++i) all.push_back(take(kClass64));
    return_cache(thread_.cache);
  }
  const std::uint64_t freed = sweep_totals().freed_objects;
  run_cycle(all);
  EXPECT_EQ(sweep_totals().freed_objects - freed, all.size());
}

TEST_F(SweepTest, ReturnedSpansWaitByHowFullTheyAre) {
  // A class that is nobody else's. A span of it is sparse with half its slots taken, crowded with one more.
  constexpr std::size_t kClass = size_class_of(224);
  constexpr std::size_t kSlots = kSizeClassTable[kClass].slots;
  for (const bool sparse_last : {false, true}) {
    HandMadeThread other;
    other.cache.generation = generation();
    std::vector<void*> slots = take_many(kClass, kSlots / 2);
    const std::uintptr_t sparse_page = page_start(slots[0]);
    for (std::size_t i = 0; i < kSlots / 2 + 1; ++i) slots.push_back(other.take(kClass, true));
    const std::uintptr_t crowded_page = page_start(slots.back());
    objects_.insert(objects_.end(), slots.end() - static_cast<std::ptrdiff_t>(kSlots / 2 + 1),
                    slots.end());
    ASSERT_NE(sparse_page, crowded_page);
    return_cache(sparse_last ? other.cache : thread_.cache);
    return_cache(sparse_last ? thread_.cache : other.cache);
    // The sparse one to its last slot; then fresh pages; when memory is tight the crowded one.
    for (std::size_t i = 0; i < kSlots - kSlots / 2; ++i) {
      EXPECT_EQ(page_start(take(kClass)), sparse_page);
    }
    EXPECT_NE(page_start(take(kClass)), crowded_page);
    set_roomy_bytes(0);
    while (Span* run = take_idle_run(0)) idle_.push_back(run);
    std::set<std::uintptr_t> pages;
    for (std::size_t i = 0; i < kSlots; ++i) pages.insert(page_start(take(kClass)));
    EXPECT_TRUE(pages.contains(crowded_page));
    set_roomy_bytes(UINT64_MAX);
    put_idle_runs();
    run_cycle(std::exchange(objects_, {}));
  }
}

TEST_F(SweepTest, NothingIsSweptOrReusedBeforeItIsAllowed) {
  const std::vector<void*> objects = take_many(kClass64, 20 * kSlots64);
  const std::vector<void*> dead = every_second(objects);
  std::set<std::uintptr_t> old_pages;
  for (void* object : objects) old_pages.insert(page_start(object));
  const std::uint64_t freed = sweep_totals().freed_objects;
  mark_all_but(dead);
  EXPECT_FALSE(swept());
  EXPECT_TRUE(sweep_some(1000));
  sweep_for(1 << 20);
  EXPECT_EQ(sweep_for_span(kClass64, true, 16, true), nullptr);
  answer();
  set_roomy_bytes(0);
  EXPECT_TRUE(sweep_some(1000));
  for (std::size_t i = 0; i < 4 * kSlots64; ++i) {
    EXPECT_FALSE(old_pages.contains(page_start(take(kClass64)))) << i;
  }
  EXPECT_EQ(sweep_totals().freed_objects, freed);
  EXPECT_TRUE(place_of(dead[0]).allocated());
  allow_sweep();
  EXPECT_FALSE(swept());
  while (sweep_some(64)) {
  }
  EXPECT_EQ(sweep_totals().freed_objects - freed, dead.size());
}

TEST_F(SweepTest, AnEmptyHeapIsNotSweptBeforeItIsAllowedEither) {
  mark_all_but({});
  EXPECT_FALSE(swept());
  EXPECT_TRUE(sweep_some(1)) << "a thread may yet return a span of the ended generation";
  answer();
  allow_sweep();
  while (sweep_some(1)) {
  }
  EXPECT_TRUE(swept());
}

TEST_F(SweepTest, AThreadThatHasNotAnsweredMakesSpansThatAreSwept) {
  HandMadeThread late;
  late.cache.generation = generation();
  late.black = true;
  const std::uint32_t old_generation = generation();
  mark_all_but({});
  answer();
  // Both need a span now: the late one's has the ended generation, and black words.
  void* old_object = late.take(kClass64, true);
  void* new_object = take(kClass64);
  objects_.push_back(old_object);
  EXPECT_EQ(span_at(old_object)->generation.load(), old_generation);
  EXPECT_EQ(span_at(new_object)->generation.load(), generation());
  EXPECT_TRUE(place_of(old_object).marked());
  EXPECT_FALSE(place_of(new_object).marked());
  return_cache(late.cache);
  allow_sweep();
  while (sweep_some(64)) {
  }
  // The one was swept and kept, by its mark, which is gone; the other was not looked at.
  EXPECT_TRUE(place_of(old_object).allocated());
  EXPECT_TRUE(place_of(new_object).allocated());
  EXPECT_EQ(span_at(old_object)->generation.load(), generation());
  EXPECT_EQ(live_objects(), 1u);
  EXPECT_EQ(span_at(old_object)->cached, false);
  for (const auto& word : slot_bits_at(old_object).mark) EXPECT_EQ(word.load(), 0u);
}

TEST_F(SweepTest, AThreadThatHasNotAnsweredTakesNoSpanOfTheNewGeneration) {
  HandMadeThread late;
  late.cache.generation = generation();
  late.black = true;
  mark_all_but({});
  answer();
  // A span of the new generation with free slots comes to the list.
  void* new_object = take(kClass64);
  return_cache(thread_.cache);
  for (std::size_t i = 0; i < kSlots64; ++i) {
    objects_.push_back(late.take(kClass64, true));
    EXPECT_NE(page_start(objects_.back()), page_start(new_object));
  }
  for (const auto& word : slot_bits_at(new_object).mark) EXPECT_EQ(word.load(), 0u);
  EXPECT_EQ(page_start(take(kClass64)), page_start(new_object)) << "who has answered takes it";
  return_cache(late.cache);
  allow_sweep();
}

TEST_F(SweepTest, BlackWordsAreMarkedAsAWholeAndCountNobodyAlive) {
  take(kClass64);
  CacheSlot& slot = thread_.cache.slots[kClass64][true];
  const std::uint64_t free = slot.free_bits;
  ASSERT_NE(free, 0u);
  ASSERT_EQ(slot.mark_word->load() & free, 0u);
  blacken_cache(thread_.cache);
  EXPECT_EQ(slot.mark_word->load(), free) << "what is free, and not the object before it";
  thread_.black = true;
  while (slot.free_bits != 0) take(kClass64);
  void* first = take(kClass64);
  EXPECT_EQ(place_of(first).mark_word->load() | place_of(first).bit, slot.mark_word->load());
  EXPECT_EQ(slot.mark_word->load() & slot.free_bits, slot.free_bits);
  EXPECT_TRUE(place_of(first).marked());
  return_cache(thread_.cache);
  EXPECT_EQ(place_of(first).mark_word->load() & ~place_of(first).alloc_word->load(), 0u);
  EXPECT_TRUE(place_of(first).marked());
  objects_.push_back(thread_.take(kClass64, true));  // blackened again
  EXPECT_TRUE(place_of(objects_.back()).marked());
  run_cycle({});
  EXPECT_EQ(live_objects(), objects_.size());
  for (const auto& word : slot_bits_at(first).mark) EXPECT_EQ(word.load(), 0u);
}

TEST_F(SweepTest, ARefillSweepsForItselfAndOnlyAFewSpans) {
  // Full of live ones: no span fits, so a refill goes on to fresh pages after a few.
  const std::vector<void*> objects = take_many(kClass64, 300 * kSlots64);
  mark_and_allow({});
  const std::uint64_t before = sweep_totals().live_objects;
  take(kClass64);
  const std::uint64_t swept_objects = sweep_totals().live_objects - before;
  take_many(kClass64, kSlots64 - 1);  // a span that is full as well
  EXPECT_GE(swept_objects, 16 * kSlots64);
  EXPECT_LE(swept_objects, (16 + 32 + 1) * kSlots64);
  while (sweep_some(64)) {
  }
  // Half empty ones: the first is taken.
  const std::vector<void*> dead = every_second(objects);
  mark_and_allow(dead);
  std::set<void*> free(dead.begin(), dead.end());
  const std::uint64_t freed = sweep_totals().freed_objects;
  EXPECT_TRUE(free.contains(take(kClass64)));
  EXPECT_LE(sweep_totals().freed_objects - freed, kSlots64);
}

TEST_F(SweepTest, TightMemoryTakesCrowdedSpansThatAreNotSweptYet) {
  // Crowded ones in the middle, where a refill comes last: it sweeps a few at both ends first.
  take_many(kClass64, 40 * kSlots64);
  const std::vector<void*> middle = take_many(kClass64, 100 * kSlots64);
  take_many(kClass64, 40 * kSlots64);
  std::vector<void*> dead;
  for (std::size_t i = 0; i < middle.size(); i += 4) dead.push_back(middle[i]);
  mark_and_allow(dead);
  set_roomy_bytes(0);
  // No resident pages either.
  while (Span* run = take_idle_run(0)) idle_.push_back(run);
  std::set<void*> free(dead.begin(), dead.end());
  EXPECT_TRUE(free.erase(take(kClass64)) == 1);
  EXPECT_FALSE(swept());
  for (std::size_t i = 0; i < dead.size() / 2; ++i) EXPECT_EQ(free.erase(take(kClass64)), 1u);
  put_idle_runs();
}

TEST_F(SweepTest, LargeSpansAreKeptOrFreedByTheirMark) {
  const std::uint64_t before = levels().inuse_bytes;
  void* kept = thread_.take_large(100'000);
  void* dead = thread_.take_large(3 << 20);
  objects_.insert(objects_.end(), {kept, dead});
  const SweepTotals totals = sweep_totals();
  mark_all_but({dead});
  // In the window: of the thread that has not answered, black; and after its answer, white.
  thread_.black = true;
  void* late = thread_.take_large(50'000);
  EXPECT_TRUE(place_of(late).marked());
  answer();
  void* young = thread_.take_large(60'000);
  EXPECT_FALSE(place_of(young).marked());
  objects_.insert(objects_.end(), {late, young});
  allow_sweep();
  while (sweep_some(64)) {
  }
  EXPECT_FALSE(is_allocated(dead));
  EXPECT_EQ(sweep_totals().freed_objects - totals.freed_objects, 1u);
  EXPECT_EQ(sweep_totals().freed_bytes - totals.freed_bytes, std::uint64_t{3} << 20);
  EXPECT_EQ(live_objects(), 2u) << "the one that was kept and the late one";
  for (void* object : {kept, late, young}) {
    EXPECT_TRUE(place_of(object).allocated());
    EXPECT_FALSE(place_of(object).marked());
    EXPECT_EQ(span_at(object)->generation.load(), generation());
  }
  run_cycle(std::exchange(objects_, {}));
  EXPECT_LE(levels().inuse_bytes, before);
}

TEST_F(SweepTest, ALargeAllocationSweepsLargeSpansBeforeItGrows) {
  constexpr std::size_t kBytes = std::size_t{8} << 20;
  std::vector<void*> objects;
  for (int i = 0; i < 8; ++i) objects.push_back(thread_.take_large(kBytes));
  mark_and_allow(objects);
  const std::size_t grown = grown_pages().large_end;
  for (int i = 0; i < 8; ++i) objects_.push_back(thread_.take_large(kBytes));
  EXPECT_EQ(grown_pages().large_end, grown);
}

TEST_F(SweepTest, TheBudgetIsKeptByAllocationAlone) {
  const std::vector<void*> objects = take_many(kClass64, 2000 * kSlots64);
  mark_all_but(every_second(objects));
  answer();
  set_sweep_budget(std::uint64_t{16} << 20);
  allow_sweep();
  std::uint64_t allocated = 0;
  std::uint64_t half_way_live = 0;
  const std::uint64_t live = objects.size() / 2 + strangers_.live_objects;
  for (; allocated < (16u << 20) && !swept(); allocated += 32 * 1024) {
    sweep_for(32 * 1024);
    if (allocated == (7u << 20)) half_way_live = sweep_totals().live_objects;
  }
  EXPECT_TRUE(swept());
  EXPECT_GT(allocated, 12u << 20) << "in proportion, not all at once";
  EXPECT_NEAR(static_cast<double>(half_way_live) / static_cast<double>(live), 0.5, 0.1);
  EXPECT_EQ(sweep_totals().live_objects, live);
}

TEST_F(SweepTest, ABudgetThatIsUsedUpLeavesTheRestToLaterCalls) {
  const std::vector<void*> objects = take_many(kClass64, 1000 * kSlots64);
  mark_and_allow({});
  set_sweep_budget(1);
  int calls = 0;
  while (!swept() && calls < 1000) {
    const std::uint64_t before = sweep_totals().live_objects;
    sweep_for(32 * 1024);
    EXPECT_LE(sweep_totals().live_objects - before, (32 + kMaxSpanPages) * kSlots64);
    ++calls;
  }
  EXPECT_TRUE(swept());
  EXPECT_GE(calls, 1000 / 32);
}

TEST_F(SweepTest, WhatOthersSweptInAdvanceIsNotAskedOfAllocation) {
  take_many(kClass64, 1000 * kSlots64);
  mark_and_allow({});
  set_sweep_budget(std::uint64_t{16} << 20);
  sweep_some(900);
  const std::uint64_t before = sweep_totals().live_objects;
  sweep_for(1 << 20);
  EXPECT_EQ(sweep_totals().live_objects, before);
}

#if defined(TAILRACE_VERIFY)
TEST_F(SweepTest, QuarantinedSlotsAreFreedAndNobodyGetsThem) {
  // Swept by a refill that looks for a span, or in the background, which gives empty spans back.
  for (const bool background : {false, true}) {
    const std::vector<void*> objects = take_many(kClass1024, kSizeClassTable[kClass1024].slots);
    for (void* object : objects) {
      ASSERT_TRUE(quarantine({reinterpret_cast<std::uintptr_t>(object), 1024, 0, 0, 0}));
    }
    mark_and_allow(objects);
    while (background && sweep_some(64)) {
    }
    ASSERT_NE(place_of(objects[0]).slot, 0u) << "its span was given back";
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(std::count(objects.begin(), objects.end(), take(kClass1024)), 0);
    }
    while (sweep_some(64)) {
    }
    for (void* object : objects) {
      EXPECT_FALSE(place_of(object).allocated());
      leave_quarantine(find_quarantined(reinterpret_cast<std::uintptr_t>(object)));
    }
    run_cycle(std::exchange(objects_, {}));
  }
}
#endif

using SweepDeathTest = SweepTest;

TEST_F(SweepDeathTest, AnUnmarkedAllocationInAnEndedGenerationStopsTheProgram) {
  mark_all_but({});
  EXPECT_DEATH(take(kClass64), "ended generation");
  bool fresh = false;
  EXPECT_DEATH(allocate_large_span(thread_.cache, 100'000, true, fresh, false), "ended generation");
}

TEST_F(SweepDeathTest, ACacheThatComesBackDuringTheSweepStopsTheProgram) {
  take(kClass64);
  mark_all_but({});
  EXPECT_DEATH(
      {
        allow_sweep();
        answer();
      },
      "has not answered");
}

TEST_F(SweepDeathTest, AMarkingThatEndsBeforeAllIsSweptStopsTheProgram) {
  take_many(kClass64, 10 * kSlots64);
  mark_and_allow({});
  EXPECT_DEATH(end_marking(), "before the last one's sweep");
}

}  // namespace
}  // namespace tailrace::heap
