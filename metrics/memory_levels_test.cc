// Go's identities among the memory figures, in every scrape while fibers allocate and let go, cycles run and
// the scavenger gives memory back.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/test_seed.h"
#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/scavenger.h"
#include "gcruntime/gc/vector.h"
#include "metrics/instruments.h"
#include "metrics/runtime_collector.h"

namespace tailrace::metrics {
namespace {

double value(const std::vector<Family>& families, const std::string& name) {
  const Family* const family = find_family(families, name);
  if (family == nullptr || family->series.size() != 1) {
    ADD_FAILURE() << name << " is not there once";
    return 0;
  }
  return family->series[0].value;
}

void check_scrape(const std::vector<Family>& families) {
  const auto v = [&](const char* name) {
    return value(families, std::string("go_memstats_") + name);
  };
  EXPECT_EQ(v("heap_sys_bytes"), v("heap_inuse_bytes") + v("heap_idle_bytes"));
  EXPECT_LE(v("heap_released_bytes"), v("heap_idle_bytes"));
  EXPECT_LE(v("heap_alloc_bytes"), v("heap_inuse_bytes"));
  EXPECT_EQ(v("heap_alloc_bytes"), v("alloc_bytes"));
  EXPECT_LE(v("alloc_bytes"), v("alloc_bytes_total"));
  EXPECT_EQ(v("heap_objects"), v("mallocs_total") - v("frees_total"));
  EXPECT_LE(v("stack_inuse_bytes"), v("stack_sys_bytes"));
  EXPECT_LE(v("mspan_inuse_bytes"), v("mspan_sys_bytes"));
  EXPECT_LE(v("mcache_inuse_bytes"), v("mcache_sys_bytes"));
  EXPECT_EQ(v("sys_bytes"), v("heap_sys_bytes") + v("stack_sys_bytes") + v("mspan_sys_bytes") +
                                v("mcache_sys_bytes") + v("buck_hash_sys_bytes") +
                                v("gc_sys_bytes") + v("other_sys_bytes"));
  const auto c = [&](const char* name) {
    return value(families, std::string("go_memory_classes_heap_") + name);
  };
  EXPECT_EQ(v("heap_idle_bytes"), c("released_bytes") + c("free_bytes"));
  EXPECT_EQ(v("heap_inuse_bytes"), c("objects_bytes") + c("unused_bytes"));
  double classes = 0;
  for (const Family& family : families) {
    if (family.name.starts_with("go_memory_classes_")) {
      EXPECT_GE(family.series[0].value, 0) << family.name;
      classes += family.series[0].value;
    }
  }
  EXPECT_EQ(classes, 2 * v("sys_bytes")) << "all classes and their total";
  const auto s = [&](const char* name) {
    return value(families, std::string("go_cpu_classes_scavenge_") + name + "_cpu_seconds_total");
  };
  EXPECT_DOUBLE_EQ(s("total"), s("assist") + s("background"));
}

void check_levels(const gc::MemStats& m) {
  EXPECT_EQ(m.heap_sys, m.heap_inuse + m.heap_idle);
  EXPECT_LE(m.heap_released, m.heap_idle);
  EXPECT_LE(m.heap_alloc, m.heap_inuse);
  EXPECT_LE(m.heap_alloc, m.total_alloc);
  EXPECT_EQ(m.heap_objects, m.mallocs - m.frees);
  EXPECT_LE(m.stack_inuse, m.stack_sys);
  EXPECT_LE(m.mspan_inuse, m.mspan_sys);
  EXPECT_LE(m.mcache_inuse, m.mcache_sys);
  EXPECT_EQ(m.sys, m.heap_sys + m.stack_sys + m.mspan_sys + m.mcache_sys + m.gc_sys + m.other_sys);
}

struct Counts {
  double released = 0, allocated = 0, mallocs = 0, frees = 0, freed_bytes = 0;
};
Counts counts_of(const std::vector<Family>& families) {
  return {value(families, "tailrace_gc_released_bytes_total"),
          value(families, "go_memstats_alloc_bytes_total"),
          value(families, "go_memstats_mallocs_total"), value(families, "go_memstats_frees_total"),
          value(families, "go_gc_heap_frees_bytes_total")};
}
void expect_no_step_back(const Counts& before, const Counts& now) {
  EXPECT_GE(now.released, before.released);
  EXPECT_GE(now.allocated, before.allocated);
  EXPECT_GE(now.mallocs, before.mallocs);
  EXPECT_GE(now.frees, before.frees);
  EXPECT_GE(now.freed_bytes, before.freed_bytes);
}

using Words = gc::Vector<std::uint64_t>;

TEST(MemoryLevels, IdentitiesHoldInEveryScrapeWhileAllMoves) {
  const std::uint64_t seed = base::test_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr int kFibers = 16;
  constexpr int kRounds = TAILRACE_TSAN ? 60 : 300;
  fiber::Scheduler scheduler({.workers = 4});
  scheduler.start();
  Registry registry;
  const RuntimeCollector collector(registry, &scheduler);
  std::atomic<int> running{kFibers};
  std::vector<fiber::JoinHandle> fibers;
  for (int f = 0; f < kFibers; ++f) {
    fibers.push_back(scheduler.spawn([&running, seed, f] {
      std::mt19937_64 random(seed + static_cast<std::uint64_t>(f));
      gc::Root<gc::Vector<gc::Member<Words>>> live;
      live->resize(8);
      for (int round = 0; round < kRounds; ++round) {
        for (int i = 0; i < 20; ++i) {
          auto* words = gc::make<Words>();
          words->resize(std::size_t{4} << random() % 13);
          (*live)[random() % 8] = words;
        }
        if (round % 50 == 10) {
          gc::collect();
        }
        if (round % 20 == 5) {
          gc::scavenge_now(std::size_t{1} << 20);
        }
        fiber::yield();
      }
      running.fetch_sub(1);
    }));
  }
  int scrapes = 0;
  fibers.push_back(scheduler.spawn([&] {
    Counts before;
    while (running.load() != 0 && !testing::Test::HasFailure()) {
      const std::vector<Family> families = registry.gather();
      check_scrape(families);
      const Counts now = counts_of(families);
      expect_no_step_back(before, now);
      before = now;
      check_levels(gc::read_mem_stats());
      ++scrapes;
      fiber::yield();
    }
  }));
  scheduler.stop();
  EXPECT_GE(scrapes, 20);
  EXPECT_GT(gc::read_scavenge_stats().released_bytes, 0u);
  EXPECT_GT(gc::read_mem_stats().num_gc, 3u);
}

}  // namespace
}  // namespace tailrace::metrics
