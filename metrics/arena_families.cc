// Naming the arenas' numbers.
#include "metrics/arena_families.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "metrics/names.h"

namespace tailrace::metrics {
namespace {

Family by_route(const char* name, const char* help,
                const std::map<std::string, gc::LabelEscapes>& routes,
                std::uint64_t gc::LabelEscapes::*value) {
  Family family{name, help, Kind::kCounter, {}};
  for (const auto& [route, sums] : routes) {
    add(family, {{"route", route}}, sums.*value);
  }
  return family;
}

Family bytes_family(const gc::ArenaStats& stats) {
  Family family{
      "tailrace_arena_bytes",
      "Memory of arenas' blocks: used, or retained for those to come (blocks that threads "
      "keep, and the room between faded objects).",
      Kind::kGauge,
      {}};
  // Levels that were read one by one.
  const std::uint64_t retained = std::min(stats.kept_bytes + stats.hole_bytes, stats.block_bytes);
  add(family, {{"state", "used"}}, stats.block_bytes - retained);
  add(family, {{"state", "retained"}}, retained);
  return family;
}

}  // namespace

void add_arena_families(std::vector<Family>& families, const gc::ArenaStats& stats,
                        const std::vector<gc::LabelEscapes>& by_label) {
  families.push_back(single("tailrace_arena_open", "Arenas open now.", Kind::kGauge, stats.open));
  families.push_back(single("tailrace_arena_resets_total", "Arenas that ended.", Kind::kCounter,
                            stats.opened - std::min(stats.open, stats.opened)));
  families.push_back(single("tailrace_arena_overflows_total",
                            "Objects made on the heap because their arena was at its cap.",
                            Kind::kCounter, stats.spilled_objects));
  families.push_back(
      single("tailrace_arena_faded_whole_total",
             "Arenas that became the collector's as a whole: something of theirs was captured by "
             "reference, or they outlived a cycle.",
             Kind::kCounter, stats.faded_whole));
  families.push_back(bytes_family(stats));

  // Labels that are one after cleaning are one series.
  std::map<std::string, gc::LabelEscapes> routes;
  for (const gc::LabelEscapes& each : by_label) {
    gc::LabelEscapes& sums = routes[clean_label_value(each.label)];
    sums.bytes += each.bytes;
    sums.faded_bytes += each.faded_bytes;
    sums.faded_objects += each.faded_objects;
  }
  if (routes.empty()) {
    return;
  }
  families.push_back(by_route("tailrace_arena_allocated_bytes_total",
                              "Bytes allocated in arenas that ended, by route.", routes,
                              &gc::LabelEscapes::bytes));
  families.push_back(by_route("tailrace_arena_escapes_total",
                              "Objects that escaped from their arena, with what they reach: they "
                              "became the collector's.",
                              routes, &gc::LabelEscapes::faded_objects));
  families.push_back(by_route(
      "tailrace_arena_escape_bytes_total",
      "Bytes of what escaped; over tailrace_arena_allocated_bytes_total the route's share.", routes,
      &gc::LabelEscapes::faded_bytes));
}

}  // namespace tailrace::metrics
