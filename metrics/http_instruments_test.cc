// The standard bundle of a route: what one request adds, and what a scrape makes of it.
#include "metrics/http_instruments.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "metrics/test_families.h"

namespace tailrace::metrics {
namespace {

using Labels = std::vector<Label>;

std::uint64_t at_or_below(const Series& series, double bound) {
  for (const auto& [upper, count] : series.buckets) {
    if (upper == bound) {
      return count;
    }
  }
  ADD_FAILURE() << "no bucket bound " << bound;
  return 0;
}

TEST(HttpInstruments, MethodsAreKnownInAnyCase) {
  EXPECT_EQ(kMethods[method_index("GET")], "get");
  EXPECT_EQ(kMethods[method_index("Patch")], "patch");
  EXPECT_EQ(kMethods[method_index("delete")], "delete");
  EXPECT_EQ(kMethods[method_index("PROPFIND")], "unknown");
  EXPECT_EQ(kMethods[method_index("")], "unknown");
  EXPECT_EQ(kMethods[method_index("unknown")], "unknown");
}

TEST(HttpInstruments, OneRequestIsOneObservationEverywhere) {
  Registry registry;
  HttpInstruments http(registry);
  RouteInstruments& route = http.route("/api/users/{id}");
  route.observe({.method = method_index("GET"),
                 .status = 200,
                 .duration_ns = 250'000,
                 .request_bytes = 0,
                 .response_bytes = 300,
                 .arena_bytes = 11'000,
                 .heap_bytes = 200,
                 .large_bytes = 40'000,
                 .alloc_objects = 12,
                 .malloc_bytes = 77,
                 .assist_ns = 1'500'000});
  const std::vector<Family> families = registry.gather();
  const Label on_route{"route", "/api/users/{id}"};
  const Labels three = {on_route, {"method", "get"}, {"code", "200"}};
  const Labels two = {on_route, {"method", "get"}};

  EXPECT_EQ(series_of(families, "http_requests_total", three)->value, 1);
  const Series& duration = *series_of(families, "http_request_duration_seconds", three);
  EXPECT_EQ(duration.count, 1u);
  EXPECT_EQ(duration.sum, 0.00025);
  EXPECT_EQ(at_or_below(duration, 0.0001), 0u);
  EXPECT_EQ(at_or_below(duration, 0.00025), 1u);
  EXPECT_EQ(at_or_below(duration, 10), 1u);
  EXPECT_EQ(duration.buckets.size(), 17u);

  EXPECT_EQ(series_of(families, "http_request_size_bytes", two)->sum, 0);
  EXPECT_EQ(series_of(families, "http_request_size_bytes", two)->count, 1u);
  EXPECT_EQ(series_of(families, "http_response_size_bytes", two)->sum, 300);

  const Series& bytes = *series_of(families, "tailrace_http_request_alloc_bytes", {on_route});
  EXPECT_EQ(bytes.sum, 51'200);
  EXPECT_EQ(at_or_below(bytes, 32'768), 0u);
  EXPECT_EQ(at_or_below(bytes, 51'200), 1u);
  EXPECT_EQ(at_or_below(bytes, 204'800), 1u);
  const Series& objects = *series_of(families, "tailrace_http_request_alloc_objects", {on_route});
  EXPECT_EQ(objects.sum, 12);
  EXPECT_EQ(at_or_below(objects, 10), 0u);
  EXPECT_EQ(at_or_below(objects, 20), 1u);

  const auto kind = [&](const char* name) {
    return series_of(families, "tailrace_http_request_alloc_bytes_total",
                     {on_route, {"kind", name}})
        ->value;
  };
  EXPECT_EQ(kind("arena"), 11'000);
  EXPECT_EQ(kind("heap"), 200);
  EXPECT_EQ(kind("large"), 40'000);
  EXPECT_EQ(kind("malloc"), 77);
  EXPECT_EQ(series_of(families, "tailrace_http_request_gc_assist_seconds_total", {on_route})->value,
            0.0015);
}

TEST(HttpInstruments, CodesAndMethodsAreApartAndAddUpByRoute) {
  Registry registry;
  HttpInstruments http(registry);
  RouteInstruments& route = http.route("/r");
  const unsigned get = method_index("GET");
  const unsigned post = method_index("POST");
  for (int i = 0; i < 3; ++i) route.observe({.method = get, .status = 200, .arena_bytes = 100});
  for (int i = 0; i < 2; ++i) route.observe({.method = get, .status = 404, .arena_bytes = 10});
  route.observe({.method = post, .status = 201, .request_bytes = 9, .arena_bytes = 1});
  const std::vector<Family> families = registry.gather();
  const auto total = [&](const char* method, const char* code) {
    return series_of(families, "http_requests_total",
                     {{"route", "/r"}, {"method", method}, {"code", code}})
        ->value;
  };
  EXPECT_EQ(total("get", "200"), 3);
  EXPECT_EQ(total("get", "404"), 2);
  EXPECT_EQ(total("post", "201"), 1);
  EXPECT_EQ(find_family(families, "http_requests_total")->series.size(), 3u);
  const auto sizes = [&](const char* method) {
    return series_of(families, "http_request_size_bytes", {{"route", "/r"}, {"method", method}});
  };
  EXPECT_EQ(sizes("get")->count, 5u);
  EXPECT_EQ(sizes("post")->sum, 9);
  EXPECT_EQ(series_of(families, "tailrace_http_request_alloc_bytes", {{"route", "/r"}})->count, 6u);
  EXPECT_EQ(series_of(families, "tailrace_http_request_alloc_bytes", {{"route", "/r"}})->sum, 321);
}

TEST(HttpInstruments, AllocationFamiliesAreThereBeforeTheFirstRequest) {
  Registry registry;
  HttpInstruments http(registry);
  http.route("/r");
  const std::vector<Family> families = registry.gather();
  EXPECT_EQ(series_of(families, "tailrace_http_request_alloc_bytes", {{"route", "/r"}})->count, 0u);
  EXPECT_EQ(find_family(families, "http_request_duration_seconds"), nullptr);
  EXPECT_EQ(find_family(families, "http_requests_in_flight")->series[0].value, 0);
}

TEST(HttpInstruments, ArenasOfAllRoutesAreOneHistogram) {
  Registry registry;
  HttpInstruments http(registry);
  http.route("/a").observe({.method = 0, .status = 200, .arena_bytes = 200});
  http.route("/a").observe({.method = 0, .status = 404, .heap_bytes = 9});  // none used
  http.route("/b").observe({.method = 1, .status = 200, .arena_bytes = 60'000});
  const std::vector<Family> families = registry.gather();
  const Series& arenas = *series_of(families, "tailrace_arena_request_bytes", {});
  EXPECT_EQ(arenas.count, 2u);
  EXPECT_EQ(arenas.sum, 60'200);
  EXPECT_EQ(at_or_below(arenas, 256), 1u);
  EXPECT_EQ(at_or_below(arenas, 51'200), 1u);
  EXPECT_EQ(at_or_below(arenas, 102'400), 2u);
}

TEST(HttpInstruments, LateAllocationGoesToTheTotalsOnly) {
  Registry registry;
  HttpInstruments http(registry);
  RouteInstruments& route = http.route("/r");
  route.observe({.method = 0, .status = 200, .arena_bytes = 6, .heap_bytes = 4});
  route.add_late({.bytes = 100,
                  .objects = 1,
                  .large_bytes = 200,
                  .assist_ns = 2'000'000'000,
                  .arena_bytes = 50,
                  .malloc_bytes = 300},
                 current_shard());
  const std::vector<Family> families = registry.gather();
  EXPECT_EQ(series_of(families, "tailrace_http_request_alloc_bytes", {{"route", "/r"}})->sum, 10);
  const auto kind = [&](const char* name) {
    return series_of(families, "tailrace_http_request_alloc_bytes_total",
                     {{"route", "/r"}, {"kind", name}})
        ->value;
  };
  EXPECT_EQ(kind("arena"), 56);
  EXPECT_EQ(series_of(families, "tailrace_http_request_gc_assist_seconds_total", {{"route", "/r"}})
                ->value,
            2);
  EXPECT_EQ(kind("heap"), 104);
  EXPECT_EQ(kind("large"), 200);
  EXPECT_EQ(kind("malloc"), 300);
}

TEST(HttpInstruments, CodesOutsideTheRangeAndBeyondTheCapAreOther) {
  Registry registry;
  HttpInstruments http(registry);
  RouteInstruments& route = http.route("/r");
  for (const unsigned status : {0u, 99u, 600u, ~0u}) {
    route.observe({.method = 0, .status = status});
  }
  route.observe({.method = 1000, .status = 200});
  for (unsigned status = 100; status < 300; ++status) {
    route.observe({.method = 0, .status = status});
  }
  const std::vector<Family> families = registry.gather();
  EXPECT_EQ(find_family(families, "http_requests_total")->series.size(),
            RouteInstruments::kMaxChildren + 1);
  EXPECT_EQ(series_of(families, "http_requests_total",
                      {{"route", "/r"}, {"method", "unknown"}, {"code", "(other)"}})
                ->value,
            5 + 200 - 64);
  EXPECT_EQ(registry.dropped_children("http_requests_total").value(), 200u - 64u);
}

TEST(HttpInstruments, RoutesBeyondTheCapShareOne) {
  Registry registry;
  HttpInstruments http(registry);
  for (std::size_t i = 0; i < HttpInstruments::kMaxRoutes; ++i) {
    http.route("/r" + std::to_string(i));
  }
  RouteInstruments& beyond = http.route("/one-more");
  EXPECT_EQ(beyond.route(), "(other)");
  EXPECT_EQ(&beyond, &http.route("/and-another"));
  EXPECT_EQ(&http.route("/r7"), &http.route("/r7"));
  EXPECT_EQ(http.route("/r7").route(), "/r7");
  EXPECT_EQ(registry.dropped_children("http_requests_total").value(), 2u);
}

TEST(HttpInstruments, LosesNothingAmongThreadsAndCountsAgreeMeanwhile) {
  Registry registry;
  HttpInstruments http(registry);
  RouteInstruments& route = http.route("/r");
  constexpr std::uint64_t kEach = 20'000;
  {
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (std::uint64_t i = 0; i < kEach; ++i) {
          route.observe({.method = static_cast<unsigned>(i % 2),
                         .status = 200 + t,
                         .duration_ns = i * 1000,
                         .arena_bytes = i,
                         .alloc_objects = i % 7});
          http.in_flight().add();
          http.in_flight().sub();
        }
      });
    }
    double last = 0;
    for (int i = 0; i < 50; ++i) {
      const std::vector<Family> families = registry.gather();
      const Family* const totals = find_family(families, "http_requests_total");
      const Family* const durations = find_family(families, "http_request_duration_seconds");
      double sum = 0;
      for (std::size_t n = 0; totals != nullptr && n < totals->series.size(); ++n) {
        sum += totals->series[n].value;
        ASSERT_EQ(totals->series[n].value,
                  static_cast<double>(durations->series[n].buckets.back().second));
      }
      ASSERT_GE(sum, last);
      last = sum;
    }
  }
  const std::vector<Family> families = registry.gather();
  const Series& bytes =
      *series_of(families, "tailrace_http_request_alloc_bytes", {{"route", "/r"}});
  EXPECT_EQ(bytes.count, 4 * kEach);
  EXPECT_EQ(bytes.sum, 4.0 * kEach * (kEach - 1) / 2);
  EXPECT_EQ(find_family(families, "http_requests_in_flight")->series[0].value, 0);
}

}  // namespace
}  // namespace tailrace::metrics
