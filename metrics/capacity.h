// How many requests a second the service can answer: from what requests cost, by route, and what the
// collector and the processors can give. Pure functions of what they are told.
//
// At the ceiling the mix of routes is that of the last minute, so the routes' ceilings add up to the
// service's. Of two limits the lower one counts: the rate of allocation at which marking still keeps
// up (tailrace_gc_sustainable_alloc_bytes_per_second), and all processors busy. What requests take
// from their arenas burdens no collector and is left out.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tailrace::metrics {

// What there is to spend, and the sums since the start of what has been spent.
struct Capacity {
  double sustainable_bytes_per_second = 0;  // 0: not known yet; infinite: no limit
  unsigned procs = 1;
  std::uint64_t allocated_bytes = 0;  // on the heap, by whomever
  std::optional<double> cpu_seconds;  // of the process
  std::int64_t at_ns = 0;             // monotonic
};

// Sums since the start.
struct RouteLoad {
  std::string route;
  std::uint64_t requests = 0;
  std::uint64_t heap_bytes = 0;  // heap and large
};

struct LoadSample {
  Capacity capacity;
  std::vector<RouteLoad> routes;
};

// Requests a second.
using Ceilings = std::map<std::string, double, std::less<>>;

// For the routes that had requests between the two samples. None if it is not known what the
// collector can give.
Ceilings predicted_ceilings(const LoadSample& before, const LoadSample& now);

// Samples come at scrapes; the figures are those of the last 30 to 60 seconds with requests. A route
// without any keeps its last. One thread at a time.
class CapacityWindow {
 public:
  static constexpr std::int64_t kHalfNs = std::int64_t{30} * 1'000'000'000;

  // Begins when the service does: what start-up cost is not requests'.
  explicit CapacityWindow(const Capacity& begin) : base_{begin, {}}, next_(base_) {}

  const Ceilings& note(LoadSample now);

 private:
  LoadSample base_;
  LoadSample next_;
  Ceilings last_;
};

}  // namespace tailrace::metrics
