#include "gcruntime/sync/alarm.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <vector>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/os/clock.h"
#include "gcruntime/sync/select.h"

namespace tailrace::fiber {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kLong = 60'000 * kMs;

using AlarmTest = FiberTest;
TAILRACE_FIBER_TESTS(AlarmTest);

TEST_P(AlarmTest, FiresOnceNotEarly) {
  run([] {
    const std::int64_t begin_ns = os::now_ns();
    Alarm alarm = after(3 * kMs);
    EXPECT_GE(alarm.wait(), begin_ns + 3 * kMs);
    EXPECT_FALSE(alarm.stop());
    EXPECT_EQ(select(on_alarm(alarm), on_timeout(2 * kMs)), 1u);
  });
}

TEST_P(AlarmTest, NothingComesAfterStopOrReset) {
  run([] {
    Alarm alarm(kLong);
    EXPECT_TRUE(alarm.stop());
    EXPECT_FALSE(alarm.stop());
    EXPECT_FALSE(alarm.reset(kMs));
    sleep_for_ns(5 * kMs);  // it has fired, nobody took it
    EXPECT_TRUE(alarm.stop());
    EXPECT_EQ(select(on_alarm(alarm), otherwise()), 1u);
    alarm.reset(kMs);
    sleep_for_ns(5 * kMs);
    const std::int64_t begin_ns = os::now_ns();
    EXPECT_TRUE(alarm.reset(2 * kMs));
    EXPECT_GE(alarm.wait(), begin_ns + 2 * kMs);
  });
}

TEST_P(AlarmTest, ATickerTicksAndDoesNotFallBehind) {
  run([] {
    Ticker ticker(2 * kMs);
    std::int64_t before_ns = 0;
    for (int tick = 0; tick < 5; ++tick) {
      const std::int64_t now_ns = ticker.wait();
      EXPECT_GT(now_ns, before_ns);
      before_ns = now_ns;
    }
    sleep_for_ns(20 * kMs);
    EXPECT_EQ(select(on_alarm(ticker), otherwise()), 0u);  // one is kept
    EXPECT_EQ(select(on_alarm(ticker), on_receive(static_cast<Channel<int>*>(nullptr))), 0u);
    EXPECT_TRUE(ticker.stop());
    EXPECT_EQ(select(on_alarm(ticker), on_timeout(5 * kMs)), 1u);
    ticker.reset(kMs);
    ticker.wait();
  });
}

// One tick is kept and the others are lost: they do not come in a row afterwards.
TEST_P(AlarmTest, ASlowReaderLosesTicks) {
  run([] {
    constexpr std::int64_t kPeriodNs = 2 * kMs;
    Ticker ticker(kPeriodNs);
    for (int turn = 0; turn < 5; ++turn) {
      sleep_for_ns(10 * kPeriodNs);
      const std::int64_t taken_ns = os::now_ns();
      ticker.wait();  // the one that was kept
      EXPECT_GT(ticker.wait(), taken_ns);
      EXPECT_GT(ticker.wait(), taken_ns + kPeriodNs) << "a lost tick was made up for";
    }
  });
}

TEST_P(AlarmTest, StoppedAndResetWhileOthersTakeTicks) {
  SchedulerOptions options;
  options.perturb_seed = base::test_seed(5);
  SCOPED_TRACE("TAILRACE_SEED=" + std::to_string(options.perturb_seed));
  start(options);
  run([] {
    Ticker ticker(100'000);
    CancelScope scope = with_cancel(Context::background());
    std::atomic<int> ticks{0};
    std::vector<JoinHandle> takers;
    for (int i = 0; i < 4; ++i) {
      takers.push_back(spawn([&] {
        bool ended = false;
        while (!ended) {
          select(on_alarm(ticker, [&](std::int64_t) { ++ticks; }),
                 on_done(scope, [&](ContextError) { ended = true; }));
        }
      }));
    }
    for (int turn = 0; turn < 100; ++turn) {
      const int seen = ticks;
      ticker.reset(50'000 + turn * 1000);
      ASSERT_TRUE(yield_until([&] { return ticks > seen + turn % 2; }));
      if (turn % 10 == 0) ticker.stop();
    }
    scope.cancel();
    for (JoinHandle& each : takers) each.join();
  });
}

TEST_P(AlarmTest, WhoeverWaitsForAnotherSchedulersAlarmStaysOnItsOwn) {
  Scheduler other(SchedulerOptions{.workers = 1});
  other.start();
  std::optional<Alarm> alarm;
  run([&] { alarm.emplace(20'000'000); });
  other
      .spawn([&] {
        alarm->wait();
        EXPECT_EQ(Scheduler::current(), &other);
      })
      .join();
  alarm.reset();
  other.stop();
}

}  // namespace
}  // namespace tailrace::fiber
