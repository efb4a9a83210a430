// What switching, spawning and submitting cost. Figures are of one worker unless the name
// says otherwise; the fibers run on the scheduler, the benchmark's loop runs on one of them. Go's
// counterparts: loadtest/peers/go/bench; deploy/benchmarks runs both.
#include <benchmark/benchmark.h>
#include <boost/context/detail/fcontext.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/os/clock.h"

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

// Figures of /proc/self/status in bytes, 0 where it has none.
std::size_t process_bytes(const char* field) {
  std::FILE* file = std::fopen("/proc/self/status", "re");
  if (file == nullptr) return 0;
  const std::string format = std::string(field) + ": %zu kB";
  char line[256];
  std::size_t kibibytes = 0;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::sscanf(line, format.c_str(), &kibibytes) == 1) break;
  }
  std::fclose(file);
  return kibibytes * 1024;
}

// Fibers that all wait, in the manner of a channel's readers: each has called into park() from a
// frame of its own. An iteration spawns them, lets them park, and wakes them again; the counters
// say what they hold in between, page tables (the kernel's part of a sparse stack) included, and how
// long a collection, which looks at all their stacks, takes then.
// 10 000, or as many as TAILRACE_PARKED_FIBERS says (deploy/parked).
void BM_ParkedFibers(benchmark::State& state) {
  const char* const wanted = std::getenv("TAILRACE_PARKED_FIBERS");
  const std::size_t fibers = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 10'000;
  Scheduler scheduler(SchedulerOptions{});
  scheduler.start();
  const std::size_t rss_before = process_bytes("VmRSS");
  const std::size_t tables_before = process_bytes("VmPTE");
  std::size_t rss = 0;
  std::size_t tables = 0;
  std::int64_t collect_ns = 0;
  scheduler.run([&] {
    std::vector<Fiber*> parked;
    parked.reserve(fibers);
    std::size_t ended = 0;
    for (auto _ : state) {
      for (std::size_t i = 0; i < fibers; ++i) {
        spawn([&parked, &ended] {
          park(
              WaitReason::kOther,
              [](Fiber* fiber, void* list) {
                static_cast<std::vector<Fiber*>*>(list)->push_back(fiber);
                return true;
              },
              &parked);
          ++ended;
        });
        if (i % 128 == 127) yield();
      }
      while (parked.size() < fibers) yield();
      state.PauseTiming();
      rss = std::max(rss, process_bytes("VmRSS"));
      tables = std::max(tables, process_bytes("VmPTE"));
      const std::int64_t begin_ns = os::now_ns();
      gc::collect();
      collect_ns = std::max(collect_ns, os::now_ns() - begin_ns);
      state.ResumeTiming();
      ended = 0;
      for (std::size_t i = 0; i < fibers; ++i) {
        ready(parked[i]);
        if (i % 128 == 127) yield();
      }
      while (ended < fibers) yield();
      parked.clear();
    }
  });
  const auto per_fiber = [&](std::size_t after, std::size_t before) {
    return static_cast<double>(after - std::min(before, after)) / static_cast<double>(fibers);
  };
  state.counters["fibers"] = static_cast<double>(fibers);
  state.counters["rss_bytes_per_fiber"] = per_fiber(rss, rss_before);
  state.counters["table_bytes_per_fiber"] = per_fiber(tables, tables_before);
  state.counters["total_bytes"] = static_cast<double>(rss + tables);
  state.counters["collect_ms"] = static_cast<double>(collect_ns) / 1e6;
  state.counters["unguarded"] = static_cast<double>(scheduler.stats().stacks_unguarded);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(fibers));
}
BENCHMARK(BM_ParkedFibers)->Iterations(1)->Unit(benchmark::kMillisecond);

// From a thread that is no worker: spawn, wake the sleeping worker, run, wake the thread.
void BM_RunFromThread(benchmark::State& state) {
  Scheduler scheduler(SchedulerOptions{});
  scheduler.start();
  for (auto _ : state) scheduler.run([] {});
}
BENCHMARK(BM_RunFromThread)->UseRealTime();

}  // namespace
}  // namespace tailrace::fiber
