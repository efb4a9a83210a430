// A closure that is kept is a malloc; one that is called where it stands is nothing.
#include "handlers/patterns/closure.h"

#include <gtest/gtest.h>

#include "gcruntime/gc/mutator.h"
#include "handlers/patterns/costs.h"

namespace tailrace::patterns {
namespace {

gc::Vector<Order> orders() {
  gc::Vector<Order> list;
  for (std::int64_t i = 0; i < 100; ++i) list.push_back({i, i * 1000});
  return list;
}

TEST(ClosureTest, BothSumUpTheSame) {
  const gc::ThreadScope attached;
  EXPECT_EQ(good::fees(orders(), 5, 100), 25'800);
  EXPECT_EQ(bad::fees(orders(), 5, 100), good::fees(orders(), 5, 100));
}

TEST(ClosureTest, KeptClosuresAreMallocs) {
  const gc::ThreadScope attached;
  const gc::Vector<Order> list = orders();
  std::int64_t sum = 0;
  const Costs good = costs_of([&] { sum += good::fees(list, 5, 100); });
  const Costs bad = costs_of([&] { sum += bad::fees(list, 5, 100); });
  EXPECT_EQ(good.objects, 0u);
  EXPECT_EQ(good.mallocs, 0u);
  // One a closure, and the vector's growth.
  if (kMallocsCounted) {
    EXPECT_GE(bad.mallocs, list.size() + 1);
  }
  EXPECT_GT(sum, 0);
}

}  // namespace
}  // namespace tailrace::patterns
