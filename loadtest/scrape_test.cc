// The server's counters: read from an exposition, subtracted, and put to the second they belong to.
#include "loadtest/scrape.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "loadtest/synthetic.h"

namespace tailrace::loadtest {
namespace {

constexpr char kTailrace[] = R"(# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{route="/a/{id}",method="get",code="200"} 10
http_requests_total{route="/\"}x",method="get",code="200"} 5
go_gc_duration_seconds{quantile="0.5"} 0.1
go_gc_duration_seconds_count 7
go_gc_duration_seconds_sum 0.25
go_cpu_classes_gc_total_cpu_seconds_total 1.5
go_memstats_alloc_bytes_total 999999
tailrace_http_request_alloc_bytes_total{route="/a/{id}",kind="arena"} 1000
tailrace_http_request_alloc_bytes_total{route="/a/{id}",kind="heap"} 200
tailrace_http_request_alloc_bytes_total{route="/b",kind="large"} 30
tailrace_http_request_alloc_bytes_total{route="/b",kind="malloc"} 4000
go_gc_heap_live_bytes 4.5e+06
process_cpu_seconds_total 3.25
process_resident_memory_bytes 6e7
)";

TEST(Exposition, TheFiguresAreFoundByName) {
  const ServerFigures figures = parse_exposition(kTailrace);
  EXPECT_EQ(figures.requests, 15);
  EXPECT_EQ(figures.gc_cycles, 7);
  EXPECT_EQ(figures.gc_hold_seconds, 0.25);
  EXPECT_EQ(figures.gc_cpu_seconds, 1.5);
  EXPECT_EQ(figures.alloc_bytes, 1230);
  EXPECT_EQ(figures.heap_alloc_bytes, 230);
  EXPECT_EQ(figures.heap_live_bytes, 4.5e6);
  EXPECT_EQ(figures.cpu_seconds, 3.25);
  EXPECT_EQ(figures.resident_bytes, 6e7);
}

TEST(Exposition, AGoServiceHasThemForTheProcess) {
  const ServerFigures figures = parse_exposition(
      "go_memstats_alloc_bytes_total 5e9\ngo_memstats_heap_alloc_bytes 100\n"
      "go_gc_duration_seconds_count 3 1700000000000");
  EXPECT_EQ(figures.alloc_bytes, 5e9);
  EXPECT_EQ(figures.heap_alloc_bytes, 5e9);
  EXPECT_EQ(figures.heap_live_bytes, 100);
  EXPECT_EQ(figures.gc_cycles, 3);
  EXPECT_TRUE(std::isnan(figures.requests));
  EXPECT_TRUE(std::isnan(figures.cpu_seconds));
}

TEST(Exposition, RubbishIsNothing) {
  for (const char* text : {"", "\n\n", "<html>http_requests_total</html>", "http_requests_total",
                           "http_requests_total{", "http_requests_total{a=\"} 1",
                           "process_cpu_seconds_total x", "http_requests_total{a=\"\\"}) {
    const ServerFigures figures = parse_exposition(text);
    EXPECT_TRUE(std::isnan(figures.requests)) << text;
    EXPECT_TRUE(std::isnan(figures.cpu_seconds)) << text;
  }
}

TEST(Exposition, CountersAreSubtractedAndGaugesAreNot) {
  ServerFigures before;
  ServerFigures after;
  before.requests = 10;
  after.requests = 25;
  before.gc_cycles = 9;
  after.gc_cycles = 2;  // started anew
  before.heap_live_bytes = 100;
  after.heap_live_bytes = 50;
  after.cpu_seconds = 3;  // not known before
  after.alloc_bytes = 7;  // has labels: not there before the first request
  const ServerFigures result = between(before, after);
  EXPECT_EQ(result.requests, 15);
  EXPECT_TRUE(std::isnan(result.gc_cycles));
  EXPECT_EQ(result.heap_live_bytes, 50);
  EXPECT_TRUE(std::isnan(result.cpu_seconds));
  EXPECT_EQ(result.alloc_bytes, 7);
  EXPECT_TRUE(std::isnan(result.heap_alloc_bytes));
}

TEST(Scraper, NobodyThereIsAnError) {
  Scraper scraper("http://127.0.0.1:1/metrics");
  EXPECT_FALSE(scraper.read_once().error.empty());
}

}  // namespace
}  // namespace tailrace::loadtest
