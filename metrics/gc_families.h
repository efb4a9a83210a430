// The collector's own families: how long it kept threads from their work, how many rounds its
// cycles took, where its CPU time went, what it ran for dead objects. Pure functions of the
// snapshot, whose families the runtime collector adds to its own.
#pragma once

#include <vector>

#include "metrics/family.h"
#include "metrics/runtime_snapshot.h"

namespace tailrace::metrics {

// Go's names; the five kinds of CPU time add up to go_cpu_classes_gc_total_cpu_seconds_total.
void add_go_gc_families(std::vector<Family>& families, const RuntimeSnapshot& snapshot);
// tailrace_gc_*.
void add_gc_families(std::vector<Family>& families, const RuntimeSnapshot& snapshot);

}  // namespace tailrace::metrics
