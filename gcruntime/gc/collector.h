// The collector: one thread that runs the cycles.
//
// A cycle here stops the world: stop, empty the worker caches, mark from roots and stacks, sweep, start.
// (This mode stays as gcstoptheworld=1 when marking becomes concurrent.) Who asks for a cycle: the
// allocation slow path when the heap has grown by gc_percent, collect(), and the clock after two minutes
// without one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/marker.h"
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
  // Runs a whole cycle that begins after the call.
  void collect();

  void fill(MemStats& stats);

 private:
  static constexpr std::uint64_t kSmallestHeapBytes = std::uint64_t{4} << 20;
  static constexpr std::int64_t kPeriodNs = std::int64_t{120} * 1'000'000'000;

  [[noreturn]] void run();
  void request() noexcept;
  void run_cycle(bool forced);
  void set_trigger() noexcept;
  void print_trace(std::uint64_t number, const std::int64_t* times_ns, std::int64_t cpu_ns,
                   std::uint64_t heap_before, std::uint64_t goal);
  void wait_for_cycle() noexcept;

  // Read by the allocation slow path.
  alignas(64) std::atomic<std::uint64_t> allocated_{0};     // since the last cycle, flushed counts
  std::atomic<std::uint64_t> trigger_{kSmallestHeapBytes};  // allocated_ that asks for a cycle
  std::atomic<std::uint64_t> backstop_{UINT64_MAX};         // allocated_ that waits for one
  // A cycle has been asked for or is running, so that the slow path need not ask: set by whoever asks,
  // cleared when allocated_ is. Only advice; what the collector's thread goes by is wanted_.
  std::atomic<bool> requested_{false};

  // Written while the world is stopped: whoever sees what was allocated after a cycle sees what it freed.
  std::atomic<std::uint64_t> freed_bytes_{0};
  std::atomic<std::uint64_t> freed_objects_{0};

  std::mutex mutex_;  // guards all below
  std::condition_variable work_;
  std::condition_variable done_;
  bool started_ = false;
  bool forced_ = false;
  std::uint64_t begun_ = 0;   // cycles begun
  std::uint64_t wanted_ = 0;  // a cycle is due while begun_ < wanted_
  std::uint64_t ended_ = 0;
  CollectorOptions options_;

  // Written by the collector's thread with mutex_ held, after a cycle.
  std::uint64_t live_bytes_ = 0;
  std::uint64_t goal_bytes_ = kSmallestHeapBytes;
  std::uint64_t forced_cycles_ = 0;
  std::uint64_t pause_total_ns_ = 0;
  std::uint64_t gc_cpu_ns_ = 0;
  std::uint64_t mark_queue_bytes_ = 0;
  std::int64_t last_end_unix_ns_ = 0;
  std::int64_t last_end_ns_ = 0;
  std::int64_t started_ns_ = 0;
  std::uint64_t pauses_ns_[MemStats::kPauses] = {};

  Marker* marker_ = nullptr;  // the thread's own; lives for ever
};

}  // namespace tailrace::gc
