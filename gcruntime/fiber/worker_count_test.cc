// The scheduler at 1, 2, 3, 8 and 64 workers, on however few processors: starting and stopping, storms
// of steals, waking, and polls that few workers make for all.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <vector>

#include "gcruntime/fiber/fake_netpoll.h"
#include "gcruntime/fiber/fiber_fixture.h"

namespace tailrace::fiber {
namespace {

using WorkerCountTest = FiberTest;
INSTANTIATE_TEST_SUITE_P(Workers, WorkerCountTest, testing::Values(1u, 2u, 3u, 8u, 64u),
                         worker_name);

TEST_P(WorkerCountTest, StartsAndStopsAgainAndAgain) {
  for (int round = 0; round < 5; ++round) {
    SchedulerOptions options;
    options.workers = workers();
    Scheduler scheduler(options);
    scheduler.start();
    std::atomic<unsigned> ran{0};
    for (unsigned i = 0; i < 2 * workers(); ++i) scheduler.spawn([&] { ++ran; });
    scheduler.stop();
    EXPECT_EQ(ran, 2 * workers());
  }
}

// One fiber makes all the work; whoever is idle takes it from there.
TEST_P(WorkerCountTest, AStormOfSteals) {
  constexpr int kRounds = 20;
  constexpr int kChildren = 300;  // more than a ring holds
  std::atomic<int> ran{0};
  run([&] {
    for (int round = 0; round < kRounds; ++round) {
      std::vector<JoinHandle> children;
      for (int i = 0; i < kChildren; ++i) {
        children.push_back(spawn([&] {
          yield();
          ++ran;
        }));
      }
      for (JoinHandle& child : children) child.join();
    }
    // One processor may have run all of that before the others were awake: not this.
    std::atomic<unsigned> begun{0};
    std::vector<JoinHandle> held;
    for (unsigned i = 0; i < workers(); ++i) {
      held.push_back(spawn([&] {
        ++begun;
        EXPECT_TRUE(spin_until([&] { return begun == workers(); }));
      }));
    }
    for (JoinHandle& each : held) each.join();
  });
  EXPECT_EQ(ran, kRounds * kChildren);
  EXPECT_GE(scheduler().stats().steals, workers() > 1 ? 1u : 0u);
}

TEST_P(WorkerCountTest, StormsUnderPerturbation) {
  SchedulerOptions options;
  options.perturb_seed = 4711 + workers();
  start(options);
  std::atomic<int> ran{0};
  run([&] {
    std::vector<JoinHandle> children;
    for (int i = 0; i < 1000; ++i) {
      children.push_back(spawn([&, i] {
        if (i % 3 == 0) yield();
        if (i % 50 == 0) sleep_for_ns(100'000);
        ++ran;
      }));
    }
    for (JoinHandle& child : children) child.join();
  });
  EXPECT_EQ(ran, 1000);
}

// A chain of fibers, each woken by the last one after all others may have fallen asleep.
TEST_P(WorkerCountTest, NoWakeIsLost) {
  for (int round = 0; round < 300; ++round) {
    std::atomic<bool> ran{false};
    scheduler().spawn([&] { spawn([&] { ran = true; }); });
    ASSERT_TRUE(spin_until([&] { return ran.load(); })) << "round " << round;
    if (round % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

// Entries for every worker's poller while but a few workers can run: whoever is awake polls for those
// that are stuck, and those that sleep poll for themselves.
TEST_P(WorkerCountTest, FewPollForAll) {
  FakeNetpoll netpoll;
  SchedulerOptions options;
  options.netpoll = &netpoll;
  start(options);
  const unsigned stuck_count = workers() - 1;
  std::atomic<unsigned> stuck_now{0};
  std::atomic<unsigned> served{0};
  struct Polled : Job {
    std::atomic<unsigned>* counter = nullptr;
  };
  std::vector<Polled> polled(workers());
  for (Polled& job : polled) {
    job.counter = &served;
    job.run = [](Job* self) { ++*static_cast<Polled*>(self)->counter; };
  }
  run([&] {
    std::vector<JoinHandle> stuck;
    for (unsigned i = 0; i < stuck_count; ++i) {
      stuck.push_back(spawn([&] {
        ++stuck_now;
        EXPECT_TRUE(spin_until([&] { return served == workers(); }));
      }));
    }
    ASSERT_TRUE(yield_until([&] { return stuck_now == stuck_count; }));
    for (unsigned i = 0; i < workers(); ++i) netpoll.add(i, static_cast<Job*>(&polled[i]));
    for (JoinHandle& handle : stuck) handle.join();
  });
  EXPECT_TRUE(spin_until([&] { return served == workers(); }));
  scheduler().stop();
}

TEST_P(WorkerCountTest, TimersOfManyWorkers) {
  std::atomic<unsigned> woke{0};
  run([&] {
    std::vector<JoinHandle> sleepers;
    for (unsigned i = 0; i < 4 * workers(); ++i) {
      sleepers.push_back(spawn([&, i] {
        sleep_for_ns(1'000'000 + i % 7 * 300'000);
        ++woke;
      }));
    }
    for (JoinHandle& sleeper : sleepers) sleeper.join();
  });
  EXPECT_EQ(woke, 4 * workers());
}

}  // namespace
}  // namespace tailrace::fiber
