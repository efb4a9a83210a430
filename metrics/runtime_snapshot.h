// Everything that the runtime collector knows, taken at one moment, as plain values: the collector
// is a pure function of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/cycle_stats.h"
#include "gcruntime/gc/escape_report.h"
#include "gcruntime/gc/finalizer.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/scavenger.h"
#include "gcruntime/pool/pool_stats.h"
#include "gcruntime/sync/blocking_pool.h"
#include "metrics/capacity.h"
#include "metrics/process_facts.h"

namespace tailrace::metrics {

struct RuntimeSnapshot {
  gc::MemStats memory;
  gc::CycleStats cycles;
  std::vector<gc::HoldCounts> holds;  // by kind, preempted ones included; empty: not known
  gc::FinalizerStats finalizers;
  gc::ScavengeStats scavenge;
  std::vector<gc::PoolStats> pools;
  gc::ArenaStats arenas;
  std::vector<gc::LabelEscapes> arena_labels;
  fiber::SchedulerStats scheduler;
  fiber::BlockingStats blocking;
  ProcessFacts process;
  std::uint64_t freed_bytes = 0;  // since start; never runs backwards
};

// The version of Tailrace, as in go_info: "0.1.0".
std::string version();

// Any thread. With no scheduler its numbers are zero.
RuntimeSnapshot take_snapshot(const fiber::Scheduler* scheduler);

// The same of what capacity.h needs. Any thread.
Capacity take_capacity();

}  // namespace tailrace::metrics
