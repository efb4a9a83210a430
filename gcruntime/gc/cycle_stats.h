// What the cycles were, summed since the start: rounds, holds for the marker's sake, marked bytes, and the
// CPU time by what it was spent on. For metrics and benchmarks.
//
// The collector's thread notes a cycle at its end; CPU time is noted by whoever spent it. Relaxed counters:
// a reading is rough while a cycle ends, and no count ever falls.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tailrace::gc {

// Whose CPU time it was. All kinds together are MemStats::gc_cpu_ns.
enum class GcCpu : std::uint8_t {
  kAssist,      // marking by those who allocate
  kBackground,  // marking by the collector's thread
  kIdle,        // marking by workers that have nothing else to run
  kPause,       // answering handshakes and claims; the whole cycle when it stops the world
  kSweep,
};
inline constexpr std::size_t kGcCpuKinds = 5;

// Of one cycle.
struct CycleEnd {
  std::uint64_t rounds = 1;  // those after the cut-over included
  bool forced = false;
  std::uint64_t fibers_held = 0;  // times that one was held because it outran the marker
  std::uint64_t marked_bytes = 0;
  std::uint64_t marked_objects = 0;
};

struct CycleStats {
  static constexpr std::size_t kMostRounds = 16;

  std::uint64_t cycles() const noexcept;
  std::uint64_t cpu(GcCpu kind) const noexcept { return cpu_ns[static_cast<std::size_t>(kind)]; }
  std::uint64_t all_cpu_ns() const noexcept;

  std::array<std::uint64_t, kMostRounds> rounds{};  // [i]: cycles of i + 1 rounds, or more
  std::uint64_t rounds_total = 0;
  std::uint64_t last_rounds = 0;
  std::uint64_t forced = 0;
  std::uint64_t fibers_held = 0;
  std::uint64_t marked_bytes = 0;
  std::uint64_t marked_objects = 0;
  std::array<std::uint64_t, kGcCpuKinds> cpu_ns{};
};

// By the collector's thread.
void note_cycle(const CycleEnd& cycle) noexcept;
// Any thread, signal handlers too.
void note_gc_cpu(GcCpu kind, std::int64_t ns) noexcept;
// Any thread.
CycleStats read_cycle_stats() noexcept;

}  // namespace tailrace::gc
