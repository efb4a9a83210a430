// The pacer at work: the figures of this process put into the pure functions of pacer.h, and what allocating
// threads and the collector's thread go by. [gc.pacer]
//
// Threads: who allocates reads and adds to atomics only; all else is done under the collector's mutex.
// Atomic operations here are relaxed: figures that are read one by one while others change, each of which
// may be a moment old. What orders cycles is the collector's (collector.h).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/cpu_limiter.h"
#include "gcruntime/gc/pacer.h"
#include "gcruntime/gc/pacer_stats.h"

namespace tailrace::gc {

class PacerControl {
 public:
  // --- Threads that allocate. ---
  // `bytes` more have been. Returns what has been since the last cycle, to be asked about below.
  std::uint64_t add(std::uint64_t bytes) noexcept {
    return allocated_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  }
  std::uint64_t allocated_bytes() const noexcept {
    return allocated_.load(std::memory_order_relaxed);
  }
  bool wants_cycle(std::uint64_t allocated) const noexcept {
    return allocated >= trigger_.load(std::memory_order_relaxed);
  }
  bool at_backstop(std::uint64_t allocated) const noexcept {
    return allocated >= backstop_.load(std::memory_order_relaxed);
  }
  // A cycle marks: the thread owes marking for the `bytes` that it has allocated, and does it where others
  // have not, for 250 us at a time and no longer than its fiber may be asked for. In no section.
  void assist(std::uint64_t bytes) noexcept;

  // --- Any thread. ---
  std::uint64_t debt_bytes() const noexcept;
  bool limited() const noexcept { return limited_.load(std::memory_order_relaxed); }
  // What marking may take of the processors now.
  double mark_share() const noexcept;

  // --- Under the collector's mutex. ---
  // The options, the percent or the memory limit have changed.
  void configure(const CollectorOptions& options) noexcept;
  void begin_cycle(std::int64_t now_ns) noexcept;
  struct CycleEnd {
    std::uint64_t number = 0;
    std::int64_t now_ns = 0;
    std::uint64_t live_bytes = 0;
    std::uint64_t found_bytes = 0;
    std::uint64_t stack_bytes = 0;
    std::uint64_t root_bytes = 0;
    std::int64_t mark_cpu_ns = 0;  // all marking, by anybody
    bool beside = true;            // it marked beside the service
  };
  // Returns what was allocated while it ran.
  std::uint64_t end_cycle(const CycleEnd& cycle) noexcept;
  // Tells the limiter what time has gone where; at least each CpuLimiter::kPeriodNs while a cycle runs.
  void account(std::uint64_t cycle) noexcept;
  std::uint64_t live_bytes() const noexcept { return left_.live_bytes; }
  std::uint64_t goal_bytes() const noexcept { return goal_bytes_; }
  // What may be allocated a second so that marking keeps up. 0: not known; infinite without a goal.
  double sustainable_alloc_rate() const noexcept;
  void fill(PacerStats& stats) const noexcept;

 private:
  static constexpr std::size_t kWindow = 8;  // cycles

  void commit() noexcept;
  void publish_plan() noexcept;
  CyclePlan plan() const noexcept;
  std::uint64_t heap_bytes() const noexcept {
    return base_.load(std::memory_order_relaxed) + allocated_bytes();
  }
  void note_rate(std::uint64_t work_bytes, std::int64_t cpu_ns) noexcept;

  // Read by the allocation slow path; bytes since the last cycle.
  alignas(64) std::atomic<std::uint64_t> allocated_{0};  // flushed counts
  std::atomic<std::uint64_t> trigger_{UINT64_MAX};       // that ask for a cycle
  std::atomic<std::uint64_t> growth_{UINT64_MAX};        // at which it should have ended
  std::atomic<std::uint64_t> backstop_{UINT64_MAX};      // that wait for one
  std::atomic<std::uint64_t> base_{0};                   // the heap at the last cycle's end
  std::atomic<bool> limited_{false};

  // The cycle under way.
  struct {
    std::atomic<std::uint64_t> begin{0};
    std::atomic<std::uint64_t> goal{UINT64_MAX};
    std::atomic<std::uint64_t> expected{0};
    std::atomic<std::uint64_t> most_work{0};
    std::atomic<std::uint64_t> limit_goal{UINT64_MAX};
    std::atomic<int> plan_percent{100};
  } plan_;
  std::atomic<double> mark_rate_{0};  // bytes scanned a second, by slices of one core

  CollectorOptions options_;
  PacerSettings settings_;
  Survivors left_;
  ConsMark cons_mark_;
  CpuLimiter limiter_;
  std::uint64_t goal_bytes_ = 0;
  std::uint64_t limit_goal_bytes_ = UINT64_MAX;
  std::uint64_t trigger_bytes_ = 0;
  std::uint64_t runway_bytes_ = 0;
  std::uint64_t peak_bytes_ = 0;
  std::int64_t overshoot_bytes_ = 0;
  std::uint64_t free_slot_bytes_ = 0;  // in spans, at the last cycle's end
  std::uint64_t allocated_before_ = 0;
  std::int64_t begin_ns_ = 0;
  // The limiter's last look.
  std::int64_t gc_cpu_ns_ = 0;
  std::int64_t process_cpu_ns_ = 0;
  std::uint64_t limiter_cycle_ = 0;
  // Sums that fade.
  double rate_work_ = 0;
  double rate_seconds_ = 0;
  struct End {
    std::int64_t now_ns = 0;
    std::int64_t gc_cpu_ns = 0;
  };
  std::array<End, kWindow> ends_{};
  std::size_t ended_ = 0;
};

}  // namespace tailrace::gc
