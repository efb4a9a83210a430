// Both make the same key; one object each against one for each step.
#include "handlers/patterns/concatenation.h"

#include <gtest/gtest.h>

#include "gcruntime/gc/mutator.h"
#include "handlers/patterns/costs.h"

namespace tailrace::patterns {
namespace {

constexpr std::string_view kParts[] = {"tenant-1234", "users", "7", "orders", "page", "2"};

TEST(ConcatenationTest, BothMakeTheSameKey) {
  const gc::ThreadScope attached;
  EXPECT_EQ(good::cache_key(kParts), "tenant-1234:users:7:orders:page:2");
  EXPECT_EQ(bad::cache_key(kParts), good::cache_key(kParts));
  EXPECT_EQ(bad::cache_key({}), good::cache_key({}));
}

TEST(ConcatenationTest, GoodAllocatesOnceBadAtEachStep) {
  const gc::ThreadScope attached;
  const Costs good = costs_of([] { good::cache_key(kParts); });
  const Costs bad = costs_of([] { bad::cache_key(kParts); });
  EXPECT_EQ(good.objects, 1u);
  // Eleven steps; the first two give texts of at most 15 bytes, which are no objects.
  EXPECT_EQ(bad.objects, 9u);
  EXPECT_GT(bad.bytes, 5 * good.bytes);
  EXPECT_EQ(good.mallocs + bad.mallocs, 0u);
}

}  // namespace
}  // namespace tailrace::patterns
