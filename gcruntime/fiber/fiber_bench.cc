// What switching, spawning and submitting cost. Figures are of one worker unless the name
// says otherwise; the fibers run on the scheduler, the benchmark's loop runs on one of them. Go's
// counterparts: loadtest/peers/go/bench; deploy/benchmarks runs both.
#include <benchmark/benchmark.h>
#include <boost/context/detail/fcontext.hpp>

#include <memory>
#include <vector>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/mutator.h"

namespace tailrace::fiber {
namespace {

// The floor: Boost's switch alone, there and back. Compare the others of the same run with it.
void BM_BareFcontext(benchmark::State& state) {
  namespace context = boost::context::detail;
  std::vector<char> stack(64 * 1024);
  context::transfer_t transfer{context::make_fcontext(stack.data() + stack.size(), stack.size(),
                                                      [](context::transfer_t from) {
                                                        for (;;)
                                                          from = context::jump_fcontext(from.fctx,
                                                                                        nullptr);
                                                      }),
                               nullptr};
  for (auto _ : state) transfer = context::jump_fcontext(transfer.fctx, nullptr);
  state.counters["per_switch_one_way"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * 2,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_BareFcontext);

// Two fibers yield to each other: an iteration is one yield of each, four context switches.
void BM_YieldPingPong(benchmark::State& state) {
  Scheduler scheduler(SchedulerOptions{});
  scheduler.start();
  scheduler.run([&] {
    bool stop = false;
    JoinHandle other = spawn([&] {
      while (!stop) yield();
    });
    for (auto _ : state) yield();
    stop = true;
    other.join();
  });
  state.counters["per_switch_one_way"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * 4,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_YieldPingPong)->MeasureProcessCPUTime();

// Round robin over many fibers.
void BM_YieldRoundRobin(benchmark::State& state) {
  Scheduler scheduler(SchedulerOptions{});
  scheduler.start();
  const auto fibers = static_cast<std::size_t>(state.range(0));
  scheduler.run([&] {
    bool stop = false;
    std::vector<JoinHandle> others;
    for (std::size_t i = 1; i < fibers; ++i) {
      others.push_back(spawn([&] {
        while (!stop) yield();
      }));
    }
    for (auto _ : state) yield();
    stop = true;
    for (JoinHandle& other : others) other.join();
  });
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_YieldRoundRobin)->Arg(16)->Arg(200)->Arg(4096)->MeasureProcessCPUTime();

// A parked fiber is made ready and parks again; an iteration is one round trip.
void BM_ParkReady(benchmark::State& state) {
  Scheduler scheduler(SchedulerOptions{});
  scheduler.start();
  scheduler.run([&] {
    Fiber* parked = nullptr;
    bool stop = false;
    JoinHandle other = spawn([&] {
      while (!stop) {
        park(
            WaitReason::kOther,
            [](Fiber* fiber, void* place) {
              *static_cast<Fiber**>(place) = fiber;
              return true;
            },
            &parked);
      }
    });
    while (parked == nullptr) yield();
    for (auto _ : state) {
      ready(std::exchange(parked, nullptr));
      yield();
    }
    stop = true;
    ready(parked);
    other.join();
  });
}
BENCHMARK(BM_ParkReady);

void BM_SpawnRunJoin(benchmark::State& state) {
  SchedulerOptions options;
  options.workers = static_cast<unsigned>(state.range(0));
  Scheduler scheduler(options);
  scheduler.start();
  scheduler.run([&] {
    std::uint64_t sum = 0;
    for (auto _ : state) spawn([&sum] { ++sum; }).join();
    benchmark::DoNotOptimize(sum);
  });
}
BENCHMARK(BM_SpawnRunJoin)->Arg(1)->Arg(2)->MeasureProcessCPUTime();

// 100 fibers are spawned, then run one after the other.
void BM_SpawnRunBatch(benchmark::State& state) {
  Scheduler scheduler(SchedulerOptions{});
  scheduler.start();
  scheduler.run([&] {
    std::uint64_t sum = 0;
    for (auto _ : state) {
      for (int i = 0; i < 100; ++i) spawn([&sum] { ++sum; });
      yield();
    }
    benchmark::DoNotOptimize(sum);
  });
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(BM_SpawnRunBatch)->MeasureProcessCPUTime();

struct CountingJob : Job {
  std::uint64_t runs = 0;
};

// 100 jobs are submitted, then run.
void BM_JobBatch(benchmark::State& state) {
  Scheduler scheduler(SchedulerOptions{});
  scheduler.start();
  scheduler.run([&] {
    std::vector<CountingJob> jobs(100);
    for (CountingJob& job : jobs) {
      job.run = [](Job* self) { ++static_cast<CountingJob*>(self)->runs; };
    }
    Scheduler* own = Scheduler::current();
    for (auto _ : state) {
      for (CountingJob& job : jobs) own->submit(&job);
      yield();
    }
    benchmark::DoNotOptimize(jobs[0].runs);
  });
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(BM_JobBatch);

// From a thread that is no worker: spawn, wake the sleeping worker, run, wake the thread.
void BM_RunFromThread(benchmark::State& state) {
  Scheduler scheduler(SchedulerOptions{});
  scheduler.start();
  for (auto _ : state) scheduler.run([] {});
}
BENCHMARK(BM_RunFromThread)->UseRealTime();

}  // namespace
}  // namespace tailrace::fiber
