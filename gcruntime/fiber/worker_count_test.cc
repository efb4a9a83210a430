// The scheduler at 1, 2, 3, 8 and 64 workers, on however few processors: starting and stopping, storms
// of steals, waking, polls that few workers make for all, and a number of workers that changes.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/base/test_seed.h"
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

// --- [fiber.bench] The number that may run fibers goes down and up.

// With one worker nobody is ever benched.
using ResizedTest = FiberTest;
INSTANTIATE_TEST_SUITE_P(Workers, ResizedTest, testing::Values(2u, 3u, 8u, 64u), worker_name);

// Another thread that sets the number at random, once for each call: it rings, and if it came again, that would
// repair the wake that it had made somebody lose.
class Resizer {
 public:
  explicit Resizer(Scheduler& scheduler) : thread_([this, &scheduler] { run(scheduler); }) {}
  ~Resizer() {
    asked_ = kEnough;
    thread_.join();
  }
  void change() { ++asked_; }
  // Until it has.
  void wait() const {
    EXPECT_TRUE(spin_until([this] { return changed_ == asked_; }));
  }

 private:
  static constexpr unsigned kEnough = UINT32_MAX;

  void run(Scheduler& scheduler) {
    std::mt19937_64 random(base::test_seed());
    for (;;) {
      const unsigned asked = asked_;
      if (asked == kEnough) return;
      if (asked == changed_) {
        std::this_thread::yield();
        continue;
      }
      // Before, while or after that is submitted which it is to race.
      for (std::uint64_t turns = random() % 4096; turns > 0; --turns) __builtin_ia32_pause();
      const unsigned wanted = 1 + static_cast<unsigned>(random() % scheduler.workers());
      EXPECT_EQ(scheduler.set_active_workers(wanted), wanted);
      changed_ = asked;
    }
  }

  std::atomic<unsigned> asked_{0};
  std::atomic<unsigned> changed_{0};
  std::thread thread_;
};

// As many fibers as that at once, none of which lets its worker go.
bool all_at_once(Scheduler& scheduler, unsigned count) {
  std::atomic<unsigned> begun{0};
  std::atomic<bool> in_time{true};
  std::vector<JoinHandle> held;
  for (unsigned i = 0; i < count; ++i) {
    held.push_back(scheduler.spawn([&] {
      ++begun;
      if (!spin_until([&] { return begun == count; })) in_time = false;
    }));
  }
  for (JoinHandle& each : held) each.join();
  return in_time;
}

