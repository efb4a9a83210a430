// Reading by Go's names.
#include "metrics/read.h"

#include <gtest/gtest.h>

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

TEST(Read, KnowsNoOthers) {
  for (const char* name : {"", "/", "gc", "go_goroutines", "/gc/nothing:bytes", "/gc/cycles",
                           "/info:x", "/gc/duration:seconds"}) {
    EXPECT_FALSE(read(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace tailrace::metrics
