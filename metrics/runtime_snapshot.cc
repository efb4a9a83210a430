// Taking the snapshot. The only place of this room that calls the runtime.
#include "metrics/runtime_snapshot.h"

#include <atomic>

#include "gcruntime/os/clock.h"

namespace tailrace::metrics {
namespace {

// The largest number of freed bytes that was told. The heap's levels are read one by one, so their
// difference may step back by what was allocated in between, which a scrape would take for a
// restart.
constinit std::atomic<std::uint64_t> freed_bytes_told{0};

std::uint64_t freed_bytes(const gc::MemStats& memory) {
  std::uint64_t now =
      memory.total_alloc > memory.heap_alloc ? memory.total_alloc - memory.heap_alloc : 0;
  std::uint64_t told = freed_bytes_told.load(std::memory_order_relaxed);
  // Relaxed: the word stands for itself.
  while (now > told &&
         !freed_bytes_told.compare_exchange_weak(told, now, std::memory_order_relaxed)) {
  }
  return now > told ? now : told;
}

}  // namespace

std::string version() { return TAILRACE_VERSION; }

RuntimeSnapshot take_snapshot(const fiber::Scheduler* scheduler) {
  RuntimeSnapshot snapshot;
  snapshot.memory = gc::read_mem_stats();
  snapshot.cycles = gc::read_cycle_stats();
  snapshot.finalizers = gc::read_finalizer_stats();
  snapshot.scavenge = gc::read_scavenge_stats();
  snapshot.pools = gc::read_pool_stats();
  snapshot.arenas = gc::read_arena_stats();
  snapshot.arena_labels = gc::label_escapes();
  for (std::size_t i = 0; i < gc::kHoldKinds; ++i) {
    const auto kind = static_cast<gc::HoldKind>(i);
    snapshot.holds.push_back(gc::read_holds(kind));
    snapshot.holds.back() += gc::read_preempted_holds(kind);
  }
  if (scheduler != nullptr) {
    snapshot.scheduler = scheduler->stats();
    snapshot.blocking = fiber::BlockingPool::stats_of(*scheduler);
  }
  snapshot.process = read_process_facts();
  snapshot.freed_bytes = freed_bytes(snapshot.memory);
  return snapshot;
}

Capacity take_capacity() {
  const gc::MemStats memory = gc::read_mem_stats();
  return {.sustainable_bytes_per_second = memory.sustainable_alloc_bytes_per_second,
          .procs = memory.procs,
          .allocated_bytes = memory.total_alloc,
          .cpu_seconds = read_cpu_seconds(),
          .at_ns = os::now_ns()};
}

}  // namespace tailrace::metrics
