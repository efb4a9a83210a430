// Jobs, stealing, sleeping and waking, the rescue rule, starting and stopping.
#include "gcruntime/fiber/scheduler.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <vector>

#include "gcruntime/fiber/fake_netpoll.h"
#include "gcruntime/fiber/fiber_fixture.h"

namespace tailrace::fiber {
namespace {

using SchedulerTest = FiberTest;
TAILRACE_FIBER_TESTS(SchedulerTest);
using SchedulerPeersTest = FiberTest;
TAILRACE_FIBER_PEERS_TESTS(SchedulerPeersTest);

class FunctionJob : public Job {
 public:
  explicit FunctionJob(std::function<void()> function) : function_(std::move(function)) {
    run = [](Job* job) { static_cast<FunctionJob*>(job)->function_(); };
  }

 private:
  std::function<void()> function_;
};

TEST_P(SchedulerTest, JobsRunOnFibersFromThreadAndFiber) {
  std::atomic<int> ran{0};
  std::vector<FunctionJob> jobs;
  for (int i = 0; i < 1000; ++i) {
    jobs.emplace_back([&ran, i] {
      EXPECT_NE(current(), nullptr);
      if (i % 3 == 0) yield();
      ++ran;
    });
  }
  for (int i = 0; i < 500; ++i) scheduler().submit(&jobs[static_cast<std::size_t>(i)]);
  run([&] {
    for (int i = 500; i < 1000; ++i) {
      Scheduler::current()->submit(&jobs[static_cast<std::size_t>(i)]);
    }
    EXPECT_TRUE(yield_until([&] { return ran == 1000; }));
  });
  EXPECT_EQ(scheduler().stats().jobs, 1000u);
}

TEST_P(SchedulerTest, AJobMaySubmitItselfAgain) {
  std::atomic<int> runs{0};
  FunctionJob* again = nullptr;
  FunctionJob job([&] {
    if (++runs < 5000) Scheduler::current()->submit(again);
  });
  again = &job;
  scheduler().submit(&job);
  EXPECT_TRUE(spin_until([&] { return runs == 5000; }));
}

TEST_P(SchedulerTest, JobsReuseWarmStacks) {
  std::atomic<int> ran{0};
  FunctionJob job([&] { ++ran; });
  run([&] {
    for (int i = 0; i < 1000; ++i) {
      Scheduler::current()->submit(&job);
      EXPECT_TRUE(yield_until([&] { return ran == i + 1; }));
    }
  });
  // One for the runner, and each worker may have had its own.
  EXPECT_LE(scheduler().stats().stack_bytes_cached, (workers() * 2 + 1) * 256u * 1024);
}

TEST_P(SchedulerTest, MoreEntriesThanTheRingHolds) {
  constexpr int kJobs = 5000;
  std::atomic<int> ran{0};
  std::vector<FunctionJob> jobs;
  for (int i = 0; i < kJobs; ++i) jobs.emplace_back([&] { ++ran; });
  run([&] {
    for (FunctionJob& job : jobs) Scheduler::current()->submit(&job);
    EXPECT_TRUE(yield_until([&] { return ran == kJobs; }));
  });
}

TEST_P(SchedulerTest, StealingSpreadsWhatOneWorkerSubmits) {
  // As many jobs as workers, each holds its worker until all have begun: they must be on all
  // workers.
  std::atomic<unsigned> begun{0};
  std::atomic<int> in_time{0};
  std::vector<FunctionJob> jobs;
  for (unsigned i = 0; i < workers(); ++i) {
    jobs.emplace_back([&] {
      ++begun;
      in_time += spin_until([&] { return begun == workers(); }) ? 1 : 0;
    });
  }
  run([&] {
    for (FunctionJob& job : jobs) Scheduler::current()->submit(&job);
    EXPECT_TRUE(yield_until([&] { return begun == workers(); }));
  });
  EXPECT_TRUE(spin_until([&] { return in_time == static_cast<int>(workers()); }));
}

TEST_P(SchedulerPeersTest, SubmittingWakesASleeper) {
  std::atomic<int> ran{0};
  FunctionJob job([&] { ++ran; });
  run([&] {
    // Whether a worker sleeps just now is chance; that none ever does is not.
    const std::uint64_t before = scheduler().stats().wakes;
    EXPECT_TRUE(yield_until([&] {
      const int expected = ran + 1;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      Scheduler::current()->submit(&job);
      yield_until([&] { return ran == expected; });
      return scheduler().stats().wakes > before;
    }));
  });
}

TEST_P(SchedulerTest, WithoutStealingEntriesStay) {
  SchedulerOptions options;
  options.steal = false;
  start(options);
  run([&] {
    const int home = Scheduler::current_worker();
    std::atomic<int> ran{0};
    std::vector<JoinHandle> handles;
    for (int i = 0; i < 100; ++i) {
      handles.push_back(spawn([&, home] {
        EXPECT_EQ(Scheduler::current_worker(), home);
        yield();
        EXPECT_EQ(Scheduler::current_worker(), home);
        ++ran;
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
    EXPECT_EQ(ran, 100);
  });
  EXPECT_EQ(scheduler().stats().steals, 0u);
}

// --- Sleeping ------------------------------------------------------------------------------------

// One entry at a time from outside, each after the last one has run: whenever a wake-up is lost,
// all workers sleep and nothing comes.
void hammer_wakes(Scheduler& scheduler, int rounds) {
  std::atomic<int> ran{0};
  FunctionJob job([&] { ++ran; });
  for (int round = 0; round < rounds; ++round) {
    scheduler.submit(&job);
    // Every now and then long enough for the workers to fall asleep.
    if (round % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
    ASSERT_TRUE(spin_until([&] { return ran == round + 1; })) << "lost wake-up in round " << round;
  }
}

TEST_P(SchedulerTest, NoWakeIsLostOnFutexes) { hammer_wakes(scheduler(), 10'000); }

TEST_P(SchedulerTest, NoWakeIsLostOnANetpoll) {
  FakeNetpoll netpoll;
  SchedulerOptions options;
  options.netpoll = &netpoll;
  hammer_wakes(start(options), 5000);
  scheduler().stop();
}

TEST_P(SchedulerTest, NoWakeIsLostUnderPerturbation) {
  SchedulerOptions options;
  options.perturb_seed = 77;
  hammer_wakes(start(options), 3000);
}

TEST_P(SchedulerTest, FibersParkAndAreReadiedByManyThreads) {
  struct Slot {
    std::atomic<Fiber*> fiber{nullptr};
  };
  constexpr int kFibers = 64;
  constexpr int kRounds = 300;
  std::vector<Slot> slots(kFibers);
  std::atomic<int> left{kFibers};
  std::vector<std::thread> wakers;
  for (int i = 0; i < 2; ++i) {
    wakers.emplace_back([&] {
      while (left != 0) {
        for (Slot& slot : slots) {
          if (Fiber* fiber = slot.fiber.exchange(nullptr)) ready(fiber);
        }
        std::this_thread::yield();
      }
    });
  }
  run([&] {
    std::vector<JoinHandle> handles;
    for (Slot& slot : slots) {
      handles.push_back(spawn([&] {
        for (int round = 0; round < kRounds; ++round) {
          park(
              WaitReason::kOther,
              [](Fiber* fiber, void* place) {
                static_cast<Slot*>(place)->fiber = fiber;
                return true;
              },
              &slot);
        }
        --left;
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
  });
  for (std::thread& waker : wakers) waker.join();
}

TEST_P(SchedulerTest, PolledEntriesRunAndOthersAreWokenForThem) {
  FakeNetpoll netpoll;
  SchedulerOptions options;
  options.netpoll = &netpoll;
  start(options);
  // All for worker 0, each holding its worker until all have begun.
  std::atomic<unsigned> begun{0};
  std::atomic<unsigned> in_time{0};
  std::vector<FunctionJob> jobs;
  for (unsigned i = 0; i < workers(); ++i) {
    jobs.emplace_back([&] {
      ++begun;
      in_time += spin_until([&] { return begun == workers(); }) ? 1 : 0;
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  for (FunctionJob& job : jobs) netpoll.add(0, static_cast<Job*>(&job));
  EXPECT_TRUE(spin_until([&] { return in_time == workers(); }));
  scheduler().stop();
}

TEST_P(SchedulerPeersTest, APollOfSeveralWakesASleeper) {
  FakeNetpoll netpoll;
  SchedulerOptions options;
  options.netpoll = &netpoll;
  start(options);
  std::atomic<int> ran{0};
  FunctionJob first([&] { ++ran; });
  FunctionJob second([&] { ++ran; });
  const std::uint64_t before = scheduler().stats().wakes;
  EXPECT_TRUE(spin_until([&] {
    const int expected = ran + 2;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    netpoll.add_both(0, static_cast<Job*>(&first), static_cast<Job*>(&second));
    EXPECT_TRUE(spin_until([&] { return ran == expected; }));
    return scheduler().stats().wakes > before;
  }));
  scheduler().stop();
}

TEST_P(SchedulerTest, PollsWhileFibersKeepTheWorkersBusy) {
  FakeNetpoll netpoll;
  SchedulerOptions options;
  options.netpoll = &netpoll;
  start(options);
  std::atomic<bool> polled{false};
  FunctionJob job([&] { polled = true; });
  run([&] {
    std::vector<JoinHandle> busy;
    for (unsigned i = 0; i < workers() * 2; ++i) {
      busy.push_back(spawn([&] { EXPECT_TRUE(yield_until([&] { return polled.load(); })); }));
    }
    netpoll.add(0, static_cast<Job*>(&job));
    for (JoinHandle& handle : busy) handle.join();
  });
  scheduler().stop();
}

// With one worker the order is fixed: a socket waits until the slice that runs has ended and those who were
// ready before it had theirs; not for as many slices as lie between two looks at the clock when they are
// short.
class LoneWorkerTest : public SchedulerTest {};
INSTANTIATE_TEST_SUITE_P(Workers, LoneWorkerTest, testing::Values(1u), worker_name);
TEST_P(LoneWorkerTest, PollsAfterEachSliceWhenSlicesAreLong) {
  FakeNetpoll netpoll;
  SchedulerOptions options;
  options.netpoll = &netpoll;
  start(options);
  constexpr int kBusy = 3;
  std::atomic<int> slices{0};
  std::atomic<int> ran_at{0};
  std::atomic<bool> ended{false};
  FunctionJob job([&] { ran_at = slices.load(); });
  run([&] {
    std::vector<JoinHandle> busy;
    for (int i = 0; i < kBusy; ++i) {
      busy.push_back(spawn([&] {
        while (!ended) {
          ++slices;
          const auto begin = std::chrono::steady_clock::now();
          while (std::chrono::steady_clock::now() - begin < std::chrono::microseconds(300)) {
          }
          yield();
        }
      }));
    }
    for (int round = 0; round < 10; ++round) {
      const int begin = slices;
      EXPECT_TRUE(yield_until([&] { return slices - begin > 40; }));
      ran_at = 0;
      const int added_at = slices;
      netpoll.add(0, static_cast<Job*>(&job));
      EXPECT_TRUE(yield_until([&] { return ran_at != 0; }));
      EXPECT_LE(ran_at - added_at, 2 * kBusy);
    }
    ended = true;
    for (JoinHandle& handle : busy) handle.join();
  });
  scheduler().stop();
}

// --- The rescue rule -----------------------------------------------------------------------------

TEST_P(SchedulerPeersTest, AStuckWorkersPollerIsServedByAnother) {
  FakeNetpoll netpoll;
  SchedulerOptions options;
  options.netpoll = &netpoll;
  start(options);
  for (int round = 0; round < 20; ++round) {
    // All workers sleep; worker 0 is woken by its own poller, for a job that does not end before
    // another job, which only its poller knows, has run.
    std::atomic<int> stuck_on{-1};
    std::atomic<bool> served{false};
    std::atomic<bool> in_time{false};
    std::atomic<bool> done{false};
    FunctionJob stuck([&] {
      stuck_on = Scheduler::current_worker();
      in_time = spin_until([&] { return served.load(); });
      done = true;
    });
    FunctionJob waiting([&] { served = true; });
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    netpoll.add(0, static_cast<Job*>(&stuck));
    ASSERT_TRUE(spin_until([&] { return stuck_on != -1; }));
    netpoll.add(static_cast<unsigned>(stuck_on.load()), static_cast<Job*>(&waiting));
    ASSERT_TRUE(spin_until([&] { return done.load(); }));
    EXPECT_TRUE(in_time);
  }
  EXPECT_GT(scheduler().stats().rescues, 0u);
  scheduler().stop();
}

TEST_P(SchedulerPeersTest, AStuckWorkersTimersAreServedByAnother) {
  run([] {
    for (int round = 0; round < 10; ++round) {
      std::atomic<bool> slept{false};
      JoinHandle sleeper = spawn([&] {
        sleep_for_ns(2'000'000);
        slept = true;
      });
      yield();
      EXPECT_TRUE(spin_until([&] { return slept.load(); }));
      sleeper.join();
    }
  });
}

// --- Life ----------------------------------------------------------------------------------------

TEST_P(SchedulerTest, StopWaitsForSleepersAndTheirChildren) {
  std::atomic<int> ended{0};
  for (int i = 0; i < 20; ++i) {
    scheduler().spawn([&, i] {
      sleep_for_ns((i + 1) * 1'000'000);
      spawn([&] {
        sleep_for_ns(1'000'000);
        ++ended;
      });
      ++ended;
    });
  }
  scheduler().stop();
  EXPECT_EQ(ended, 40);
}

TEST_P(SchedulerTest, StopWaitsForQueuedJobs) {
  std::atomic<int> ran{0};
  std::vector<FunctionJob> jobs;
  for (int i = 0; i < 2000; ++i) jobs.emplace_back([&] { ++ran; });
  for (FunctionJob& job : jobs) scheduler().submit(&job);
  scheduler().stop();
  EXPECT_EQ(ran, 2000);
}

TEST_P(SchedulerTest, ManySchedulersOneAfterTheOther) {
  for (int i = 0; i < 30; ++i) {
    SchedulerOptions options;
    options.workers = workers();
    Scheduler scheduler(options);
    int value = 0;
    JoinHandle early = scheduler.spawn([&] { ++value; });  // before it runs
    scheduler.start();
    early.join();
    scheduler.run([&] { spawn([&] { ++value; }).join(); });
    EXPECT_EQ(value, 2);
  }
}

TEST_P(SchedulerTest, TwoSchedulersWakeEachOthersFibers) {
  SchedulerOptions options;
  options.workers = workers();
  Scheduler other(options);
  other.start();
  run([&] {
    Scheduler* const home = Scheduler::current();
    for (int i = 0; i < 500; ++i) {
      int value = 0;
      JoinHandle there = other.spawn([&] {
        EXPECT_EQ(Scheduler::current(), &other);
        value = i;
      });
      there.join();  // parks here, is readied from there
      EXPECT_EQ(value, i);
      EXPECT_EQ(Scheduler::current(), home);
    }
  });
}

TEST_P(SchedulerTest, StatsAddUp) {
  run([&] {
    std::vector<JoinHandle> handles;
    for (int i = 0; i < 10; ++i) handles.push_back(spawn([] { yield(); }));
    SchedulerStats stats = scheduler().stats();
    EXPECT_EQ(stats.workers, workers());
    EXPECT_LE(stats.fibers, 11u);
    EXPECT_GE(stats.fibers, 1u);
    EXPECT_GE(stats.fibers_running, 1u);
    for (JoinHandle& handle : handles) handle.join();
    stats = scheduler().stats();
    EXPECT_EQ(stats.fibers, 1u);
    EXPECT_EQ(stats.fibers_created, 11u);
    EXPECT_GE(stats.switches, 21u);
    EXPECT_EQ(stats.stack_bytes_in_use, 256u * 1024);
  });
}

using SchedulerDeathTest = FiberTest;
INSTANTIATE_TEST_SUITE_P(Workers, SchedulerDeathTest, testing::Values(1u), worker_name);

TEST_P(SchedulerDeathTest, AFiberMustNotStopItsScheduler) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(run([&] { scheduler().stop(); }), "stopped by a fiber");
}

TEST_P(SchedulerDeathTest, ReadyTwiceIsABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(run([&] { ready(current()); }), "not parked");
}

}  // namespace
}  // namespace tailrace::fiber
