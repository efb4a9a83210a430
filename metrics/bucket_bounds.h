// The upper bounds (`le`) of a histogram's buckets, and the search for a value's bucket.
//
// A value belongs to the first bucket whose bound is not below it, so bounds are exact: 51200 falls
// into le="51200". The search starts from a table by the value's bit width, which leaves at most as
// many steps as there are bounds within one power of two (one, for the usual 1-2.5-5 series).
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
    for (unsigned width = 0; width < first_.size(); ++width) {
      const std::uint64_t least = width == 0 ? 0 : std::uint64_t{1} << (width - 1);
      std::uint8_t first = 0;
      while (bounds_[first] < least) {
        ++first;
      }
      first_[width] = first;
    }
  }

  // 0 to size(); size() is the bucket of +Inf.
  constexpr unsigned index(std::uint64_t value) const noexcept {
    unsigned i = first_[static_cast<unsigned>(std::bit_width(value))];
    while (value > bounds_[i]) {  // ends at the latest at the bound of +Inf
      ++i;
    }
    return i;
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
  // By bit width of the value: the first bound that is not below the least value of that width.
  std::array<std::uint8_t, 65> first_{};
};

}  // namespace tailrace::metrics
