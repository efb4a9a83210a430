// The gctrace line: what one cycle was, in the format of Go's GODEBUG=gctrace=1, which tools parse.
//
//   gc N @T.TTTs P%: a+b+c ms clock, A+as/bg/idle+C ms cpu, s->e->l MB, g MB goal, k MB stacks, m MB
//   globals, p P (forced)
//
// A pure function, but for the printing. Not while the world is stopped: it allocates.
#pragma once

#include <cstdint>
#include <string>

namespace tailrace::gc {

struct CycleTrace {
  std::uint64_t number = 0;         // of the cycle, from 1
  std::int64_t since_start_ns = 0;  // when it began
  double gc_cpu_fraction = 0;       // of the CPU time since the start; printed in whole percent
  // Clock. Beside the service: the longest hold until the barrier is on everywhere, the time of marking,
  // the longest hold from the last rounds on. With the world stopped: stopping, marking, the rest.
  std::int64_t begin_ns = 0;
  std::int64_t mark_ns = 0;
  std::int64_t end_ns = 0;
  // CPU.
  std::int64_t begin_cpu_ns = 0;
  std::int64_t assist_cpu_ns = 0;
  std::int64_t background_cpu_ns = 0;
  std::int64_t idle_cpu_ns = 0;
  std::int64_t end_cpu_ns = 0;
  std::uint64_t heap_at_begin = 0;
  std::uint64_t heap_at_end = 0;  // of marking
  std::uint64_t heap_live = 0;    // marked
  std::uint64_t goal = 0;         // the heap was to end at
  std::uint64_t stacks = 0;       // bytes scanned
  std::uint64_t globals = 0;      // bytes of roots
  unsigned procs = 1;
  bool forced = false;
};

// Ends with a newline.
std::string format_gctrace(const CycleTrace& cycle);
// To stderr, in one write, so that lines do not run into each other.
void print_gctrace(const CycleTrace& cycle);

}  // namespace tailrace::gc
