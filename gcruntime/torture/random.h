// The choices of a torture run: splitmix64, so that one seed and one stream number give one sequence.
// Owned by whoever draws from it; small enough to lie on a fiber's stack.
#pragma once

#include <cstdint>

namespace tailrace::torture {

class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream) noexcept
      : state_(seed * 0x9E3779B97F4A7C15u ^ (stream + 1) * 0xD1B54A32D192ED03u) {}

  std::uint64_t next() noexcept {
    std::uint64_t word = state_ += 0x9E3779B97F4A7C15u;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
    return word ^ (word >> 31);
  }
  // 0 to limit - 1.
  std::uint64_t below(std::uint64_t limit) noexcept { return next() % limit; }
  bool one_in(std::uint64_t limit) noexcept { return below(limit) == 0; }
  // 1 to 2^bits, each power of two as often as the others.
  std::uint64_t log_uniform(unsigned bits) noexcept {
    const std::uint64_t power = std::uint64_t{1} << below(bits + 1);
    return power + below(power) / 2;
  }

 private:
  std::uint64_t state_;
};

}  // namespace tailrace::torture
