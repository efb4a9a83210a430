#include "metrics/capacity.h"

#include <algorithm>
#include <limits>

namespace tailrace::metrics {
namespace {

const RouteLoad& load_of(const LoadSample& sample, std::string_view route) {
  static const RouteLoad none;
  for (const RouteLoad& each : sample.routes) {
    if (each.route == route) {
      return each;
    }
  }
  return none;
}

std::uint64_t requests(const LoadSample& sample) {
  std::uint64_t sum = 0;
  for (const RouteLoad& each : sample.routes) {
    sum += each.requests;
  }
  return sum;
}

std::uint64_t heap_bytes(const LoadSample& sample) {
  std::uint64_t sum = 0;
  for (const RouteLoad& each : sample.routes) {
    sum += each.heap_bytes;
  }
  return sum;
}

}  // namespace

// A route's part of the sustainable rate is its share of all allocation, and one request takes its mean
// bytes: rate * (bytes / all bytes) / (bytes / requests) = requests * rate / all bytes. Likewise the
// processors: no more is known of CPU time than the whole.
Ceilings predicted_ceilings(const LoadSample& before, const LoadSample& now) {
  Ceilings ceilings;
  const Capacity& capacity = now.capacity;
  if (!(capacity.sustainable_bytes_per_second > 0)) {
    return ceilings;
  }
  constexpr double kNone = std::numeric_limits<double>::infinity();
  // Levels are read one after the other: the routes' share is at most all.
  const std::uint64_t allocated =
      std::max(capacity.allocated_bytes - before.capacity.allocated_bytes,
               heap_bytes(now) - heap_bytes(before));
  const double by_collector =
      allocated == 0 ? kNone
                     : capacity.sustainable_bytes_per_second / static_cast<double>(allocated);
  double by_processors = kNone;
  if (capacity.cpu_seconds && before.capacity.cpu_seconds) {
    const double used = *capacity.cpu_seconds - *before.capacity.cpu_seconds;
    if (used > 0) {
      by_processors = capacity.procs / used;
    }
  }
  const double times = std::min(by_collector, by_processors);
  if (times == kNone) {
    return ceilings;
  }
  for (const RouteLoad& each : now.routes) {
    const std::uint64_t count = each.requests - load_of(before, each.route).requests;
    if (count != 0) {
      ceilings[each.route] = static_cast<double>(count) * times;
    }
  }
  return ceilings;
}

const Ceilings& CapacityWindow::note(LoadSample now) {
  if (requests(now) == requests(base_)) {
    base_ = next_ = std::move(now);
    return last_;
  }
  for (const auto& [route, ceiling] : predicted_ceilings(base_, now)) {
    last_[route] = ceiling;
  }
  if (now.capacity.at_ns - next_.capacity.at_ns >= kHalfNs) {
    base_ = std::exchange(next_, std::move(now));
  }
  return last_;
}

}  // namespace tailrace::metrics
