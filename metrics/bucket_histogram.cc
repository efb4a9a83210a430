// Reading a bucket histogram.
#include "metrics/bucket_histogram.h"

namespace tailrace::metrics {

BucketHistogram::Snapshot BucketHistogram::snapshot() const {
  std::vector<std::uint64_t> words(words_.words());
  words_.sum(words);
  Snapshot result;
  result.sum = words[0];
  result.buckets.assign(words.begin() + 1, words.end());
  for (const std::uint64_t bucket : result.buckets) {
    result.count += bucket;
  }
  return result;
}

}  // namespace tailrace::metrics
