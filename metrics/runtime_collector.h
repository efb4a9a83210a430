// The runtime as metrics: Go's names with Go's identities where Go has a name (go_*, process_*),
// our own under tailrace_. Names and meanings: gcruntime's numbers, mapped as fiber = goroutine,
// worker = P, thread = M, worker cache = mcache, span record = mspan.
//
// What the snapshot does not know is not exported. Three identities hold in every scrape, whatever
// moved while the levels were read: heap_sys = heap_inuse + heap_idle, sys = the sum of the *_sys
// = the sum of go_memory_classes_*, mallocs - frees = heap_objects.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "metrics/family.h"
#include "metrics/instruments.h"
#include "metrics/runtime_snapshot.h"

namespace tailrace::metrics {

struct RuntimeCollectorOptions {
  bool go_metrics = true;  // false: no go_* at all
};

// TAILRACE_GO_METRICS=0 drops all go_*.
RuntimeCollectorOptions runtime_collector_options_from_environment();

// A pure function.
std::vector<Family> gather(const RuntimeSnapshot& snapshot,
                           const RuntimeCollectorOptions& options = {});

// Gathers at each scrape of the registry. The scheduler must outlive this, this must not outlive
// the registry.
class RuntimeCollector final {
 public:
  RuntimeCollector(
      Registry& registry, const fiber::Scheduler* scheduler,
      const RuntimeCollectorOptions& options = runtime_collector_options_from_environment());

 private:
  Registration registration_;
};

}  // namespace tailrace::metrics
