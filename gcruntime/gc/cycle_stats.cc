#include "gcruntime/gc/cycle_stats.h"

#include <algorithm>
#include <atomic>

namespace tailrace::gc {
namespace {

// Atomic operations here are relaxed: each word stands for itself.
constexpr auto kRelaxed = std::memory_order_relaxed;
using Counter = std::atomic<std::uint64_t>;

constinit Counter cycles_by_rounds[CycleStats::kMostRounds];
constinit Counter rounds_total{0};
constinit Counter last_rounds{0};
constinit Counter forced_cycles{0};
constinit Counter fibers_held{0};
constinit Counter marked_bytes{0};
constinit Counter marked_objects{0};
// Apart from the rest and from each other: mutators add to them.
struct alignas(64) CpuTime {
  Counter ns;
};
constinit CpuTime cpu_times[kGcCpuKinds];

}  // namespace

void note_cycle(const CycleEnd& cycle) noexcept {
  const std::uint64_t rounds = std::max<std::uint64_t>(cycle.rounds, 1);
  // The sum first, so that it is never behind the cycles.
  rounds_total.fetch_add(rounds, kRelaxed);
  last_rounds.store(rounds, kRelaxed);
  forced_cycles.fetch_add(cycle.forced ? 1 : 0, kRelaxed);
  fibers_held.fetch_add(cycle.fibers_held, kRelaxed);
  marked_bytes.fetch_add(cycle.marked_bytes, kRelaxed);
  marked_objects.fetch_add(cycle.marked_objects, kRelaxed);
  const std::size_t most = CycleStats::kMostRounds;
  cycles_by_rounds[std::min<std::uint64_t>(rounds, most) - 1].fetch_add(1, kRelaxed);
}

void note_gc_cpu(GcCpu kind, std::int64_t ns) noexcept {
  if (ns <= 0) return;
  cpu_times[static_cast<std::size_t>(kind)].ns.fetch_add(static_cast<std::uint64_t>(ns), kRelaxed);
}

CycleStats read_cycle_stats() noexcept {
  CycleStats stats;
  for (std::size_t i = 0; i < CycleStats::kMostRounds; ++i) {
    stats.rounds[i] = cycles_by_rounds[i].load(kRelaxed);
  }
  stats.rounds_total = rounds_total.load(kRelaxed);
  stats.last_rounds = last_rounds.load(kRelaxed);
  stats.forced = forced_cycles.load(kRelaxed);
  stats.fibers_held = fibers_held.load(kRelaxed);
  stats.marked_bytes = marked_bytes.load(kRelaxed);
  stats.marked_objects = marked_objects.load(kRelaxed);
  for (std::size_t i = 0; i < kGcCpuKinds; ++i) stats.cpu_ns[i] = cpu_times[i].ns.load(kRelaxed);
  return stats;
}

std::uint64_t CycleStats::cycles() const noexcept {
  std::uint64_t sum = 0;
  for (const std::uint64_t each : rounds) sum += each;
  return sum;
}

std::uint64_t CycleStats::all_cpu_ns() const noexcept {
  std::uint64_t sum = 0;
  for (const std::uint64_t each : cpu_ns) sum += each;
  return sum;
}

}  // namespace tailrace::gc
