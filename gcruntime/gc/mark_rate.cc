#include "gcruntime/gc/mark_rate.h"

#include <atomic>

#include "gcruntime/gc/cycle_stats.h"

namespace tailrace::gc {
namespace {

constinit std::atomic<double> rate{0};

}  // namespace

void note_mark_rate() noexcept {
  // The collector's thread's own.
  static constinit MarkRateWindow window;
  static constinit std::uint64_t marked_before = 0;
  static constinit std::uint64_t cpu_before = 0;
  const CycleStats stats = read_cycle_stats();
  const std::uint64_t cpu_ns =
      stats.cpu(GcCpu::kBackground) + stats.cpu(GcCpu::kAssist) + stats.cpu(GcCpu::kIdle);
  window.note(stats.marked_bytes - marked_before, cpu_ns - cpu_before);
  marked_before = stats.marked_bytes;
  cpu_before = cpu_ns;
  // Relaxed: the word stands for itself.
  rate.store(window.bytes_per_cpu_second(), std::memory_order_relaxed);
}

double mark_bytes_per_cpu_second() noexcept { return rate.load(std::memory_order_relaxed); }

}  // namespace tailrace::gc
