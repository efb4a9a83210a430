// Numbers about the managed heap, under the names and with the identities that Go's users know.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "gcruntime/heap/alloc_counts.h"

namespace tailrace::gc {

// A consistent-enough snapshot: levels are read one by one while others allocate; counters never
// run backwards. All bytes are slot bytes (header and rounding included) unless said otherwise.
struct MemStats {
  std::uint64_t total_alloc = 0;  // bytes allocated since start, freed ones included
  std::uint64_t mallocs = 0;      // objects allocated since start
  std::uint64_t frees = 0;        // objects freed since start; mallocs - frees = heap_objects
  // Bytes in objects: live ones and those not yet swept. At most heap_inuse.
  std::uint64_t heap_alloc = 0;
  std::uint64_t heap_objects = 0;
  std::uint64_t heap_sys = 0;    // = heap_inuse + heap_idle
  std::uint64_t heap_inuse = 0;  // bytes in spans that hold objects
  // Bytes in free spans: retained ones, which cost memory and no page fault, and released ones.
  std::uint64_t heap_idle = 0;
  std::uint64_t heap_released = 0;  // of heap_idle: given back to the OS, or never touched
  std::uint64_t stack_inuse = 0;    // resident estimate of fiber stacks in use
  std::uint64_t stack_sys = 0;      // the same and cached stacks
  std::uint64_t mspan_inuse = 0;    // span records in use
  std::uint64_t mspan_sys = 0;
  std::uint64_t mcache_inuse = 0;  // worker caches
  std::uint64_t mcache_sys = 0;
  std::uint64_t gc_sys = 0;          // mark bits, allocation bits, page tables, mark stack
  std::uint64_t other_sys = 0;       // roots and the rest
  std::uint64_t sys = 0;             // sum of the *_sys
  std::uint64_t next_gc = 0;         // heap_alloc at which the next cycle starts
  std::uint64_t heap_live = 0;       // bytes marked by the last cycle
  std::uint64_t num_gc = 0;          // cycles ended
  std::uint64_t num_forced_gc = 0;   // of them: asked for by collect()
  std::int64_t last_gc_unix_ns = 0;  // end of the last cycle; 0: none yet
  std::uint64_t pause_total_ns = 0;  // sum of each cycle's longest hold
  double gc_cpu_fraction = 0;        // of the CPU time that was available since start
  std::uint64_t gc_cpu_ns = 0;
  int gc_percent = 100;  // -1: off
  unsigned procs = 1;    // worker threads
  // What may be allocated a second so that marking, with its quarter of the processors, still ends before
  // the goal: by the last cycles' rate of marking. 0: not known yet; infinite: there is no goal.
  double sustainable_alloc_bytes_per_second = 0;
  std::uint64_t memory_limit = UINT64_MAX;

  // One entry a cycle: its longest hold in ns; the newest 256 in no order, pause_count of them valid.
  static constexpr std::size_t kPauses = 256;
  std::array<std::uint64_t, kPauses> pauses_ns{};
  std::size_t pause_count = 0;
};

// Any thread, attached or not. About a microsecond per worker.
MemStats read_mem_stats();

}  // namespace tailrace::gc
