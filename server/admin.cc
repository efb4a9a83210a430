// See admin.h.
#include "server/admin.h"

#include <boost/describe.hpp>
#include <optional>
#include <utility>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/memory_limit.h"
#include "gcruntime/gc/memory_wait.h"
#include "server/arenas_page.h"
#include "server/ascii.h"
#include "server/json_body.h"
#include "server/request.h"

namespace tailrace::http {
namespace {

// gc::MemStats without the ring of pauses, under the names that the API has.
struct MemStatsView {
  std::uint64_t total_alloc, mallocs, frees, heap_alloc, heap_objects, heap_sys, heap_inuse,
      heap_idle, heap_released, stack_inuse, stack_sys, mspan_inuse, mspan_sys, mcache_inuse,
      mcache_sys, gc_sys, other_sys, sys, next_gc, heap_live, num_gc, num_forced_gc;
  std::int64_t last_gc_unix_ns;
  std::uint64_t pause_total_ns;
  double gc_cpu_fraction;
  std::uint64_t gc_cpu_ns;
  std::int64_t gc_percent;
  std::optional<std::uint64_t> memory_limit;  // null: off
};
BOOST_DESCRIBE_STRUCT(MemStatsView, (),
                      (total_alloc, mallocs, frees, heap_alloc, heap_objects, heap_sys, heap_inuse,
                       heap_idle, heap_released, stack_inuse, stack_sys, mspan_inuse, mspan_sys,
                       mcache_inuse, mcache_sys, gc_sys, other_sys, sys, next_gc, heap_live, num_gc,
                       num_forced_gc, last_gc_unix_ns, pause_total_ns, gc_cpu_fraction, gc_cpu_ns,
                       gc_percent, memory_limit))

struct SettingsView {
  std::int64_t gc_percent;                    // -1: off
  std::string gc_percent_from;                // a flag's or variable's name, or who else has set it
  std::optional<std::uint64_t> memory_limit;  // null: off
  std::string memory_limit_from;
};
BOOST_DESCRIBE_STRUCT(SettingsView, (),
                      (gc_percent, gc_percent_from, memory_limit, memory_limit_from))

// A member that is missing stays as it is.
struct SettingsChange {
  std::optional<std::int64_t> gc_percent;    // -1: off
  std::optional<std::int64_t> memory_limit;  // -1: off
};
BOOST_DESCRIBE_STRUCT(SettingsChange, (), (gc_percent, memory_limit))

struct CycleView {
  std::uint64_t num_gc;
  std::uint64_t heap_live;
};
BOOST_DESCRIBE_STRUCT(CycleView, (), (num_gc, heap_live))

std::optional<std::uint64_t> or_null(std::uint64_t limit) {
  return limit == kOff ? std::nullopt : std::optional(limit);
}

MemStatsView view(const gc::MemStats& s) {
  return {s.total_alloc,     s.mallocs,       s.frees,           s.heap_alloc,
          s.heap_objects,    s.heap_sys,      s.heap_inuse,      s.heap_idle,
          s.heap_released,   s.stack_inuse,   s.stack_sys,       s.mspan_inuse,
          s.mspan_sys,       s.mcache_inuse,  s.mcache_sys,      s.gc_sys,
          s.other_sys,       s.sys,           s.next_gc,         s.heap_live,
          s.num_gc,          s.num_forced_gc, s.last_gc_unix_ns, s.pause_total_ns,
          s.gc_cpu_fraction, s.gc_cpu_ns,     s.gc_percent,      or_null(gc::memory_limit())};
}

Response show_settings(const GcSettings& settings) {
  GcSettings::View view = settings.view();
  return json(SettingsView{view.percent, std::move(view.percent_from), or_null(view.memory_limit),
                           std::move(view.memory_limit_from)});
}

Response change_settings(GcSettings& settings, Request& request) {
  const gc::MemoryReserve reserve;  // the way out of a limit that is too tight
  const SettingsChange& change = *request.json<SettingsChange>();
  // Both are checked before one is changed.
  if (change.gc_percent && (*change.gc_percent < -1 || *change.gc_percent > 1'000'000)) {
    throw HttpError(400, "gc_percent: expected -1 (off) to 1000000");
  }
  if (change.memory_limit && (*change.memory_limit < -1 || *change.memory_limit == 0)) {
    throw HttpError(400, "memory_limit: expected a number of bytes, or -1 (off)");
  }
  std::optional<int> percent;
  if (change.gc_percent) percent = static_cast<int>(*change.gc_percent);
  std::optional<std::uint64_t> limit;
  if (change.memory_limit) {
    limit = *change.memory_limit < 0 ? kOff : static_cast<std::uint64_t>(*change.memory_limit);
  }
  if (const auto error = settings.change(percent, limit)) {
    throw HttpError(400, "memory_limit: " + *error);
  }
  return show_settings(settings);
}

constexpr std::string_view kIndex =
    "GET  /debug/memstats     numbers about the managed heap\n"
    "GET  /debug/arenas       what escapes from requests' arenas, by route and by place; "
    "?format=json\n"
    "POST /debug/gc           runs a cycle\n"
    "GET  /debug/gc/settings  gc_percent and memory_limit, and who set them; PUT changes them\n"
    "GET  /metrics            Prometheus\n"
    "GET  /healthz /readyz\n";

// Takes as long for a wrong token as for a right one of the same length.
bool same_secret(std::string_view a, std::string_view b) noexcept {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^
                  static_cast<unsigned char>(b.empty() ? 0 : b[i % b.size()]);
  }
  return difference == 0;
}

}  // namespace

