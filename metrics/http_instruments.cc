// Making the blocks of a route, and adding them up at a scrape.
#include "metrics/http_instruments.h"

#include <new>

#include "metrics/runtime_snapshot.h"

namespace tailrace::metrics {
namespace {

// The families of the bundle, by position.
enum : std::size_t {
  kTotal,
  kDuration,
  kRequestSize,
  kResponseSize,
  kAllocBytes,
  kAllocObjects,
  kAllocTotal,
  kAssist,
  kArenaRequests,
  kFamilies
};
// The order of a route's series in kAllocTotal.
enum : std::size_t { kArenaKind, kHeapKind, kLargeKind, kMallocKind, kAllocKinds };

std::vector<Family> http_families() {
  std::vector<Family> families(kFamilies);
  families[kTotal] = {"http_requests_total",
                      "Requests answered, by route, method and status code.",
                      Kind::kCounter,
                      {}};
  families[kDuration] = {"http_request_duration_seconds",
                         "Time from the request's head to its written reply.",
                         Kind::kHistogram,
                         {}};
  families[kRequestSize] = {
      "http_request_size_bytes", "Size of request bodies.", Kind::kHistogram, {}};
  families[kResponseSize] = {
      "http_response_size_bytes", "Size of response bodies.", Kind::kHistogram, {}};
  families[kAllocBytes] = {"tailrace_http_request_alloc_bytes",
                           "Managed memory allocated for one request: arena, heap and large.",
                           Kind::kHistogram,
                           {}};
  families[kAllocObjects] = {"tailrace_http_request_alloc_objects",
                             "Managed objects allocated for one request.",
                             Kind::kHistogram,
                             {}};
  families[kAllocTotal] = {"tailrace_http_request_alloc_bytes_total",
                           "Memory allocated for requests, by where it came from.",
                           Kind::kCounter,
                           {}};
  families[kAssist] = {
      "tailrace_http_request_gc_assist_seconds_total",
      "Marking that requests were asked for because they allocated during a cycle.",
      Kind::kCounter,
      {}};
  families[kArenaRequests] = {"tailrace_arena_request_bytes",
                              "Bytes in its arena of each request that made something there.",
                              Kind::kHistogram,
                              {}};
  return families;
}

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool equal_lower(std::string_view text, std::string_view lower_text) {
  if (text.size() != lower_text.size()) {
    return false;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (lower(text[i]) != lower_text[i]) {
      return false;
    }
  }
  return true;
}

void add_all(std::span<std::uint64_t> into, std::span<const std::uint64_t> from) {
  for (std::size_t i = 0; i < into.size(); ++i) {
    into[i] += from[i];
  }
}

bool any(std::span<const std::uint64_t> words) {
  for (const std::uint64_t word : words) {
    if (word != 0) {
      return true;
    }
  }
  return false;
}

// What the routes' series say, in which they stand in one order.
std::vector<RouteLoad> route_loads(std::span<const Family> families) {
  const auto whole = [](double value) { return static_cast<std::uint64_t>(value); };
  std::vector<RouteLoad> loads;
  const std::vector<Series>& requests = families[kAllocBytes].series;
  const std::vector<Series>& bytes = families[kAllocTotal].series;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    loads.push_back({requests[i].labels[0].value, requests[i].count,
                     whole(bytes[i * kAllocKinds + kHeapKind].value) +
                         whole(bytes[i * kAllocKinds + kLargeKind].value)});
  }
  return loads;
}

Family ceiling_family(const Ceilings& ceilings) {
  Family family{
      "tailrace_http_predicted_ceiling_requests_per_second",
      "Requests a second that the service can answer with the routes' present mix: the "
      "smaller of what the collector sustains (sustainable bytes a second * the route's "
      "share of all allocation / its mean heap bytes a request) and what the processors "
      "allow (processors / CPU seconds a request * the route's share of requests). Absent "
      "before the first cycle; a route without requests keeps its last value.",
      Kind::kGauge,
      {}};
  for (const auto& [route, ceiling] : ceilings) {
    add(family, {{"route", route}}, ceiling);
  }
  return family;
}

}  // namespace

unsigned method_index(std::string_view method) noexcept {
  for (unsigned i = 0; i < kUnknownMethod; ++i) {
    if (equal_lower(method, kMethods[i])) {
      return i;
    }
  }
  return kUnknownMethod;
}

RouteInstruments::RouteInstruments(std::string route, Counter& dropped)
    : route_(std::move(route)), dropped_(dropped) {}

RouteInstruments::~RouteInstruments() = default;

ShardedWords& RouteInstruments::make_child(unsigned method, unsigned slot) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    // Relaxed loads: only this function stores, under the mutex.
    ByStatus* table = methods_[method].load(std::memory_order_relaxed);
    if (table != nullptr) {
      if (Child* const known = (*table)[slot].load(std::memory_order_relaxed)) {
        return known->cells;  // another thread was first
      }
    }
    if (children_.size() >= kMaxChildren) {
      dropped_.add();
      return other_.cells;
    }
    if (table == nullptr) {
      tables_.push_back(std::make_unique<ByStatus>());
      table = tables_.back().get();
      methods_[method].store(table, std::memory_order_release);  // pairs with child()
    }
    children_.push_back(std::make_unique<Child>(method, std::to_string(kFirstStatus + slot)));
    Child* const fresh = children_.back().get();
    (*table)[slot].store(fresh, std::memory_order_release);  // pairs with child()
    return fresh->cells;
  } catch (const std::bad_alloc&) {
    return other_.cells;  // counted, if less precisely; the next request tries again
  }
}

