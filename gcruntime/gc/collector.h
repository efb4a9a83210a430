// The collector: one thread that runs the cycles (cycle.h), and sweeps behind them what nobody else has.
//
// Who asks for a cycle: the allocation slow path when the heap has grown to the pacer's trigger, collect(),
// and the clock after two minutes without one. What was allocated while a cycle marked is counted as alive
// by it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/cycle.h"
#include "gcruntime/gc/cycle_stats.h"
#include "gcruntime/gc/gctrace.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/pacer_control.h"
#include "gcruntime/gc/room_line.h"

namespace tailrace::gc {

class Collector {
 public:
  static Collector& instance();

  void configure(const CollectorOptions& options);
  int set_percent(int percent);
  void set_procs(unsigned procs);
  // The memory limit, or what counts beside the heap, has changed: goal and trigger follow.
  void note_new_limit();
  // Starts the thread once.
  void ensure_started();

  // From the allocation slow path: `bytes` more have been allocated. Never inside a section.
  void note_allocated(std::uint64_t bytes) noexcept;
  // A cycle that begins after the call is due. Any thread, in no section.
  void request_cycle() noexcept;
  // Runs a whole cycle that begins after the call, sweep included.
  void collect();

  void fill(MemStats& stats);
  void fill(PacerStats& stats);
  const PacerControl& pacer() const noexcept { return pacer_; }

 private:
  static constexpr std::int64_t kPeriodNs = std::int64_t{120} * 1'000'000'000;

  Collector();
  [[noreturn]] void run();
  void request() noexcept;
  CycleOptions begin_cycle(std::int64_t now_ns, CycleTrace& trace);
  void run_cycle(bool forced);
  void sweep_behind();
  double cpu_fraction(std::int64_t now_ns) const noexcept;
  Marking::Pace pace() noexcept;
  void note_own_cpu(GcCpu kind) noexcept;
  std::uint64_t cycles_ended() noexcept;
  void wait_for_cycle() noexcept;

  PacerControl pacer_;  // see there
  // A cycle has been asked for or is running, so that the slow path need not ask: set by whoever asks,
  // cleared when the pacer's count is. Only advice; what the collector's thread goes by is wanted_.
  std::atomic<bool> requested_{false};
  std::atomic<bool> trace_{false};  // relaxed: of options_
  // Those in collect() or at the backstop. Relaxed: advice to the cycle under way.
  std::atomic<std::uint64_t> waiting_{0};
  RoomLine
      at_backstop_;  // told when a cycle has marked. As long as there are fibers: nobody is refused here

  std::mutex mutex_;  // guards all below
  std::condition_variable work_;
  std::condition_variable done_;
  bool started_ = false;
  bool forced_ = false;
  std::uint64_t begun_ = 0;   // cycles begun
  std::uint64_t wanted_ = 0;  // a cycle is due while begun_ < wanted_
  std::uint64_t ended_ = 0;   // marked; the sweep may go on
  std::uint64_t swept_ = 0;   // cycles whose sweep is complete
  CollectorOptions options_;

  // Written by the collector's thread with mutex_ held, after a cycle.
  std::uint64_t forced_cycles_ = 0;
  std::uint64_t pause_total_ns_ = 0;
  std::uint64_t mark_queue_bytes_ = 0;
  std::int64_t last_end_unix_ns_ = 0;
  std::int64_t last_end_ns_ = 0;
  std::int64_t started_ns_ = 0;
  std::uint64_t pauses_ns_[MemStats::kPauses] = {};

  // The thread's own.
  Cycle* cycle_ = nullptr;  // lives for ever
  std::int64_t noted_cpu_ns_ = 0;
  std::int64_t accounted_ns_ = 0;
};

}  // namespace tailrace::gc
