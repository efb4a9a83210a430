// From Go's names to ours: /a/b-c:unit is exported as go_a_b_c_unit, counters with _total.
#include "metrics/read.h"

#include <string>

#include "metrics/runtime_collector.h"

namespace tailrace::metrics {

std::optional<double> read(std::string_view name) {
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
  if (family == nullptr || family->kind == Kind::kSummary || family->series.size() != 1) {
    return std::nullopt;
  }
  return family->series[0].value;
}

}  // namespace tailrace::metrics
