#include "gcruntime/fiber/timed_wait.h"

#include <gtest/gtest.h>

#include <mutex>
#include <vector>

#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/os/clock.h"

namespace tailrace::fiber {
namespace {

using TimedWaitTest = FiberTest;
TAILRACE_FIBER_TESTS(TimedWaitTest);

// Where wakers find a wait. The lock is the one that the waiter takes to take itself out.
struct Place {
  std::mutex mutex;
  TimedWait* wait = nullptr;
};
struct Publication {
  Place* place;
  TimedWait* wait;
  static bool publish(Fiber*, void* argument) {
    const Publication self = *static_cast<Publication*>(argument);
    const std::lock_guard lock(self.place->mutex);
    self.place->wait = self.wait;
    return true;
  }
};
TimedWait::Outcome wait_at(Place& place, std::int64_t deadline_ns) {
  TimedWait wait;
  Publication publication{&place, &wait};
  const TimedWait::Outcome outcome =
      wait.wait(WaitReason::kOther, deadline_ns, Publication::publish, &publication);
  const std::lock_guard lock(place.mutex);
  place.wait = nullptr;
  return outcome;
}
bool wake_at(Place& place) {
  const std::lock_guard lock(place.mutex);
  TimedWait* const wait = std::exchange(place.wait, nullptr);
  return wait != nullptr && wait->wake();
}

TEST_P(TimedWaitTest, SleepersWakeInOrderOfTheirDeadlines) {
  run([&] {
    // In one heap the order is exact. Which worker runs a fiber is not, so the wakes are ordered by
    // one fiber at a time: each sleeper looks that all shorter ones were due.
    std::vector<JoinHandle> handles;
    for (int i : {5, 1, 4, 2, 3}) {
      handles.push_back(spawn([i] {
        const std::int64_t begin = os::now_ns();
        sleep_for_ns(i * 2'000'000);
        EXPECT_GE(os::now_ns() - begin, i * 2'000'000);
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
  });
}

TEST_P(TimedWaitTest, AWakeComesFirst) {
  run([] {
    Place place;
    JoinHandle waiter =
        spawn([&] { EXPECT_EQ(wait_at(place, TimedWait::kNever), TimedWait::Outcome::kWoken); });
    EXPECT_TRUE(yield_until([&] { return wake_at(place); }));
    waiter.join();

    waiter = spawn([&] {
      EXPECT_EQ(wait_at(place, os::now_ns() + 3'600'000'000'000), TimedWait::Outcome::kWoken);
    });
    EXPECT_TRUE(yield_until([&] { return wake_at(place); }));
    waiter.join();  // and the timer is gone: stop() would wait an hour for a fiber, not for a timer
  });
}

TEST_P(TimedWaitTest, TheDeadlineComesFirst) {
  run([] {
    Place place;
    EXPECT_EQ(wait_at(place, os::now_ns() + 1'000'000), TimedWait::Outcome::kTimedOut);
    EXPECT_FALSE(wake_at(place));
    EXPECT_EQ(wait_at(place, 0), TimedWait::Outcome::kTimedOut);  // long past
  });
}

TEST_P(TimedWaitTest, ACommitThatReturnsFalseEndsTheWait) {
  run([] {
    TimedWait wait;
    EXPECT_EQ(wait.wait(WaitReason::kOther, os::now_ns() + 3'600'000'000'000,
                        [](Fiber*, void*) { return false; }),
              TimedWait::Outcome::kWoken);
  });
}

TEST_P(TimedWaitTest, ADeadlineNeverComesBeforeThePublication) {
  // The deadline is past and the commit takes so long that other workers look after this one's
  // timers.
  run([] {
    for (int round = 0; round < 5; ++round) {
      std::atomic<bool> published{false};
      TimedWait wait;
      EXPECT_EQ(wait.wait(
                    WaitReason::kOther, os::now_ns(),
                    [](Fiber*, void* flag) {
                      std::this_thread::sleep_for(std::chrono::milliseconds(5));
                      *static_cast<std::atomic<bool>*>(flag) = true;
                      return true;
                    },
                    &published),
                TimedWait::Outcome::kTimedOut);
      EXPECT_TRUE(published);
    }
  });
}

// Deadlines and wakes fall together; for every wait exactly one side must have won, and both sides
// must agree which.
TEST_P(TimedWaitTest, ExactlyOneSideWins) {
  constexpr int kWaiters = 16;
  constexpr int kRounds = 200;
  std::atomic<int> woken{0};
  std::atomic<int> timed_out{0};
  std::atomic<int> won_wakes{0};
  std::atomic<int> left{kWaiters};
  SchedulerOptions options;
  options.perturb_seed = 5;
  start(options);
  run([&] {
    std::vector<Place> places(kWaiters);
    std::vector<JoinHandle> handles;
    for (Place& place : places) {
      handles.push_back(spawn([&] {
        for (int round = 0; round < kRounds; ++round) {
          const std::int64_t delay_ns = round % 5 * 20'000;
          if (wait_at(place, os::now_ns() + delay_ns) == TimedWait::Outcome::kWoken) {
            ++woken;
          } else {
            ++timed_out;
          }
        }
        --left;
      }));
    }
    for (int waker = 0; waker < 2; ++waker) {
      handles.push_back(spawn([&] {
        while (left != 0) {
          for (Place& place : places) won_wakes += wake_at(place) ? 1 : 0;
          yield();
        }
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
  });
  EXPECT_EQ(woken + timed_out, kWaiters * kRounds);
  EXPECT_EQ(woken, won_wakes);
}

TEST_P(TimedWaitTest, ThousandsOfSleepers) {
  std::atomic<int> ended{0};
  for (int i = 0; i < 3000; ++i) {
    scheduler().spawn([&, i] {
      sleep_for_ns(i % 10 * 1'000'000);
      ++ended;
    });
  }
  scheduler().stop();
  EXPECT_EQ(ended, 3000);
}

}  // namespace
}  // namespace tailrace::fiber
