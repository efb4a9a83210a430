// A pointer that means "maybe" is an object; a value is not.
#include "handlers/patterns/small_result.h"

#include <gtest/gtest.h>

#include "gcruntime/gc/mutator.h"
#include "handlers/patterns/costs.h"

namespace tailrace::patterns {
namespace {

TEST(SmallResultTest, BothReadTheSame) {
  const gc::ThreadScope attached;
  const auto range = good::parse_range("bytes=0-499");
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->first, 0u);
  EXPECT_EQ(range->last, 499u);
  EXPECT_EQ(bad::parse_range("bytes=0-499")->last, 499u);
  for (const std::string_view text : {"", "bytes=", "bytes=5", "bytes=5-", "bytes=5-4", "bytes=-5",
                                      "bytes=1-2,", "lines=1-2", "bytes=99999999999999999999-1"}) {
    EXPECT_FALSE(good::parse_range(text).has_value()) << text;
    EXPECT_EQ(bad::parse_range(text), nullptr) << text;
  }
}

TEST(SmallResultTest, AValueIsNoObject) {
  const gc::ThreadScope attached;
  EXPECT_EQ(costs_of([] { good::parse_range("bytes=0-499"); }).objects, 0u);
  EXPECT_EQ(costs_of([] { bad::parse_range("bytes=0-499"); }).objects, 1u);
}

}  // namespace
}  // namespace tailrace::patterns
