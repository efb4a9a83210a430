// The search for a bucket against the plain definition.
#include "metrics/bucket_bounds.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "metrics/http_instruments.h"

namespace tailrace::metrics {
namespace {

unsigned index_by_definition(const BucketBounds& bounds, std::uint64_t value) {
  unsigned i = 0;
  while (i < bounds.size() && bounds[i] < value) {
    ++i;
  }
  return i;
}

void check_everywhere(const BucketBounds& bounds) {
  std::vector<std::uint64_t> values = {0, 1, 2, 3, UINT64_MAX, UINT64_MAX - 1, INT64_MAX};
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    values.insert(values.end(), {bounds[i], bounds[i] + 1, bounds[i] == 0 ? 0 : bounds[i] - 1});
  }
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(random() >> (random() % 64));
  }
  for (const std::uint64_t value : values) {
    ASSERT_EQ(bounds.index(value), index_by_definition(bounds, value)) << value;
  }
}

TEST(BucketBounds, FindsTheFirstBoundNotBelowTheValue) {
  check_everywhere(kDurationBoundsNs);
  check_everywhere(kBodyBoundsBytes);
  check_everywhere(kAllocBoundsBytes);
  check_everywhere(kAllocBoundsObjects);
  check_everywhere({0});
  check_everywhere({0, 1, 2, 3, 4, 5, 6, 7});
  check_everywhere({1000, 1001, 1002, 1003, UINT64_MAX - 1});
}

TEST(BucketBounds, FiftyAndTwoHundredKibibytesAreExact) {
  const unsigned at_50 = kAllocBoundsBytes.index(51200);
  EXPECT_EQ(kAllocBoundsBytes[at_50], 51200u);
  EXPECT_EQ(kAllocBoundsBytes.index(51201), at_50 + 1);
  const unsigned at_200 = kAllocBoundsBytes.index(204800);
  EXPECT_EQ(kAllocBoundsBytes[at_200], 204800u);
  EXPECT_EQ(kAllocBoundsBytes.index(204801), at_200 + 1);
}

TEST(BucketBoundsDeathTest, BoundsThatDoNotIncreaseStopTheProgram) {
  const std::vector<std::uint64_t> wrong = {1, 3, 3};
  EXPECT_DEATH(BucketBounds{std::span<const std::uint64_t>(wrong)}, "increase");
  EXPECT_DEATH(BucketBounds{std::span<const std::uint64_t>()}, "1 to 32");
}

}  // namespace
}  // namespace tailrace::metrics
