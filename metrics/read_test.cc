// Reading by Go's names.
#include "metrics/read.h"

#include <gtest/gtest.h>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/mem_stats.h"

namespace tailrace::metrics {
namespace {

TEST(Read, KnowsGosNames) {
  for (const char* name :
       {"/gc/cycles/automatic:gc-cycles", "/gc/cycles/forced:gc-cycles",
        "/gc/cycles/total:gc-cycles", "/gc/heap/allocs:bytes", "/gc/heap/allocs:objects",
        "/gc/heap/frees:bytes", "/gc/heap/goal:bytes", "/gc/heap/live:bytes",
        "/gc/heap/objects:objects", "/gc/gogc:percent", "/gc/gomemlimit:bytes",
        "/memory/classes/total:bytes", "/memory/classes/heap/objects:bytes",
        "/memory/classes/metadata/mspan/inuse:bytes", "/memory/classes/os-stacks:bytes",
        "/sched/gomaxprocs:threads", "/sched/goroutines:goroutines",
        "/cpu/classes/gc/total:cpu-seconds"}) {
    EXPECT_TRUE(read(name).has_value()) << name;
  }
}

TEST(Read, TellsTheRuntimesNumber) {
  const double cycles = static_cast<double>(gc::read_mem_stats().num_gc);
  EXPECT_GE(read("/gc/cycles/total:gc-cycles").value(), cycles);
  EXPECT_EQ(
      read("/gc/cycles/automatic:gc-cycles").value() + read("/gc/cycles/forced:gc-cycles").value(),
      read("/gc/cycles/total:gc-cycles").value());
}

TEST(Read, HistogramsByGosNames) {
  fiber::Scheduler scheduler({});
  scheduler.start();
  scheduler.run([] {
    for (int i = 0; i < 1000; ++i) fiber::yield();
    const std::optional<Series> waits = read_histogram("/sched/latencies:seconds");
    ASSERT_TRUE(waits.has_value());
    EXPECT_GE(waits->count, 1000u / fiber::kWaitSample);
    ASSERT_FALSE(waits->buckets.empty());
    EXPECT_EQ(waits->buckets.back().second, waits->count);
    EXPECT_GT(waits->sum, 0);
  });
  scheduler.stop();
  EXPECT_FALSE(read("/sched/latencies:seconds").has_value());
  EXPECT_FALSE(read_histogram("/sched/goroutines:goroutines").has_value());
}

TEST(Read, KnowsNoOthers) {
  for (const char* name : {"", "/", "gc", "go_goroutines", "/gc/nothing:bytes", "/gc/cycles",
                           "/info:x", "/gc/duration:seconds"}) {
    EXPECT_FALSE(read(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace tailrace::metrics
