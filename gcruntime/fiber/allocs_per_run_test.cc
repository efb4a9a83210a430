// allocs_per_run and report_allocs on fibers that change their worker, and report_allocs with a
// State that is not Google's.
#include "gcruntime/gc/allocs_per_run.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/allocate.h"
#include "gcruntime/gc/mutator.h"

namespace tailrace::fiber {
namespace {

// What report_allocs asks of a State.
struct FakeState {
  struct Counter {
    enum Flags { kDefaults, kAvgIterations };
    Counter() = default;
    Counter(double number, Flags how) : value(number), flags(how) {}
    double value = 0;
    Flags flags = kDefaults;
  };
  std::map<std::string, Counter> counters;
};

// Eight fibers on four workers allocate different amounts at once; each yields in the middle of
// what is counted, spins a little so that others have something to steal, and must find exactly its
// own.
TEST(AllocsPerRunTest, StaysExactWhenTheFiberMigrates) {
  constexpr std::uint64_t kRuns = 400;
  SchedulerOptions options;
  options.workers = 4;
  options.perturb_seed = 7;  // steals and yields at random places
  Scheduler scheduler(options);
  scheduler.start();
  std::atomic<int> migrations{0};
  const auto measure_all = [&] {
    std::vector<JoinHandle> fibers;
    for (std::uint64_t id = 0; id < 8; ++id) {
      fibers.push_back(spawn([&, id] {
        const gc::AllocCounts used = gc::allocs_per_run(kRuns, [&] {
          const int worker = Scheduler::current_worker();
          for (std::uint64_t i = 0; i < id; ++i) gc::allocate_noscan(64);
          yield();
          gc::allocate_noscan(128);
          if (Scheduler::current_worker() != worker) {
            // Relaxed: a count, read after the joins.
            migrations.fetch_add(1, std::memory_order_relaxed);
          }
        });
        EXPECT_EQ(used.objects, id + 1);
        EXPECT_EQ(used.bytes, id * 64 + 128);
        EXPECT_EQ(used.large_objects, 0u);
      }));
    }
    for (JoinHandle& each : fibers) each.join();
  };
  // On a busy machine one turn may pass without a steal.
  const auto give_up = std::chrono::steady_clock::now() + kGiveUp;
  do {
    scheduler.run(measure_all);
    // Relaxed: the fibers have been joined.
  } while (migrations.load(std::memory_order_relaxed) == 0 &&
           std::chrono::steady_clock::now() < give_up);
  // Relaxed: as above.
  EXPECT_GT(migrations.load(std::memory_order_relaxed), 0) << "nothing was shown";
}

TEST(AllocsPerRunTest, WhatOtherFibersAllocateIsNotCounted) {
  Scheduler scheduler(SchedulerOptions{});
  scheduler.start();
  scheduler.run([] {
    const gc::AllocCounts used = gc::allocs_per_run(10, [] {
      spawn([] { gc::allocate_noscan(64); }).join();
      gc::allocate_noscan(100'000);
    });
    EXPECT_EQ(used.objects, 0u);
    EXPECT_EQ(used.large_objects, 1u);
  });
}

TEST(AllocsPerRunTest, WorksOnAThreadWithoutFibers) {
  const gc::ThreadScope attached;
  EXPECT_EQ(gc::allocs_per_run(3, [] { gc::allocate_noscan(64); }).objects, 1u);
}

TEST(ReportAllocsTest, SumsUpForTheIterations) {
  SchedulerOptions options;
  options.workers = 2;
  options.perturb_seed = 11;
  Scheduler scheduler(options);
  scheduler.start();
  FakeState state;
  scheduler.run([&] {
    gc::allocate_noscan(64);  // before the report begins
    {
      const auto allocs = gc::report_allocs(state);
      for (int i = 0; i < 100; ++i) {
        gc::allocate_noscan(64);
        yield();
      }
      gc::allocate_noscan(40'000);
    }
    gc::allocate_noscan(64);
  });
  EXPECT_EQ(state.counters.size(), 2u);
  EXPECT_EQ(state.counters["allocs/op"].value, 101);
  EXPECT_EQ(state.counters["B/op"].value, 100 * 64 + 40'960);
  EXPECT_EQ(state.counters["B/op"].flags, FakeState::Counter::kAvgIterations);
}

}  // namespace
}  // namespace tailrace::fiber
