// The families of request arenas: how many there are and were, what lies in their blocks, and what they could
// not keep to themselves, by route. A pure function of what gcruntime tells.
#pragma once

#include <vector>

#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/escape_report.h"
#include "metrics/family.h"

namespace tailrace::metrics {

// tailrace_arena_*. What tailrace_http_request_alloc_bytes_total{kind="arena"} counts when a reply is written is
// in `by_label` when its arena has ended; arenas of tasks outside HTTP are there too, by their labels.
void add_arena_families(std::vector<Family>& families, const gc::ArenaStats& stats,
                        const std::vector<gc::LabelEscapes>& by_label);

}  // namespace tailrace::metrics
