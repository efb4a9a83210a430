// What the things that fibers wait on cost. The benchmark's loop runs on a fiber; one worker unless
// the name says otherwise.
#include <benchmark/benchmark.h>

#include <mutex>
#include <vector>

#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/sync/mutex.h"

namespace tailrace::fiber {
namespace {

void BM_MutexUncontended(benchmark::State& state) {
  Scheduler scheduler(SchedulerOptions{});
  scheduler.start();
  scheduler.run([&] {
    Mutex mutex;
    for (auto _ : state) {
      std::lock_guard lock(mutex);
      benchmark::ClobberMemory();
    }
  });
}
BENCHMARK(BM_MutexUncontended);

// Eight fibers take one lock 100 times each and yield inside: every lock is contended.
void BM_MutexHandOver(benchmark::State& state) {
  SchedulerOptions options;
  options.workers = static_cast<unsigned>(state.range(0));
  Scheduler scheduler(options);
  scheduler.start();
  for (auto _ : state) {
    scheduler.run([&] {
      Mutex mutex;
      std::vector<JoinHandle> fibers;
      for (int i = 0; i < 8; ++i) {
        fibers.push_back(spawn([&] {
          for (int turn = 0; turn < 100; ++turn) {
            std::lock_guard lock(mutex);
            yield();
          }
        }));
      }
      for (JoinHandle& each : fibers) each.join();
    });
  }
  state.SetItemsProcessed(state.iterations() * 800);
}
BENCHMARK(BM_MutexHandOver)->Arg(1)->Arg(2)->UseRealTime();

}  // namespace
}  // namespace tailrace::fiber
