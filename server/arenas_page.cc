// See arenas_page.h.
#include "server/arenas_page.h"

#include <boost/describe.hpp>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/escape_report.h"
#include "gcruntime/sync/blocking_pool.h"
#include "server/json_body.h"

namespace tailrace::http {
namespace {

struct LabelView {
  std::string label;
  std::uint64_t arenas, bytes, objects, faded_bytes, faded_objects;
  double share;
};
BOOST_DESCRIBE_STRUCT(LabelView, (),
                      (label, arenas, bytes, objects, faded_bytes, faded_objects, share))

struct SiteView {
  std::string label, type, place;
  std::uint64_t stores, bytes, objects;
  double share;
};
BOOST_DESCRIBE_STRUCT(SiteView, (), (label, type, place, stores, bytes, objects, share))

struct ArenasView {
  std::uint64_t opened, open, bytes, objects, faded_bytes, faded_objects, faded_whole,
      spilled_objects, destroyed_objects, block_bytes, hole_bytes, kept_bytes;
  std::vector<LabelView> labels;
  std::vector<SiteView> sites;
};
BOOST_DESCRIBE_STRUCT(ArenasView, (),
                      (opened, open, bytes, objects, faded_bytes, faded_objects, faded_whole,
                       spilled_objects, destroyed_objects, block_bytes, hole_bytes, kept_bytes,
                       labels, sites))

Response as_json(const gc::ArenaStats& s, gc::EscapeReport report) {
  ArenasView view{s.opened,
                  s.open,
                  s.bytes,
                  s.objects,
                  s.faded_bytes,
                  s.faded_objects,
                  s.faded_whole,
                  s.spilled_objects,
                  s.destroyed_objects,
                  s.block_bytes,
                  s.hole_bytes,
                  s.kept_bytes,
                  {},
                  {}};
  for (gc::LabelEscapes& row : report.labels) {
    const double share = row.share();
    view.labels.push_back({std::move(row.label), row.arenas, row.bytes, row.objects,
                           row.faded_bytes, row.faded_objects, share});
  }
  for (gc::SiteEscapes& row : report.sites) {
    view.sites.push_back({std::move(row.label), std::move(row.type), std::move(row.place),
                          row.stores, row.bytes, row.objects, row.share});
  }
  return json(view);
}

std::string summary(const gc::ArenaStats& s) {
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  char text[512];
  std::snprintf(text, sizeof text,
                "%llu arenas opened, %llu open; %llu bytes in %llu objects allocated in those that "
                "ended\n"
                "faded: %llu bytes in %llu objects; %llu arenas as a whole\n"
                "beyond the cap: %llu objects; destroyed at an arena's end: %llu\n"
                "blocks: %llu bytes; of them %llu free between faded objects, and %llu kept for "
                "arenas to come\n\n",
                number(s.opened), number(s.open), number(s.bytes), number(s.objects),
                number(s.faded_bytes), number(s.faded_objects), number(s.faded_whole),
                number(s.spilled_objects), number(s.destroyed_objects), number(s.block_bytes),
                number(s.hole_bytes), number(s.kept_bytes));
  return text;
}

}  // namespace

Response show_arenas(Request& request) {
  const auto format = request.query<std::string_view>("format");
  if (format && *format != "json" && *format != "text") {
    throw BadRequest("format must be text or json");
  }
  const gc::ArenaStats stats = gc::read_arena_stats();
  // The first look at the program's symbols reads its file: no work for a worker.
  gc::EscapeReport report = fiber::blocking([] { return gc::escape_report(); });
  if (format == "json") return as_json(stats, std::move(report));
  return Response::text(200, summary(stats) + gc::format_escape_report(report));
}

}  // namespace tailrace::http
