// The CPU limiter: collection may not take more than a share (half) of the CPU time that the process uses,
// whatever the memory would need. Go's leaky bucket, without a clock.
//
// Collection fills the bucket, the program's own time drains it, so that it is level at the share. Full: the
// limiter is on until it drains, assists do nothing, and the heap may pass its goal. It holds a second of
// each processor, which lets a burst pass (a start, a forced cycle) but no spiral; and a tenth over the brim,
// which Go's does not: told every 10 ms, one that forgets what runs over is on and off by turns, and
// collection gets the mean of both. Idle time does neither: who waits for memory is not to be taken for a
// program that runs well.
//
// Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tailrace::gc {

class CpuLimiter {
 public:
  static constexpr std::int64_t kBucketNsPerProc = 1'000'000'000;
  // How often it is to be told at least.
  static constexpr std::int64_t kPeriodNs = 10'000'000;

  // `share` of 1 or more: never on.
  void configure(unsigned procs, double share) noexcept;
  // CPU time since the last call.
  void add(std::int64_t gc_ns, std::int64_t program_ns) noexcept;

  bool on() const noexcept { return on_; }
  double fill() const noexcept { return std::min(fill_ns_ / capacity_ns_, 1.0); }
  std::uint64_t times_on() const noexcept { return times_on_; }

 private:
  static constexpr double kOverBrim = 0.1;

  double capacity_ns_ = static_cast<double>(kBucketNsPerProc);
  double share_ = 0.5;
  double fill_ns_ = 0;
  std::uint64_t times_on_ = 0;
  bool on_ = false;
};

}  // namespace tailrace::gc
