// How fast cycles mark: bytes found alive per second of a processor's time, over the last four cycles. With
// it the rate of allocation is told that marking can keep up with (sustainable_alloc_rate in pacer.h).
//
// note_mark_rate: the collector's thread. mark_bytes_per_cpu_second: any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace tailrace::gc {

// A cycle that finds less than that is all handshakes, and counts as work of so many bytes: what it takes is
// known also where nothing is alive.
inline constexpr std::uint64_t kLeastWorkBytes = 1000;

class MarkRateWindow {
 public:
  // One cycle. One whose time is not known (it stopped the world) does not count.
  void note(std::uint64_t marked_bytes, std::uint64_t mark_cpu_ns) noexcept {
    if (mark_cpu_ns == 0) return;
    cycles_[next_++ % kCycles] = {std::max(marked_bytes, kLeastWorkBytes), mark_cpu_ns};
  }
  // 0: no cycle yet.
  double bytes_per_cpu_second() const noexcept {
    double bytes = 0;
    double cpu_ns = 0;
    for (const Cycle& cycle : cycles_) {
      bytes += static_cast<double>(cycle.marked_bytes);
      cpu_ns += static_cast<double>(cycle.cpu_ns);
    }
    return cpu_ns == 0 ? 0 : bytes * 1e9 / cpu_ns;
  }

 private:
  struct Cycle {
    std::uint64_t marked_bytes = 0;
    std::uint64_t cpu_ns = 0;
  };
  static constexpr std::size_t kCycles = 4;
  std::array<Cycle, kCycles> cycles_{};
  std::size_t next_ = 0;
};

// A cycle has ended, and the counts of cycle_stats.h are those at its end.
void note_mark_rate() noexcept;
// 0: no cycle yet.
double mark_bytes_per_cpu_second() noexcept;

}  // namespace tailrace::gc
