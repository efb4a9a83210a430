// The collector's controls.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/gc/allocs_per_run.h"
#include "gcruntime/heap/alloc_counts.h"

namespace tailrace::gc {

struct CollectorOptions {
  int percent = 100;  // heap growth over the live heap that starts a cycle; -1: only collect() does
  bool trace = false;           // gctrace=1: a line a cycle on stderr, in Go's format
  unsigned procs = 1;           // worker threads: marking takes a quarter of so many processors
  bool stop_the_world = false;  // gcstoptheworld=1: threads stand still while a cycle marks
  bool check_marks = false;     // gccheckmark=1: marks once more at each cycle's end, and compares
  // False: the collector's own thread leaves marking to the workers, idle ones too, unless none comes by
  // for half a millisecond. For tests.
  bool marks_beside = true;
  // The memory limit gives way before cycles are so dense that the heap grows by less between them.
  int min_percent = 0;
  // Of the CPU time that the process uses: over it assists stop, and the heap passes its goal. 1: no limit.
  double cpu_limit = 0.5;
};
// Any thread. The defaults hold until it is called.
void configure(const CollectorOptions& options);

// Runs a whole cycle that begins after the call, and returns when it has ended and all is swept. The
// calling thread must be attached. What was unreachable when it was called is freed.
void collect();

// Sets the growth that starts a cycle (-1: off) and returns the old one. Any thread.
int set_percent(int percent);
// So many processors may run workers from now on; marking takes its share of them. Any thread.
void set_procs(unsigned procs);

// collect(), then gives all free pages back to the OS. Returns the bytes given back.
std::size_t free_os_memory();

// What the calling thread has allocated; it must be attached. (On a fiber: own_alloc_counts.)
AllocCounts thread_alloc_counts() noexcept;

}  // namespace tailrace::gc
