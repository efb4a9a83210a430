// What the things that fibers wait on cost. The benchmark's loop runs on a fiber; one worker unless
// the name says otherwise. Go's counterparts: loadtest/peers/go/bench; deploy/benchmarks runs both.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <mutex>
#include <vector>

#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/sync/channel.h"
#include "gcruntime/sync/mutex.h"
#include "gcruntime/sync/select.h"
#include "gcruntime/sync/wait_group.h"

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
BENCHMARK(BM_MutexUncontended)->MeasureProcessCPUTime();

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
BENCHMARK(BM_MutexHandOver)->Arg(1)->Arg(2)->UseRealTime()->MeasureProcessCPUTime();

// 100 fibers are spawned, then waited for.
void BM_SpawnRunWaitGroup(benchmark::State& state) {
  Scheduler scheduler(SchedulerOptions{});
  scheduler.start();
  scheduler.run([&] {
    WaitGroup group;
    std::uint64_t sum = 0;
    for (auto _ : state) {
      group.add(100);
      for (int i = 0; i < 100; ++i) {
        spawn([&] {
          ++sum;
          group.done();
        });
      }
      group.wait();
    }
    benchmark::DoNotOptimize(sum);
  });
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(BM_SpawnRunWaitGroup)->MeasureProcessCPUTime();

// A value goes to another fiber and comes back: an iteration is one round trip, two values.
void BM_ChannelUnbuffered(benchmark::State& state) {
  Scheduler scheduler(SchedulerOptions{});
  scheduler.start();
  scheduler.run([&] {
    Channel<std::int64_t> there;
    Channel<std::int64_t> back;
    JoinHandle other = spawn([&] {
      for (const std::int64_t value : there) back.send(value + 1);
    });
    std::int64_t value = 0;
    for (auto _ : state) {
      there.send(value);
      value = *back.receive();
    }
    there.close();
    other.join();
    benchmark::DoNotOptimize(value);
  });
  state.SetItemsProcessed(state.iterations() * 2);
}
BENCHMARK(BM_ChannelUnbuffered)->MeasureProcessCPUTime();

// One fiber sends, one receives, with room for 128 values between them.
void BM_ChannelBuffered(benchmark::State& state) {
  Scheduler scheduler(SchedulerOptions{});
  scheduler.start();
  scheduler.run([&] {
    Channel<std::int64_t> values(128);
    std::int64_t sum = 0;
    JoinHandle receiver = spawn([&] {
      for (const std::int64_t value : values) sum += value;
    });
    std::int64_t value = 0;
    for (auto _ : state) values.send(++value);
    values.close();
    receiver.join();
    benchmark::DoNotOptimize(sum);
  });
}
BENCHMARK(BM_ChannelBuffered)->MeasureProcessCPUTime();

// A rendezvous as in BM_ChannelUnbuffered, but each side selects over two channels.
void BM_SelectOfTwo(benchmark::State& state) {
  Scheduler scheduler(SchedulerOptions{});
  scheduler.start();
  scheduler.run([&] {
    Channel<std::int64_t> there;
    Channel<std::int64_t> back;
    Channel<int> never;
    JoinHandle other = spawn([&] {
      bool open = true;
      while (open) {
        std::int64_t value = 0;
        select(on_receive(never), on_receive(there, [&](Received<std::int64_t> received) {
                 open = static_cast<bool>(received);
                 if (open) value = *received;
               }));
        if (open) back.send(value);
      }
    });
    std::int64_t value = 0;
    for (auto _ : state) {
      there.send(value);
      select(on_receive(never),
             on_receive(back, [&](Received<std::int64_t> received) { value = *received + 1; }));
    }
    there.close();
    other.join();
  });
  state.SetItemsProcessed(state.iterations() * 2);
}
BENCHMARK(BM_SelectOfTwo)->MeasureProcessCPUTime();

// A case is ready: no wait.
void BM_SelectReady(benchmark::State& state) {
  Scheduler scheduler(SchedulerOptions{});
  scheduler.start();
  scheduler.run([&] {
    Channel<std::int64_t> ready(1);
    Channel<std::int64_t> never;
    for (auto _ : state) {
      static_cast<void>(ready.try_send(1));
      select(on_receive(never), on_receive(ready));
    }
  });
}
BENCHMARK(BM_SelectReady)->MeasureProcessCPUTime();

}  // namespace
}  // namespace tailrace::fiber
