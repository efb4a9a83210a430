// A log-linear histogram: every u64 value, a bounded relative error, constant time and memory.
//
// Values below 2^kSubBits have a bucket each; above, each power of two is cut into 2^kSubBits equal
// buckets, so a bucket is never wider than 2^-kSubBits of its values: 0.79 % with the default of 7.
// Quantiles are answered with the highest value of the bucket (no optimism), never above the exact
// maximum. Two histograms of one layout merge by adding, so a merge loses nothing.
//
// Values of kMaxBits bits or more are counted in the last bucket; max() and sum() stay exact.
// One writer at a time and no synchronisation: give each thread its own and merge. This header
// depends on nothing else in the tree, so that the load tool may include it alone.
#pragma once

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace tailrace::metrics {

template <unsigned kSubBits = 7, unsigned kMaxBits = 64>
class LogLinearHistogram {
  static_assert(kSubBits >= 1 && kSubBits <= 16 && kSubBits < kMaxBits && kMaxBits <= 64);

 public:
  static constexpr std::size_t kBuckets = static_cast<std::size_t>(kMaxBits - kSubBits + 1)
                                          << kSubBits;

  LogLinearHistogram() : buckets_(std::make_unique<std::uint64_t[]>(kBuckets)) {}
  LogLinearHistogram(const LogLinearHistogram& other) : LogLinearHistogram() { merge(other); }
  LogLinearHistogram& operator=(const LogLinearHistogram& other) {
    if (this != &other) {
      clear();
      merge(other);
    }
    return *this;
  }
  // A histogram that was moved from may only be destroyed or assigned to.
  LogLinearHistogram(LogLinearHistogram&&) noexcept = default;
  LogLinearHistogram& operator=(LogLinearHistogram&&) noexcept = default;

  void record(std::uint64_t value) noexcept { record(value, 1); }
  void record(std::uint64_t value, std::uint64_t times) noexcept {
    if (times == 0) {
      return;
    }
    buckets_[index_of(value)] += times;
    count_ += times;
    sum_ += value * times;
    min_ = std::min(min_, value);
    max_ = std::max(max_, value);
  }

  void merge(const LogLinearHistogram& other) noexcept {
    for (std::size_t i = 0; i < kBuckets; ++i) {
      buckets_[i] += other.buckets_[i];
    }
    count_ += other.count_;
    sum_ += other.sum_;
    min_ = std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
  }

  void clear() noexcept {
    if (buckets_ == nullptr) {
      buckets_ = std::make_unique<std::uint64_t[]>(kBuckets);
    }
    std::fill_n(buckets_.get(), kBuckets, 0);
    count_ = 0;
    sum_ = 0;
    min_ = kNoMin;
    max_ = 0;
  }

  std::uint64_t count() const noexcept { return count_; }
  // Modulo 2^64: for nanoseconds, 584 years of latency.
  std::uint64_t sum() const noexcept { return sum_; }
  // 0 when empty.
  std::uint64_t min() const noexcept { return count_ == 0 ? 0 : min_; }
  std::uint64_t max() const noexcept { return max_; }
  double mean() const noexcept {
    return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
  }

  // The value that `percent` of all values do not exceed, within the bucket's width; 0 when empty.
  // 0 gives min(), 100 gives max().
  std::uint64_t percentile(double percent) const noexcept {
    if (count_ == 0) {
      return 0;
    }
    if (!(percent > 0)) {
      return min_;
    }
    if (percent >= 100) {
      return max_;
    }
    const double exact = std::ceil(percent * static_cast<double>(count_) / 100);
    return value_at_rank(std::clamp<std::uint64_t>(static_cast<std::uint64_t>(exact), 1, count_));
  }

  // The rank-th smallest value, 1 to count().
  std::uint64_t value_at_rank(std::uint64_t rank) const noexcept {
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += buckets_[i];
      if (seen >= rank) {
        return std::clamp(highest(i), min_, max_);
      }
    }
    return max_;
  }

  // How many values lie in buckets up to and including that of `value`.
  std::uint64_t count_at_or_below(std::uint64_t value) const noexcept {
    std::uint64_t seen = 0;
    for (std::size_t i = 0, last = index_of(value); i <= last; ++i) {
      seen += buckets_[i];
    }
    return seen;
  }

  // f(lowest, highest, count) for each bucket that is not empty, values ascending.
  template <typename F>
  void for_each(F&& f) const {
    for (std::size_t i = 0; i < kBuckets; ++i) {
      if (buckets_[i] != 0) {
        f(lowest(i), highest(i), buckets_[i]);
      }
    }
  }

  friend bool operator==(const LogLinearHistogram& a, const LogLinearHistogram& b) noexcept {
    return a.count_ == b.count_ && a.sum_ == b.sum_ && a.min_ == b.min_ && a.max_ == b.max_ &&
           std::equal(a.buckets_.get(), a.buckets_.get() + kBuckets, b.buckets_.get());
  }

  // One line of text: "ll1 kSubBits kMaxBits sum min max" and for each bucket that is not empty
  // " delta:count", delta being the distance from the index of the one before (the first: from 0).
  std::string serialise() const {
    std::string text = "ll1 ";
    append(text, kSubBits, ' ');
    append(text, kMaxBits, ' ');
    append(text, sum_, ' ');
    append(text, min_, ' ');
    append(text, max_, '\0');
    std::size_t last = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      if (buckets_[i] != 0) {
        text += ' ';
        append(text, i - last, ':');
        append(text, buckets_[i], '\0');
        last = i;
      }
    }
    return text;
  }

  // Nothing if the text is not what serialise() of the same layout writes.
  static std::optional<LogLinearHistogram> parse(std::string_view text) {
    LogLinearHistogram result;
    std::uint64_t sub_bits = 0;
    std::uint64_t max_bits = 0;
    if (!text.starts_with("ll1 ")) {
      return std::nullopt;
    }
    text.remove_prefix(4);
    if (!take(text, sub_bits, ' ') || !take(text, max_bits, ' ') || sub_bits != kSubBits ||
        max_bits != kMaxBits || !take(text, result.sum_, ' ') || !take(text, result.min_, ' ') ||
        !take(text, result.max_, text.find(' ') == text.npos ? '\0' : ' ')) {
      return std::nullopt;
    }
    std::size_t index = 0;
    for (bool first = true; !text.empty(); first = false) {
      std::uint64_t delta = 0;
      std::uint64_t times = 0;
      if (!take(text, delta, ':') || !take(text, times, text.find(' ') == text.npos ? '\0' : ' ') ||
          times == 0 || (delta == 0 && !first) || delta >= kBuckets - index ||
          times > kNoMin - result.count_) {
        return std::nullopt;
      }
      index += delta;
      result.buckets_[index] = times;
      result.count_ += times;
    }
    return result.consistent() ? std::optional(std::move(result)) : std::nullopt;
  }

  static constexpr std::size_t index_of(std::uint64_t value) noexcept {
    if constexpr (kMaxBits < 64) {
      value = std::min(value, (std::uint64_t{1} << kMaxBits) - 1);
    }
    // With the lowest bit of the linear part set, small values need no branch: their shift is 0.
    const unsigned width =
        static_cast<unsigned>(std::bit_width(value | (std::uint64_t{1} << kSubBits)));
    const unsigned shift = width - 1 - kSubBits;
    return (static_cast<std::size_t>(shift) << kSubBits) + static_cast<std::size_t>(value >> shift);
  }
  static constexpr std::uint64_t lowest(std::size_t index) noexcept {
    if (index < kSubCount * 2) {
      return index;
    }
    const std::size_t shift = (index >> kSubBits) - 1;
    return static_cast<std::uint64_t>((index & (kSubCount - 1)) | kSubCount) << shift;
  }
  static constexpr std::uint64_t highest(std::size_t index) noexcept {
    return index + 1 < kBuckets ? lowest(index + 1) - 1 : std::numeric_limits<std::uint64_t>::max();
  }

 private:
  static constexpr std::size_t kSubCount = std::size_t{1} << kSubBits;
  static constexpr std::uint64_t kNoMin = std::numeric_limits<std::uint64_t>::max();

  bool consistent() const noexcept {
    if (count_ == 0) {
      return sum_ == 0 && min_ == kNoMin && max_ == 0;
    }
    return min_ <= max_ && buckets_[index_of(min_)] != 0 && buckets_[index_of(max_)] != 0;
  }

  // '\0': nothing follows.
  static void append(std::string& text, std::uint64_t value, char after) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    text.append(digits, end);
    if (after != '\0') {
      text += after;
    }
  }
  static bool take(std::string_view& text, std::uint64_t& value, char after) {
    const char* const end = text.data() + text.size();
    const auto [next, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || (after == '\0' ? next != end : next == end || *next != after)) {
      return false;
    }
    text.remove_prefix(static_cast<std::size_t>(next - text.data()) + (after == '\0' ? 0 : 1));
    return after == '\0' || !text.empty();
  }

  std::unique_ptr<std::uint64_t[]> buckets_;
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t min_ = kNoMin;
  std::uint64_t max_ = 0;
};

using Histogram = LogLinearHistogram<>;

}  // namespace tailrace::metrics
