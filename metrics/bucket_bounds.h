// The upper bounds (`le`) of a histogram's buckets, and the search for a value's bucket.
//
// A value belongs to the first bucket whose bound is not below it, so bounds are exact: 51200 falls
// into le="51200". The search starts from a table by the value's power of two, which leaves at most
// as many steps as there are bounds within one power of two (one, for the usual 1-2.5-5 series).
// Immutable; constexpr, so that a wrong list of constants does not compile.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>

#include "gcruntime/base/check.h"

namespace tailrace::metrics {

class BucketBounds {
 public:
  static constexpr std::size_t kMax = 32;

  // Strictly increasing; 1 to 32 of them; +Inf is added by itself.
  constexpr BucketBounds(std::initializer_list<std::uint64_t> bounds)
      : BucketBounds(std::span<const std::uint64_t>(bounds.begin(), bounds.size())) {}

  explicit constexpr BucketBounds(std::span<const std::uint64_t> bounds) : size_(bounds.size()) {
    TAILRACE_CHECK(size_ >= 1 && size_ <= kMax, "a histogram has 1 to 32 bounds");
    bounds_.fill(kInfinity);
    for (std::size_t i = 0; i < size_; ++i) {
      TAILRACE_CHECK(bounds[i] < kInfinity && (i == 0 || bounds[i - 1] < bounds[i]),
                     "bounds of a histogram increase and are finite");
      bounds_[i] = bounds[i];
    }
    for (unsigned power = 0; power < first_.size(); ++power) {
      const std::uint64_t least = power == 0 ? 0 : std::uint64_t{1} << power;
      std::uint8_t first = 0;
      while (bounds_[first] < least) {
        ++first;
      }
      first_[power] = first;
    }
  }

  // 0 to size(); size() is the bucket of +Inf.
  constexpr unsigned index(std::uint64_t value) const noexcept {
    const auto power = static_cast<std::size_t>(static_cast<unsigned>(std::countl_zero(value | 1)) ^
                                                63);  // one bsr
    std::size_t i = first_[power];
    while (value > bounds_[i]) {  // ends at the latest at the bound of +Inf
      ++i;
    }
    return static_cast<unsigned>(i);
  }

  constexpr std::size_t size() const noexcept { return size_; }
  // +Inf's included.
  constexpr std::size_t buckets() const noexcept { return size_ + 1; }
  constexpr std::uint64_t operator[](std::size_t i) const noexcept { return bounds_[i]; }

  friend constexpr bool operator==(const BucketBounds&, const BucketBounds&) = default;

 private:
  static constexpr std::uint64_t kInfinity = std::numeric_limits<std::uint64_t>::max();

  std::size_t size_;
  std::array<std::uint64_t, kMax + 1> bounds_{};
  // By the value's power of two: the first bound that is not below the least value of that power;
  // 0 goes with 1, so that no value needs a branch of its own.
  std::array<std::uint8_t, 64> first_{};
};

}  // namespace tailrace::metrics
