// From Go's names to ours: /a/b-c:unit is exported as go_a_b_c_unit, counters with _total.
#include "metrics/read.h"

#include <algorithm>
#include <initializer_list>
#include <string>

#include "metrics/runtime_collector.h"

namespace tailrace::metrics {

namespace {

// The family's one series, if it is of one of these kinds.
std::optional<Series> read_series(std::string_view name, std::initializer_list<Kind> kinds) {
  if (!name.starts_with('/') || name.find(':') == name.npos) {
    return std::nullopt;
  }
  std::string exported = "go";
  for (const char c : name) {
    const bool kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    exported += kept ? c : '_';
  }
  const std::vector<Family> families = gather(take_snapshot(fiber::Scheduler::current()));
  const Family* family = find_family(families, exported);
  if (family == nullptr) {
    family = find_family(families, exported + "_total");
  }
  if (family == nullptr || family->series.size() != 1 ||
      std::find(kinds.begin(), kinds.end(), family->kind) == kinds.end()) {
    return std::nullopt;
  }
  return family->series[0];
}

}  // namespace

std::optional<double> read(std::string_view name) {
  const std::optional<Series> series = read_series(name, {Kind::kCounter, Kind::kGauge});
  return series ? std::optional(series->value) : std::nullopt;
}

std::optional<Series> read_histogram(std::string_view name) {
  return read_series(name, {Kind::kHistogram});
}

}  // namespace tailrace::metrics
