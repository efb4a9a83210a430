// Bucket histograms: the count is the sum of the buckets, whoever observes meanwhile.
#include "metrics/bucket_histogram.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace tailrace::metrics {
namespace {

TEST(BucketHistogram, PutsValuesAtABoundIntoItsBucket) {
  BucketHistogram histogram({10, 20});
  for (const std::uint64_t value : {0, 10, 11, 20, 21, 1000}) {
    histogram.observe(value);
  }
  const auto snapshot = histogram.snapshot();
  EXPECT_EQ(snapshot.buckets, (std::vector<std::uint64_t>{2, 2, 2}));
  EXPECT_EQ(snapshot.count, 6u);
  EXPECT_EQ(snapshot.sum, 1062u);
}

TEST(BucketHistogram, LosesNothingAmongThreads) {
  BucketHistogram histogram({100, 1000, 10000});
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t t = 0; t < 6; ++t) {
      threads.emplace_back([&histogram, t] {
        for (std::uint64_t n = 0; n < 30'000; ++n) {
          histogram.observe((n * 7 + t) % 20'000);
        }
      });
    }
    for (int i = 0; i < 100; ++i) {
      const auto snapshot = histogram.snapshot();
      std::uint64_t in_buckets = 0;
      for (const std::uint64_t bucket : snapshot.buckets) in_buckets += bucket;
      ASSERT_EQ(snapshot.count, in_buckets);
    }
  }
  std::uint64_t sum = 0;
  std::vector<std::uint64_t> buckets(4);
  for (std::uint64_t t = 0; t < 6; ++t) {
    for (std::uint64_t n = 0; n < 30'000; ++n) {
      const std::uint64_t value = (n * 7 + t) % 20'000;
      sum += value;
      ++buckets[value <= 100 ? 0 : value <= 1000 ? 1 : value <= 10000 ? 2 : 3];
    }
  }
  const auto snapshot = histogram.snapshot();
  EXPECT_EQ(snapshot.sum, sum);
  EXPECT_EQ(snapshot.buckets, buckets);
}

}  // namespace
}  // namespace tailrace::metrics
