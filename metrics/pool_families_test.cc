// The pools' families: from made-up numbers, and of a pool that lives.
#include "metrics/pool_families.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gcruntime/gc/mutator.h"
#include "gcruntime/pool/pool.h"
#include "metrics/instruments.h"
#include "metrics/runtime_collector.h"
#include "metrics/test_families.h"

namespace tailrace::metrics {
namespace {

double value(const std::vector<Family>& families, const std::string& family,
             const std::string& pool, const std::string& result = {}) {
  std::vector<Label> labels = {{"pool", pool}};
  if (!result.empty()) {
    labels.push_back({"result", result});
  }
  return series_value(families, family, labels);
}

TEST(PoolFamilies, TellWhatThePoolsSay) {
  std::vector<Family> families;
  add_pool_families(families, {{.name = "a",
                                .hits = 10,
                                .misses = 3,
                                .kept = 9,
                                .dropped_size = 2,
                                .dropped_full = 1,
                                .evicted = 4,
                                .items = 5,
                                .bytes = 4096}});
  EXPECT_EQ(value(families, "tailrace_pool_gets_total", "a", "hit"), 10);
  EXPECT_EQ(value(families, "tailrace_pool_gets_total", "a", "miss"), 3);
  EXPECT_EQ(value(families, "tailrace_pool_puts_total", "a", "kept"), 9);
  EXPECT_EQ(value(families, "tailrace_pool_puts_total", "a", "dropped_size"), 2);
  EXPECT_EQ(value(families, "tailrace_pool_puts_total", "a", "dropped_full"), 1);
  EXPECT_EQ(value(families, "tailrace_pool_evicted_total", "a"), 4);
  EXPECT_EQ(value(families, "tailrace_pool_retained_objects", "a"), 5);
  EXPECT_EQ(value(families, "tailrace_pool_retained_bytes", "a"), 4096);
}

// Two series of the same labels would make Prometheus refuse the scrape.
TEST(PoolFamilies, PoolsOfOneNameAreOneSeries) {
  std::vector<Family> families;
  add_pool_families(families, {{.name = "a", .hits = 1, .bytes = 10},
                               {.name = "b", .hits = 2, .bytes = 20},
                               {.name = "a", .hits = 4, .bytes = 40}});
  EXPECT_EQ(find_family(families, "tailrace_pool_retained_bytes")->series.size(), 2u);
  EXPECT_EQ(value(families, "tailrace_pool_gets_total", "a", "hit"), 5);
  EXPECT_EQ(value(families, "tailrace_pool_gets_total", "b", "hit"), 2);
  EXPECT_EQ(value(families, "tailrace_pool_retained_bytes", "a"), 50);
}

TEST(PoolFamilies, ThereAreNoneWithoutAPool) {
  std::vector<Family> families;
  add_pool_families(families, {});
  EXPECT_TRUE(families.empty());
}

TEST(PoolFamilies, AScrapeTellsOfAPoolThatLives) {
  const gc::ThreadScope scope;
  gc::Pool<std::string> pool("test_strings");
  pool.get()->append("text");
  pool.get();
  Registry registry;
  const RuntimeCollector collector(registry, nullptr);
  const std::vector<Family> families = registry.gather();
  EXPECT_EQ(value(families, "tailrace_pool_gets_total", "test_strings", "hit"), 1);
  EXPECT_EQ(value(families, "tailrace_pool_gets_total", "test_strings", "miss"), 1);
  EXPECT_EQ(value(families, "tailrace_pool_puts_total", "test_strings", "kept"), 2);
  EXPECT_EQ(value(families, "tailrace_pool_retained_objects", "test_strings"), 1);
  EXPECT_GE(value(families, "tailrace_pool_retained_bytes", "test_strings"),
            static_cast<double>(sizeof(std::string)));
}

}  // namespace
}  // namespace tailrace::metrics
