// The arenas' families from made-up numbers.
#include "metrics/arena_families.h"

#include <gtest/gtest.h>

#include <string>

#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/vector.h"
#include "metrics/runtime_collector.h"
#include "metrics/test_families.h"

namespace tailrace::metrics {
namespace {

const gc::ArenaStats kStats{.opened = 100,
                            .open = 3,
                            .bytes = 5000,
                            .objects = 70,
                            .faded_bytes = 600,
                            .faded_objects = 8,
                            .faded_whole = 2,
                            .spilled_objects = 11,
                            .handed_over = 1,
                            .block_bytes = 10 * 32768,
                            .left_blocks = 2,
                            .hole_bytes = 40'000,
                            .kept_bytes = 3 * 32768};

TEST(ArenaFamilies, TellWhatTheStatsSay) {
  std::vector<Family> families;
  add_arena_families(families, kStats, {});
  EXPECT_EQ(series_value(families, "tailrace_arena_open"), 3);
  EXPECT_EQ(series_value(families, "tailrace_arena_resets_total"), 97);
  EXPECT_EQ(series_value(families, "tailrace_arena_overflows_total"), 11);
  EXPECT_EQ(series_value(families, "tailrace_arena_faded_whole_total"), 2);
  const double used = series_value(families, "tailrace_arena_bytes", {{"state", "used"}});
  const double retained = series_value(families, "tailrace_arena_bytes", {{"state", "retained"}});
  EXPECT_EQ(retained, 40'000 + 3 * 32768);
  EXPECT_EQ(used + retained, 10 * 32768);
  // Nothing by route before the first arena has ended.
  EXPECT_EQ(find_family(families, "tailrace_arena_escapes_total"), nullptr);
}

// What a thread keeps for its next arenas holds memory, and is used by nobody.
TEST(ArenaFamilies, BlocksThatAThreadKeepsAreRetained) {
  const auto bytes = [](const char* state) {
    const std::vector<Family> families = gather(take_snapshot(nullptr));
    return series_value(families, "tailrace_arena_bytes", {{"state", state}});
  };
  const gc::ThreadScope scope;
  EXPECT_EQ(bytes("used") + bytes("retained"), 0);
  gc::with_arena([&] {
    gc::make<gc::Vector<std::int64_t>>()->reserve(500);
    EXPECT_GE(bytes("used"), 32 * 1024);
    EXPECT_EQ(bytes("retained"), 0);
  });
  EXPECT_EQ(bytes("used"), 0);
  EXPECT_GE(bytes("retained"), 32 * 1024);
}

TEST(ArenaFamilies, EscapesAreToldByRoute) {
  std::vector<Family> families;
  add_arena_families(
      families, kStats,
      {{.label = "/a", .arenas = 5, .bytes = 4000, .faded_bytes = 500, .faded_objects = 6},
       {.label = "/b", .arenas = 5, .bytes = 1000, .faded_bytes = 0, .faded_objects = 0},
       {.label = "bad\xff", .bytes = 1, .faded_bytes = 2, .faded_objects = 3},
       {.label = "bad\xfe", .bytes = 10, .faded_bytes = 20, .faded_objects = 30}});
  const auto of = [&](const char* name, const char* route) {
    return series_value(families, name, {{"route", route}});
  };
  EXPECT_EQ(of("tailrace_arena_escapes_total", "/a"), 6);
  EXPECT_EQ(of("tailrace_arena_escape_bytes_total", "/a"), 500);
  EXPECT_EQ(of("tailrace_arena_allocated_bytes_total", "/a"), 4000);
  EXPECT_EQ(of("tailrace_arena_escapes_total", "/b"), 0);
  // Labels that Prometheus could not tell apart are one series.
  ASSERT_EQ(find_family(families, "tailrace_arena_escapes_total")->series.size(), 3u);
  double sum = 0;
  for (const Series& series : find_family(families, "tailrace_arena_escapes_total")->series) {
    sum += series.value;
  }
  EXPECT_EQ(sum, 39);
}

TEST(ArenaFamilies, LevelsThatDoNotFitEachOtherStayAboveZero) {
  gc::ArenaStats stats = kStats;
  stats.open = 200;
  stats.hole_bytes = stats.block_bytes - 1;
  std::vector<Family> families;
  add_arena_families(families, stats, {});
  EXPECT_EQ(series_value(families, "tailrace_arena_resets_total"), 0);
  EXPECT_EQ(series_value(families, "tailrace_arena_bytes", {{"state", "used"}}), 0);
}

}  // namespace
}  // namespace tailrace::metrics
