// How long entries were ready before they ran: a histogram by powers of two, one for each worker.
//
// One entry in kWaitSample is stamped with the time when it becomes ready and measured when it runs:
// two clock reads of 40 ns shared by 59 switches, and nothing on the others but a countdown. A stamp
// travels with its entry through steals, rescues and the global queue. Written by the worker that
// runs the entry, read by anyone.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "gcruntime/fiber/counter.h"

namespace tailrace::fiber {

// Prime, so that it keeps no step with a pattern of few fibers; and not the global queue's 61.
inline constexpr std::uint32_t kWaitSample = 59;

// Bucket i holds waits up to 2^(8 + i) ns and above the one before; the last one all above 8.6 s.
inline constexpr unsigned kFirstWaitPower = 8;
inline constexpr std::size_t kWaitBuckets = 27;
constexpr std::int64_t wait_bound_ns(std::size_t bucket) noexcept {
  return std::int64_t{1} << (kFirstWaitPower + bucket);
}

using WaitCounts = std::array<std::uint64_t, kWaitBuckets>;

class WaitTimes {
 public:
  static constexpr std::size_t bucket_of(std::int64_t wait_ns) noexcept {
    const auto above = static_cast<std::uint64_t>(std::max<std::int64_t>(wait_ns, 1)) - 1;
    const auto power =
        std::max<unsigned>(static_cast<unsigned>(std::bit_width(above)), kFirstWaitPower);
    return std::min<std::size_t>(power - kFirstWaitPower, kWaitBuckets - 1);
  }
  // The own worker.
  void note(std::int64_t wait_ns) noexcept {
    total_ns_.add(static_cast<std::uint64_t>(std::max<std::int64_t>(wait_ns, 0)));
    buckets_[bucket_of(wait_ns)].add();
  }
  // Any thread.
  void add_to(WaitCounts& counts, std::uint64_t& total_ns) const noexcept {
    for (std::size_t i = 0; i < kWaitBuckets; ++i) counts[i] += buckets_[i].read();
    total_ns += total_ns_.read();
  }

 private:
  Counter total_ns_;
  std::array<Counter, kWaitBuckets> buckets_;
};

}  // namespace tailrace::fiber
