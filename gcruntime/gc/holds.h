// Holds: the moments in which the collector keeps a thread from its own work, counted by kind and length.
//
// A hold is noted by the thread that was held, at its end, in a signal handler perhaps: relaxed adds to
// counters that are sharded by thread, nothing else. Reading sums the shards while others write, so a
// reading is a moment's only roughly; a histogram's count is the sum of its buckets.
//
// Buckets are log-linear: eight to a power of two from 32 ns to 8.6 s, so any quantile is told within
// 7 %. Bounds are inclusive and include every power of two, which makes coarser histograms of them exact.
//
// Apart from these, the longest handshake or claim: of the cycle and of a part of it. A hold ends after the
// collector has its answer, so the last of a cycle may come when that cycle has been reported; it counts
// for the next one, never for none.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace tailrace::gc {

enum class HoldKind : std::uint8_t {
  kHandshake,  // answers a handshake
  kClaim,      // waits for who reads its fiber's stack, or shows it before it runs
  kAssist,     // marks because it allocates
  kSweep,      // sweeps because it allocates
  kStall,      // waits for the collector: for memory, or for what a weak reference is worth
  kMark,       // a worker marks for a slice
};
inline constexpr std::size_t kHoldKinds = 6;
constexpr const char* hold_kind_name(HoldKind kind) {
  constexpr const char* kNames[kHoldKinds] = {"handshake", "claim", "assist",
                                              "sweep",     "stall", "mark"};
  return kNames[static_cast<std::size_t>(kind)];
}

struct HoldCounts {
  static constexpr unsigned kFirstPower = 5;  // the first bucket ends at 32 ns
  static constexpr unsigned kLastPower = 33;  // the last but one ends at 8.6 s
  static constexpr unsigned kPerPower = 8;
  static constexpr std::size_t kBuckets = (kLastPower - kFirstPower) * kPerPower + 2;

  // The bucket of a length; of none or less: the first.
  static constexpr std::size_t bucket_of(std::int64_t ns) noexcept {
    if (ns <= std::int64_t{1} << kFirstPower) return 0;
    // One less, so that a power of two ends a bucket.
    const auto value = static_cast<std::uint64_t>(ns) - 1;
    const unsigned power = static_cast<unsigned>(std::bit_width(value)) - 1;
    if (power >= kLastPower) return kBuckets - 1;
    const std::uint64_t eighth = (value >> (power - 3)) & (kPerPower - 1);
    return 1 + (power - kFirstPower) * kPerPower + static_cast<std::size_t>(eighth);
  }
  // The longest hold that falls into it; of the last: INT64_MAX.
  static constexpr std::int64_t bound_ns(std::size_t bucket) noexcept {
    if (bucket == 0) return std::int64_t{1} << kFirstPower;
    if (bucket >= kBuckets - 1) return INT64_MAX;
    const std::size_t power = kFirstPower + (bucket - 1) / kPerPower;
    const auto eighths = static_cast<std::int64_t>(kPerPower + (bucket - 1) % kPerPower + 1);
    return eighths << (power - 3);
  }

  std::uint64_t count() const noexcept;
  // How many were no longer than a bound; `ns` is a power of two or another bucket's bound.
  std::uint64_t count_up_to(std::int64_t ns) const noexcept;
  // 0 to 1; of no holds: 0. Never over max_ns.
  std::int64_t quantile(double q) const noexcept;
  HoldCounts& operator+=(const HoldCounts& other) noexcept;

  std::array<std::uint64_t, kBuckets> counts{};
  std::uint64_t total_ns = 0;
  std::int64_t max_ns = 0;
};

// Any thread, signal handlers too.
void note_hold(HoldKind kind, std::int64_t ns) noexcept;
// Of a hold in which the kernel gave the processor to somebody else.
void note_preempted_hold(HoldKind kind, std::int64_t ns) noexcept;

// Since the start of the process. Any thread. Holds that are known to have been preempted stand apart:
// both together are what the service saw, the first alone what the collector is to blame for.
HoldCounts read_holds(HoldKind kind) noexcept;
HoldCounts read_preempted_holds(HoldKind kind) noexcept;

// Handshakes and claims, preempted ones included. By the collector's thread.
//
// The longest since begin_cycle_holds() was last called.
std::int64_t longest_hold_ns() noexcept;
// Returns that too, and begins anew in the same step: called once a cycle, at its end, it loses none.
std::int64_t begin_cycle_holds() noexcept;
// The longest since it was last called itself: of a part of the cycle.
std::int64_t take_longest_hold_ns() noexcept;

// For benchmarks: tells preempted holds apart, at the price of two system calls a hold. Off at first.
void set_preemption_measured(bool measured) noexcept;

// Notes its own life. Safe in a signal handler; leaves errno alone.
class HoldTimer {
 public:
  explicit HoldTimer(HoldKind kind) noexcept;
  ~HoldTimer();
  HoldTimer(const HoldTimer&) = delete;
  HoldTimer& operator=(const HoldTimer&) = delete;

 private:
  std::int64_t begin_ns_;
  std::int64_t preemptions_;  // of the thread so far; below zero: not measured
  HoldKind kind_;
};

}  // namespace tailrace::gc
