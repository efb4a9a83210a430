// A reserve makes one object of what else grows about ten times.
#include "handlers/patterns/append.h"

#include <gtest/gtest.h>

#include "gcruntime/gc/mutator.h"
#include "handlers/patterns/costs.h"

namespace tailrace::patterns {
namespace {

TEST(AppendTest, BothMakeTheSame) {
  const gc::ThreadScope attached;
  EXPECT_EQ(bad::list_ids(5, 1000), good::list_ids(5, 1000));
  const auto bad_index = bad::index_ids(5, 1000);
  const auto good_index = good::index_ids(5, 1000);
  ASSERT_EQ(bad_index.size(), 1000u);
  ASSERT_EQ(good_index.size(), 1000u);
  for (std::int64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(*bad_index.find(5 + i), i);
    EXPECT_EQ(*good_index.find(5 + i), i);
  }
}

TEST(AppendTest, TheListGrowsNineTimesWithoutAReserve) {
  const gc::ThreadScope attached;
  const Costs good = costs_of([] { good::list_ids(1, 1000); });
  const Costs bad = costs_of([] { bad::list_ids(1, 1000); });
  EXPECT_EQ(good.objects, 1u);
  EXPECT_GE(bad.objects, 8u);
  EXPECT_LE(bad.objects, 10u);
  EXPECT_GT(bad.bytes, good.bytes * 3 / 2);
}

TEST(AppendTest, TheMapGrowsNineTimesWithoutAHint) {
  const gc::ThreadScope attached;
  const Costs good = costs_of([] { good::index_ids(1, 1000); });
  const Costs bad = costs_of([] { bad::index_ids(1, 1000); });
  EXPECT_EQ(good.objects, 1u);
  EXPECT_GE(bad.objects, 8u);
  EXPECT_LE(bad.objects, 10u);
  EXPECT_GT(bad.bytes, good.bytes * 3 / 2);
}

}  // namespace
}  // namespace tailrace::patterns