void RouteInstruments::observe_common(Word* cells, const RequestFacts& facts) noexcept {
  record(facts, [cells](unsigned word, std::uint64_t n) {
    cells[word].fetch_add(n, std::memory_order_relaxed);  // counts order nothing
  });
}

void RouteInstruments::collect_allocation(std::span<Family> families,
                                          std::span<const std::uint64_t, kWords> of_route) const {
  // These are there from the start, at zero, so that the first request is already an increase.
  families[kAllocBytes].series.push_back(
      histogram_series({{"route", route_}}, kAllocBoundsBytes, Unit::kBytes,
                       of_route.subspan(kBytes, kAllocBoundsBytes.buckets()),
                       of_route[kArena] + of_route[kHeap] + of_route[kLarge]));
  families[kAllocObjects].series.push_back(histogram_series(
      {{"route", route_}}, kAllocBoundsObjects, Unit::kNone,
      of_route.subspan(kObjects, kAllocBoundsObjects.buckets()), of_route[kObjectsSum]));
  const std::pair<const char*, std::uint64_t> kinds[] = {
      {"arena", of_route[kArena] + late_arena_.value()},
      {"heap", of_route[kHeap] + late_heap_.value()},
      {"large", of_route[kLarge] + late_large_.value()},
      {"malloc", of_route[kMalloc] + late_malloc_.value()}};
  for (const auto& [kind, bytes] : kinds) {
    add(families[kAllocTotal], {{"route", route_}, {"kind", kind}}, bytes);
  }
  add(families[kAssist], {{"route", route_}}, static_cast<double>(assist_ns_.value()) / 1e9);
}

std::uint64_t RouteInstruments::collect(std::span<Family> families,
                                        std::span<std::uint64_t> arena_requests) const {
  using Words = std::array<std::uint64_t, kWords>;
  const auto part = [](const Words& words, unsigned first, const BucketBounds& bounds) {
    return std::span(words).subspan(first, bounds.buckets());
  };
  Words of_route{};
  std::array<Words, kMethods.size()> of_methods{};
  const auto add_child = [&](const Child& child) {
    Words words{};
    child.cells.sum(words);
    const auto durations = part(words, kDurations, kDurationBoundsNs);
    if (!any(durations)) {
      return;
    }
    const std::vector<Label> labels = {
        {"route", route_}, {"method", std::string(kMethods[child.method])}, {"code", child.code}};
    families[kDuration].series.push_back(histogram_series(
        labels, kDurationBoundsNs, Unit::kNanoseconds, durations, words[kDurationSum]));
    add(families[kTotal], labels, families[kDuration].series.back().count);
    add_all(of_methods[child.method], words);
    add_all(of_route, words);
  };
  {
    const std::lock_guard lock(mutex_);
    for (const auto& child : children_) {
      add_child(*child);
    }
  }
  add_child(other_);

  for (unsigned method = 0; method < kMethods.size(); ++method) {
    const Words& words = of_methods[method];
    if (!any(words)) {
      continue;
    }
    const std::vector<Label> labels = {{"route", route_},
                                       {"method", std::string(kMethods[method])}};
    families[kRequestSize].series.push_back(
        histogram_series(labels, kBodyBoundsBytes, Unit::kBytes,
                         part(words, kRequests, kBodyBoundsBytes), words[kRequestSum]));
    families[kResponseSize].series.push_back(
        histogram_series(labels, kBodyBoundsBytes, Unit::kBytes,
                         part(words, kResponses, kBodyBoundsBytes), words[kResponseSum]));
  }

  collect_allocation(families, of_route);
  add_all(arena_requests, part(of_route, kArenaBytes, kAllocBoundsBytes));
  return of_route[kArena];
}

HttpInstruments::HttpInstruments(Registry& registry)
    : dropped_(registry.dropped_children("http_requests_total")),
      in_flight_(registry.gauge(
          {.name = "http_requests_in_flight", .help = "Requests being handled now."})),
      capacity_(take_capacity()),
      registration_(registry.source([this](std::vector<Family>& families) { collect(families); })) {
}

RouteInstruments& HttpInstruments::route(std::string_view pattern) {
  std::string name = clean_label_value(pattern);
  const std::lock_guard lock(mutex_);
  auto found = routes_.find(name);
  if (found == routes_.end() && routes_.size() >= kMaxRoutes) {
    dropped_.add();
    name = kOther;
    found = routes_.find(name);
  }
  if (found == routes_.end()) {
    found = routes_.emplace(name, std::make_unique<RouteInstruments>(name, dropped_)).first;
  }
  return *found->second;
}

void HttpInstruments::collect(std::vector<Family>& families) {
  std::vector<Family> ours = http_families();
  std::array<std::uint64_t, kAllocBoundsBytes.buckets()> arena_requests{};
  std::uint64_t arena_bytes = 0;
  // Not under the lock: it may wait for the collector, and with it for whoever waits for the lock.
  const Capacity capacity = take_capacity();
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [pattern, route] : routes_) {
      arena_bytes += route->collect(ours, arena_requests);
    }
    ours[kArenaRequests].series.push_back(
        histogram_series({}, kAllocBoundsBytes, Unit::kBytes, arena_requests, arena_bytes));
    const Ceilings& ceilings = capacity_.note({capacity, route_loads(ours)});
    if (!ceilings.empty()) {
      ours.push_back(ceiling_family(ceilings));
    }
  }
  families.insert(families.end(), std::make_move_iterator(ours.begin()),
                  std::make_move_iterator(ours.end()));
}

}  // namespace tailrace::metrics
