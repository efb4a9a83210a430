#include "gcruntime/heap/size_class.h"

#include <gtest/gtest.h>

namespace tailrace::heap {
namespace {

TEST(SizeClass, EveryClassIsFoundByItsOwnSizeAndByOneByteLess) {
  for (std::size_t i = 0; i < kSizeClasses; ++i) {
    EXPECT_EQ(size_class_of(kSizeClassTable[i].bytes), i);
    EXPECT_EQ(exact_size_class(kSizeClassTable[i].bytes), i);
    EXPECT_EQ(size_class_of(kSizeClassTable[i].bytes - 1), i);
  }
}

TEST(SizeClass, EverySizeGetsTheSmallestClassThatHoldsIt) {
  for (std::size_t bytes = 1; bytes <= kMaxSmallBytes; ++bytes) {
    const std::size_t index = size_class_of(bytes);
    ASSERT_GE(kSizeClassTable[index].bytes, bytes);
    if (index > 0) {
      ASSERT_LT(kSizeClassTable[index - 1].bytes, bytes);
    }
  }
}

TEST(SizeClass, RoundingLosesAtMostAnEighthAbove128Bytes) {
  for (std::size_t bytes = 129; bytes <= kMaxSmallBytes; ++bytes) {
    const std::size_t slot = kSizeClassTable[size_class_of(bytes)].bytes;
    ASSERT_LE((slot - bytes) * 8, slot) << bytes;
  }
}

TEST(SizeClass, SpansWasteAtMostAnEighthAndFitTheBitmaps) {
  for (const SizeClass& each : kSizeClassTable) {
    EXPECT_LE(each.pages, kMaxSpanPages);
    EXPECT_LE(each.slots, kMaxSlots);
    EXPECT_GE(each.slots, 4u);
    EXPECT_LE((each.pages * kPageBytes - each.slots * each.bytes) * 8, each.pages * kPageBytes);
  }
}

TEST(SizeClass, TheReciprocalDividesExactly) {
  for (const SizeClass& each : kSizeClassTable) {
    for (std::uint64_t offset = 0; offset < each.pages * kPageBytes; ++offset) {
      ASSERT_EQ(offset * each.reciprocal >> 32, offset / each.bytes) << each.bytes;
    }
  }
}

}  // namespace
}  // namespace tailrace::heap
