// The collector: one thread that runs the cycles (cycle.h), and sweeps behind them what nobody else has.
//
// Who asks for a cycle: the allocation slow path when the heap has grown near its goal, collect(), and the
// clock after two minutes without one. What was allocated while a cycle marked is counted as alive by it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/cycle.h"
#include "gcruntime/gc/mem_stats.h"

namespace tailrace::gc {

class Collector {
 public:
  static Collector& instance();

  void configure(const CollectorOptions& options);
  int set_percent(int percent);
  // Starts the thread once.
  void ensure_started();

  // From the allocation slow path: `bytes` more have been allocated. Never inside a section.
  void note_allocated(std::uint64_t bytes) noexcept;
  // Runs a whole cycle that begins after the call, sweep included.
  void collect();

  void fill(MemStats& stats);

 private:
  static constexpr std::uint64_t kSmallestHeapBytes = std::uint64_t{4} << 20;
  static constexpr std::int64_t kPeriodNs = std::int64_t{120} * 1'000'000'000;

  [[noreturn]] void run();
  void request() noexcept;
  void run_cycle(bool forced);
  void sweep_behind();
  void set_trigger() noexcept;
  double cpu_fraction(std::int64_t now_ns) const noexcept;
  double mark_share() const noexcept;
  void wait_for_cycle() noexcept;

  // Read by the allocation slow path.
  alignas(64) std::atomic<std::uint64_t> allocated_{0};     // since the last cycle, flushed counts
  std::atomic<std::uint64_t> trigger_{kSmallestHeapBytes};  // allocated_ that asks for a cycle
  std::atomic<std::uint64_t> growth_{
      kSmallestHeapBytes};                           // allocated_ at which it should have ended
  std::atomic<std::uint64_t> backstop_{UINT64_MAX};  // allocated_ that waits for one
  // A cycle has been asked for or is running, so that the slow path need not ask: set by whoever asks,
  // cleared when allocated_ is. Only advice; what the collector's thread goes by is wanted_.
  std::atomic<bool> requested_{false};
  std::atomic<bool> trace_{false};  // relaxed: of options_

  std::mutex mutex_;  // guards all below
  std::condition_variable work_;
  std::condition_variable done_;
  bool started_ = false;
  bool forced_ = false;
  std::uint64_t begun_ = 0;    // cycles begun
  std::uint64_t wanted_ = 0;   // a cycle is due while begun_ < wanted_
  std::uint64_t ended_ = 0;    // marked; the sweep may go on
  std::uint64_t swept_ = 0;    // cycles whose sweep is complete
  std::uint64_t waiting_ = 0;  // threads in collect() or at the backstop
  CollectorOptions options_;

  // Written by the collector's thread with mutex_ held, after a cycle.
  std::uint64_t live_bytes_ = 0;
  std::uint64_t marked_bytes_ = 0;  // of them: not allocated while the cycle ran
  std::uint64_t runway_bytes_ = 0;  // allocated while the last cycle ran
  std::uint64_t goal_bytes_ = kSmallestHeapBytes;
  std::uint64_t forced_cycles_ = 0;
  std::uint64_t pause_total_ns_ = 0;
  std::uint64_t mark_queue_bytes_ = 0;
  std::int64_t last_end_unix_ns_ = 0;
  std::int64_t last_end_ns_ = 0;
  std::int64_t started_ns_ = 0;
  std::uint64_t pauses_ns_[MemStats::kPauses] = {};

  Cycle* cycle_ = nullptr;  // the thread's own; lives for ever
};

}  // namespace tailrace::gc
