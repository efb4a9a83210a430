// A text of its own for each number is an object of its own for each number.
#include "handlers/patterns/integer.h"

#include <gtest/gtest.h>

#include <vector>

#include "gcruntime/gc/mutator.h"
#include "handlers/patterns/costs.h"

namespace tailrace::patterns {
namespace {

std::vector<std::int64_t> stamps() {
  std::vector<std::int64_t> list;
  for (std::int64_t i = 0; i < 100; ++i) list.push_back(1'700'000'000'000'000'000 + i);
  return list;
}

TEST(IntegerTest, BothWriteTheSame) {
  const gc::ThreadScope attached;
  EXPECT_EQ(bad::to_csv(stamps()), good::to_csv(stamps()));
  const std::int64_t few[] = {1, -2, INT64_MIN};
  EXPECT_EQ(good::to_csv(few), "1,-2,-9223372036854775808");
  EXPECT_EQ(bad::to_csv(few), good::to_csv(few));
  EXPECT_EQ(good::to_csv({}), "");
}

TEST(IntegerTest, GoodMakesTheLineAndNothingElse) {
  const gc::ThreadScope attached;
  const std::vector<std::int64_t> list = stamps();
  const Costs good = costs_of([&] { good::to_csv(list); });
  const Costs bad = costs_of([&] { bad::to_csv(list); });
  EXPECT_EQ(good.objects, 1u);
  EXPECT_EQ(bad.objects, list.size() + 1);
  EXPECT_EQ(good.mallocs, 0u);
  if (kMallocsCounted) {
    EXPECT_EQ(bad.mallocs, list.size());
  }
}

}  // namespace
}  // namespace tailrace::patterns
