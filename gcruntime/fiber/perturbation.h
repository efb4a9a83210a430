// Seeded disorder for torture tests: where the scheduler is free to choose, it chooses at random,
// and windows between two steps of a protocol are widened. Off (seed 0) it costs one predictable
// branch. Owned by one worker.
#pragma once

#include <sched.h>
#include <cstdint>

namespace tailrace::fiber {

class Perturbation {
 public:
  Perturbation(std::uint64_t seed, unsigned worker) noexcept
      : state_(seed == 0 ? 0
                         : (seed * 0x9E3779B97F4A7C15u) ^ ((worker + 1) * 0xD1B54A32D192ED03u)) {}

  bool on() const noexcept { return state_ != 0; }
  // True once in `one_in` calls on average; never when off.
  bool chance(std::uint64_t one_in) noexcept { return on() && next() % one_in == 0; }
  // Nothing, a short spin, or the processor given up.
  void delay() noexcept {
    if (!on()) return;
    const std::uint64_t choice = next() % 16;
    if (choice == 0) {
      ::sched_yield();
    } else if (choice < 4) {
      for (std::uint64_t spin = next() % 512; spin > 0; --spin) __builtin_ia32_pause();
    }
  }

 private:
  std::uint64_t next() noexcept {  // xorshift64*; never 0 once it is not
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return (state_ * 0x2545F4914F6CDD1Du) >> 16;
  }
  std::uint64_t state_;
};

}  // namespace tailrace::fiber