TEST_P(ResizedTest, NothingIsLostWhileTheNumberChanges) {
  SCOPED_TRACE("seed " + std::to_string(base::test_seed()));
  constexpr int kRounds = 60;
  SchedulerOptions options;
  options.perturb_seed = 815 + workers();
  Scheduler& own = start(options);
  std::atomic<int> ran{0};
  {
    Resizer resizer(own);
    for (int round = 0; round < kRounds; ++round) {
      resizer.change();
      own.run([&] {
        std::vector<JoinHandle> children;
        for (int i = 0; i < 200; ++i) {
          children.push_back(spawn([&, i] {
            if (i % 3 == 0) yield();
            if (i % 20 == 0) sleep_for_ns(200'000);
            if (i % 5 == 0) spawn([] { yield(); }).join();
            ++ran;
          }));
        }
        for (JoinHandle& child : children) child.join();
      });
      resizer.wait();
    }
  }
  EXPECT_EQ(ran, kRounds * 200);
  own.set_active_workers(workers());
  EXPECT_TRUE(all_at_once(own, workers()));
}

TEST_P(ResizedTest, NoWakeIsLostWhileTheNumberChanges) {
  SCOPED_TRACE("seed " + std::to_string(base::test_seed()));
  Scheduler& own = start();
  Resizer resizer(own);
  for (int round = 0; round < 500; ++round) {
    std::atomic<bool> ran{false};
    resizer.change();
    own.spawn([&, round] {
      // Woken on a worker that may be on the bench by then.
      if (round % 2 == 0) sleep_for_ns(50'000);
      spawn([&] { ran = true; });
    });
    ASSERT_TRUE(spin_until([&] { return ran.load(); })) << "round " << round;
    resizer.wait();
  }
}

TEST_P(ResizedTest, OneRunsAllThatAreReady) {
  Scheduler& own = start();
  std::atomic<bool> enough{false};
  std::vector<std::atomic<unsigned>> seen(workers());
  std::vector<JoinHandle> loops;
  for (unsigned i = 0; i < 3 * workers(); ++i) {
    loops.push_back(own.spawn([&] {
      while (!enough) {
        ++seen[static_cast<unsigned>(Scheduler::current_worker())];
        yield();
      }
    }));
  }
  EXPECT_EQ(own.set_active_workers(1), 1u);
  EXPECT_EQ(own.stats().workers, 1u);
  for (std::atomic<unsigned>& each : seen) each = 0;
  EXPECT_TRUE(spin_until([&] { return seen[0] >= 100 * loops.size(); }));
  // Each may finish the slice that it is in, or has just decided to begin, however late.
  for (unsigned i = 1; i < workers(); ++i) EXPECT_LE(seen[i], 1u) << "worker " << i;
  enough = true;
  for (JoinHandle& loop : loops) loop.join();
  EXPECT_EQ(own.set_active_workers(workers()), workers());
  EXPECT_TRUE(all_at_once(own, workers()));
}

// Sockets and timers stay where they are, and are served there.
TEST_P(ResizedTest, BenchedWorkersPollAndKeepTime) {
  FakeNetpoll netpoll;
  SchedulerOptions options;
  options.netpoll = &netpoll;
  options.perturb_seed = 2311 + workers();
  Scheduler& own = start(options);
  std::atomic<unsigned> awake{0};
  std::vector<JoinHandle> sleepers;
  for (unsigned i = 0; i < 4 * workers(); ++i) {
    sleepers.push_back(own.spawn([&] {
      sleep_for_ns(20'000'000);
      ++awake;
    }));
  }
  own.set_active_workers(1);
  struct Polled : Job {
    std::atomic<unsigned>* counter = nullptr;
  };
  std::atomic<unsigned> served{0};
  for (unsigned round = 1; round <= 20; ++round) {
    std::vector<Polled> polled(workers());
    for (unsigned i = 0; i < workers(); ++i) {
      polled[i].counter = &served;
      polled[i].run = [](Job* self) { ++*static_cast<Polled*>(self)->counter; };
      netpoll.add(i, static_cast<Job*>(&polled[i]));
    }
    ASSERT_TRUE(spin_until([&] { return served == round * workers(); })) << "round " << round;
  }
  for (JoinHandle& sleeper : sleepers) sleeper.join();
  EXPECT_EQ(awake, 4 * workers());
  own.stop();
}

TEST_P(WorkerCountTest, ThreadsStartWhenTheyAreWanted) {
  SchedulerOptions options;
  options.workers = 1;
  options.most_workers = workers();
  Scheduler own(options);
  EXPECT_EQ(own.workers(), workers());
  EXPECT_EQ(own.active_workers(), 1u);
  own.start();
  EXPECT_TRUE(all_at_once(own, 1));
  for (unsigned count = 1; count <= workers(); count = 2 * count + 1) {
    EXPECT_EQ(own.set_active_workers(count), count);
    EXPECT_TRUE(all_at_once(own, count)) << count;
  }
  // Stopped with some of them on the bench, and fibers that sleep at home there.
  std::atomic<unsigned> ran{0};
  for (unsigned i = 0; i < 4 * workers(); ++i) {
    own.spawn([&] {
      sleep_for_ns(3'000'000);
      ++ran;
    });
  }
  own.set_active_workers(1);
  own.stop();
  EXPECT_EQ(ran, 4 * workers());
  EXPECT_EQ(own.stats().fibers, 0u);
}

}  // namespace
}  // namespace tailrace::fiber
