// Slots and spans as the allocator hands them out, and how addresses lead back to them.
#include "gcruntime/heap/heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <set>
#include <unordered_set>
#include <vector>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/heap/span.h"

namespace tailrace::gc {
namespace {

using heap::contains;
using heap::find_object;
using heap::kMaxSmallBytes;
using heap::kPageBytes;
using heap::kSizeClassTable;
using heap::ObjectPlace;
using heap::page_address;
using heap::page_map;
using heap::page_of;
using heap::size_class_of;
using heap::SizeClass;
using heap::Span;
using heap::span_of_page;
using test::in_own_frame;
using test::Node;

class SlotsTest : public testing::Test {
 protected:
  ThreadScope scope_;
};

// The first and last byte, and each between in steps that meet all alignments.
template <typename F>
void for_bytes_of(std::uintptr_t slot, std::size_t bytes, F&& f) {
  for (std::size_t offset = 0; offset<bytes; offset += bytes> 256 ? 13 : 1) f(slot + offset);
  f(slot + bytes - 1);
}

TEST_F(SlotsTest, EveryAddressOfASlotLeadsToIt) {
  for (const SizeClass& size : kSizeClassTable) {
    for (const bool noscan : {false, true}) {
      void* object =
          noscan ? allocate_noscan(size.bytes)
                 : allocate_scanned_slot(size_class_of(size.bytes), kTypeNumber<Node>, 0, 1);
      const auto slot = reinterpret_cast<std::uintptr_t>(object);
      for_bytes_of(slot, size.bytes, [&](std::uintptr_t address) {
        const ObjectPlace place = find_object(address);
        ASSERT_EQ(place.slot, slot) << size.bytes << " bytes, offset " << address - slot;
        ASSERT_EQ(place.slot_bytes, size.bytes);
        ASSERT_EQ(place.noscan, noscan);
        ASSERT_TRUE(place.allocated());
        ASSERT_FALSE(place.marked());
      });
      ASSERT_EQ(slot % (size.bytes % 16 == 0 ? 16 : 8), 0u) << size.bytes;
    }
  }
}

TEST_F(SlotsTest, EveryAddressOfALargeObjectLeadsToIt) {
  for (const std::size_t bytes : {kMaxSmallBytes + 1, 5 * kPageBytes, std::size_t{1'000'000}}) {
    const auto slot = reinterpret_cast<std::uintptr_t>(allocate_noscan(bytes));
    const std::size_t pages = (bytes + kPageBytes - 1) / kPageBytes;
    for (std::size_t offset = 0; offset < pages * kPageBytes; offset += 509) {
      const ObjectPlace place = find_object(slot + offset);
      ASSERT_EQ(place.slot, slot);
      ASSERT_EQ(place.slot_bytes, pages * kPageBytes);
      ASSERT_TRUE(place.noscan);
      ASSERT_TRUE(place.allocated());
    }
  }
}

TEST_F(SlotsTest, TheTailOfASpanAndFreePagesLeadNowhere) {
  // 48-byte slots: 170 of them leave 32 bytes of the page.
  const SizeClass& size = kSizeClassTable[size_class_of(48)];
  ASSERT_EQ(size.slots * 48, 8160u);
  const auto slot = reinterpret_cast<std::uintptr_t>(allocate_noscan(48));
  const std::uintptr_t page = page_address(page_of(slot));
  EXPECT_EQ(find_object(page + 8160).slot, 0u);
  EXPECT_EQ(find_object(page + 8191).slot, 0u);
  EXPECT_EQ(find_object(page + 8159).slot, page + 8160 - 48);
  EXPECT_EQ(find_object(page_map.base + page_map.bytes - 1).slot, 0u);
  EXPECT_FALSE(contains(page_map.base - 1));
  EXPECT_FALSE(contains(page_map.base + page_map.bytes));
  EXPECT_FALSE(contains(0));
}

bool is_full(const Span* span) {
  const SizeClass& size = kSizeClassTable[span->size_class];
  for (std::uint32_t i = 0; i < size.slots; ++i) {
    if (!find_object(span->start + std::size_t{i} * size.bytes).allocated()) return false;
  }
  return true;
}

// As many as fill several spans of each class: no two overlap, all stand on slots of their spans, and
// every slot of a span is used before the next span is.
TEST_F(SlotsTest, SpansAreHandedOutWithoutOverlapOrHoles) {
  const int percent = set_percent(-1);
  collect();  // a cycle that was asked for before would take the spans at hand
  for (const SizeClass& size : kSizeClassTable) {
    std::vector<std::uintptr_t> slots;
    const Span* current = nullptr;
    for (std::uint32_t i = 0; i < size.slots * 3; ++i) {
      const auto slot = reinterpret_cast<std::uintptr_t>(allocate_noscan(size.bytes));
      slots.push_back(slot);
      const Span* span = span_of_page(page_of(slot));
      ASSERT_EQ((slot - span->start) % size.bytes, 0u);
      ASSERT_LE(slot + size.bytes, span->start + span->bytes());
      if (current != nullptr && span != current) {
        ASSERT_TRUE(is_full(current)) << size.bytes;
      }
      current = span;
    }
    std::sort(slots.begin(), slots.end());
    for (std::size_t i = 1; i < slots.size(); ++i) ASSERT_GE(slots[i] - slots[i - 1], size.bytes);
  }
  set_percent(percent);
}

TEST_F(SlotsTest, WhatIsFreeIsGivenOutAgain) {
  // Every third object lives on: the next ones go between them, and no pages are taken for them.
  Root<Vector<Member<Node>>> kept;
  in_own_frame([&] {
    for (int i = 0; i < 20'000; ++i) {
      Node* node = make<Node>();
      if (i % 3 == 0) kept->push_back(node);
    }
  });
  collect();
  const std::uint64_t before = read_mem_stats().heap_inuse;
  in_own_frame([&] {
    for (int i = 0; i < 9'000; ++i) make<Node>();
  });
  EXPECT_LE(read_mem_stats().heap_inuse, before + kPageBytes);
}

// Three of four live on. Such spans cost a cold line a slot, so fresh pages are taken instead, until a tenth
// more than the goal is in use: then the holes are filled, and nothing more is taken from the system.
TEST_F(SlotsTest, CrowdedSpansAreUsedWhenMemoryIsTight) {
  const int percent = set_percent(-1);
  Root<Vector<Member<Node>>> kept;
  std::unordered_set<std::size_t> crowded;  // pages
  in_own_frame([&] {
    for (int i = 0; i < 400'000; ++i) {
      Node* node = make<Node>();
      if (i % 4 == 0) continue;
      kept->push_back(node);
      crowded.insert(page_of(reinterpret_cast<std::uintptr_t>(node)));
    }
  });
  free_os_memory();
  const auto in_holes = [&](int objects) {
    int count = 0;
    in_own_frame([&] {
      for (int i = 0; i < objects; ++i) {
        count += static_cast<int>(
            crowded.count(page_of(reinterpret_cast<std::uintptr_t>(make<Node>()))));
      }
    });
    return count;
  };
  constexpr int kFew = 20'000;
  EXPECT_LT(in_holes(kFew), kFew / 10);
  // Twice what lives, and a tenth.
  const std::uint64_t live = read_mem_stats().heap_live;
  const std::uint64_t most = std::max<std::uint64_t>(2 * live, 4u << 20) / 10 * 11;
  while (read_mem_stats().heap_inuse < most) in_holes(10'000);
  const std::uint64_t inuse = read_mem_stats().heap_inuse;
  EXPECT_GT(in_holes(kFew), kFew * 9 / 10);
  EXPECT_LE(read_mem_stats().heap_inuse, inuse + kPageBytes);
  set_percent(percent);
}

TEST_F(SlotsTest, PagesComeBackAndAreReleased) {
  const MemStats before = [] {
    collect();
    return read_mem_stats();
  }();
  in_own_frame([&] {
    Root<Vector<Member<Node>>> all;
    for (int i = 0; i < 300'000; ++i) all->push_back(make<Node>());
    EXPECT_GT(read_mem_stats().heap_inuse, before.heap_inuse + 300'000 * 24);
  });
  const std::size_t released = free_os_memory();
  const MemStats after = read_mem_stats();
  EXPECT_LE(after.heap_inuse, before.heap_inuse + (1u << 20));
  EXPECT_GE(released, 300'000u * 24);
  EXPECT_EQ(after.heap_sys, after.heap_inuse + after.heap_idle);
  EXPECT_LE(after.heap_released, after.heap_idle);
  EXPECT_GE(after.heap_released + (1u << 20), after.heap_idle);
}

// Fresh or used before, a scanned object's payload is zero: the marker may read words that nobody wrote.
TEST_F(SlotsTest, ScannedMemoryIsZero) {
  const auto check = [](std::size_t payload_bytes) {
    auto* words = static_cast<std::uint64_t*>(
        allocate_scanned(payload_bytes, kTypeNumber<Node>,
                         static_cast<std::uint32_t>(payload_bytes / sizeof(Node))));
    for (std::size_t i = 0; i < payload_bytes / 8; ++i) ASSERT_EQ(words[i], 0u) << payload_bytes;
    // Not pointers into the heap, but not zero.
    for (std::size_t i = 0; i < payload_bytes / 8; ++i) words[i] = 1;
  };
  for (int round = 0; round < 3; ++round) {
    in_own_frame([&] {
      for (std::size_t bytes = 16; bytes <= kMaxSmallBytes - 16;
           bytes = bytes * 3 / 2 / 16 * 16 + 16) {
        for (int i = 0; i < 10; ++i) check(bytes);
      }
      for (const std::size_t bytes : {40'000, 100'000, 3'000'000}) check(bytes / 16 * 16);
    });
    collect();
    if (round == 1) free_os_memory();
  }
}

// Each thread caches spans; what is left of them serves others when it ends.
TEST_F(SlotsTest, AThreadsEndGivesItsSpansBack) {
  collect();
  const std::uint64_t before = read_mem_stats().heap_inuse;
  const int percent = set_percent(-1);  // no sweep helps
  for (int i = 0; i < 200; ++i) {
    test::on_own_thread([] {
      make<Node>();
      allocate_noscan(1000);
    });
  }
  EXPECT_LE(read_mem_stats().heap_inuse, before + 20 * 4 * kPageBytes);
  set_percent(percent);
}

// Threads that allocate less than they would tell the pacer of, each.
TEST_F(SlotsTest, ShortLivedThreadsAddUpToACycle) {
  collect();
  const MemStats before = read_mem_stats();
  // Twice what the goal allows.
  while (read_mem_stats().num_gc == before.num_gc) {
    ASSERT_LE(read_mem_stats().heap_alloc, 2 * before.next_gc);
    test::on_own_thread([] {
      for (int i = 0; i < 20; ++i) allocate_noscan(1024);
    });
  }
}

TEST_F(SlotsTest, SizesThatNoMachineHasThrow) {
  for (const std::size_t bytes :
       {SIZE_MAX, SIZE_MAX - 7, SIZE_MAX - kPageBytes, SIZE_MAX / 2, std::size_t{1} << 50}) {
    EXPECT_THROW(allocate_noscan(bytes), std::bad_alloc) << bytes;
  }
  Node* node = make<Node>();  // and the thread is in order
  EXPECT_EQ(node->value, 0);
}

}  // namespace
}  // namespace tailrace::gc
