// Reading one number of the runtime by the name that Go's runtime/metrics gives it, for tests and
// tools of the user.
#pragma once

#include <optional>
#include <string_view>

#include "metrics/family.h"

namespace tailrace::metrics {

// "/gc/cycles/automatic:gc-cycles", "/memory/classes/total:bytes", "/sched/goroutines:goroutines":
// whatever of Go's set the runtime collector exports as go_*. Nothing for other names. Scheduler
// numbers are those of the calling worker's scheduler, zero on other threads. Any thread; reads
// everything to tell one number, so not for hot paths.
std::optional<double> read(std::string_view name);

// The same for Go's histograms: "/sched/latencies:seconds". Buckets as in a scrape.
std::optional<Series> read_histogram(std::string_view name);

}  // namespace tailrace::metrics
