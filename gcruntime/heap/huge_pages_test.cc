// Exceptions from huge pages: made where part of one is given back, ended where it is whole again.
#include "gcruntime/heap/huge_pages.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/os/reserved_memory.h"

namespace tailrace::heap {
namespace {

// At the end of the small range, which no heap of these tests reaches.
class HugePagesTest : public testing::Test {
 protected:
  HugePagesTest() {
    initialise();
    start_ = page_map.base + page_map.small_bytes - 8 * os::kHugePageBytes;
    before_ = huge_pages_apart();
  }
  std::size_t apart() const { return huge_pages_apart() - before_; }

  static constexpr std::size_t kHuge = os::kHugePageBytes;
  std::uintptr_t start_ = 0;
  std::size_t before_ = 0;
};

TEST_F(HugePagesTest, WholeOnesStayTogether) {
  take_apart(start_, kHuge);
  take_apart(start_ + kHuge, 3 * kHuge);
  EXPECT_EQ(apart(), 0u);
}

TEST_F(HugePagesTest, OnesThatAreGivenBackInPartAreTakenApartOnce) {
  take_apart(start_ + kPageBytes, kPageBytes);
  EXPECT_EQ(apart(), 1u);
  take_apart(start_ + 5 * kPageBytes, 7 * kPageBytes);
  EXPECT_EQ(apart(), 1u);
  take_apart(start_ + kHuge - kPageBytes, kHuge);  // the first one again, and the second
  EXPECT_EQ(apart(), 2u);
  take_apart(start_ + 4 * kHuge, kHuge / 2);
  EXPECT_EQ(apart(), 3u);
  // Together only where it is all given back.
  put_together(start_ + kPageBytes, 2 * kHuge - 2 * kPageBytes);
  EXPECT_EQ(apart(), 3u);
  put_together(start_ + kPageBytes, 2 * kHuge);
  EXPECT_EQ(apart(), 2u);
  put_together(start_, 8 * kHuge);
  EXPECT_EQ(apart(), 0u);
}

TEST_F(HugePagesTest, ThoseThatAreInUseAreNotLeftApart) {
  take_apart(start_ + kPageBytes, kPageBytes);
  put_dense_together();
  EXPECT_EQ(apart(), 1u) << "all of it is free";
  const std::size_t first = page_of(start_);
  const std::size_t pages = kHuge / kPageBytes;
  for (std::size_t i = 0; i < pages - pages / 32; ++i)
    set_page_info(first + i, PageInfo::large(true));
  put_dense_together();
  EXPECT_EQ(apart(), 1u) << "a 32nd is free";
  set_page_info(first + pages - 1, PageInfo::large(true));
  put_dense_together();
  EXPECT_EQ(apart(), 0u);
  for (std::size_t i = 0; i < pages; ++i) set_page_info(first + i, 0);
}

TEST_F(HugePagesTest, ThereIsABound) {
  for (std::size_t i = 0; i < kMostApart + 100; ++i) {
    take_apart(start_ - (i + 1) * kHuge + kPageBytes, kPageBytes);
  }
  EXPECT_EQ(huge_pages_apart(), kMostApart);
  put_together(start_ - (kMostApart + 100) * kHuge, (kMostApart + 100) * kHuge);
  EXPECT_EQ(apart(), 0u);
}

}  // namespace
}  // namespace tailrace::heap