void add_debug_routes(Router& router, GcSettings& settings) {
  const RouteOptions options{.arena = false, .max_body_bytes = 4096};
  const auto index = [](Request&) { return Response::text(200, kIndex); };
  router.add(Method::kGet, "/debug", index, options);
  router.add(Method::kGet, "/debug/", index, options);
  router.add(
      Method::kGet, "/debug/memstats", [](Request&) { return json(view(gc::read_mem_stats())); },
      options);
  router.add(Method::kGet, "/debug/arenas", show_arenas, options);
  router.add(
      Method::kPost, "/debug/gc",
      [](Request&) {
        gc::collect();
        const gc::MemStats stats = gc::read_mem_stats();
        return json(CycleView{stats.num_gc, stats.heap_live});
      },
      options);
  router.add(
      Method::kGet, "/debug/gc/settings", [&settings](Request&) { return show_settings(settings); },
      options);
  router.add(
      Method::kPut, "/debug/gc/settings",
      [&settings](Request& request) { return change_settings(settings, request); }, options);
}

Service::Guard make_debug_guard(std::string token, std::vector<Cidr> allowed) {
  return [token = std::move(token),
          allowed = std::move(allowed)](const Request& request) -> std::optional<Response> {
    const std::string_view path = request.path();
    // Everything but the three harmless ones, so that an escaped spelling of /debug gains nothing.
    if (path == "/metrics" || path == "/healthz" || path == "/readyz") return std::nullopt;
    constexpr std::string_view kScheme = "Bearer ";
    const std::string_view offered = request.header("Authorization");
    if (!token.empty() && equal_ignoring_case(offered.substr(0, kScheme.size()), kScheme) &&
        same_secret(offered.substr(kScheme.size()), token)) {
      return std::nullopt;
    }
    if (const std::optional<AddressBytes> peer = peer_address(request.peer_socket())) {
      for (const Cidr& block : allowed) {
        if (block.contains(*peer)) return std::nullopt;
      }
    }
    if (token.empty()) return error(403, "this address may not use /debug; see --admin-allow");
    return error(401, "/debug needs the bearer token of TAILRACE_ADMIN_TOKEN")
        .header("WWW-Authenticate", "Bearer realm=\"tailrace\"");
  };
}

}  // namespace tailrace::http
