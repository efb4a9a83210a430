// What of a selfcheck is kept for a day, and what more workers are worth. The measuring itself is shown by
// the program: its figures depend on the machine.
#include "loadtest/selfcheck.h"

#include <gtest/gtest.h>

#include "loadtest/test_cache.h"

namespace tailrace::loadtest {
namespace {

class SelfcheckTest : public testing::Test {
 protected:
  SelfcheckTest() {
    host_.cpus_allowed = 4;
    quiet_.most_rate_per_worker = 50'000;
  }

  const TestCache cache_;
  Host host_;
  Selfcheck quiet_;
};

TEST_F(SelfcheckTest, IsRememberedForTheSameHostAndWayToWait) {
  SelfcheckSettings settings;
  EXPECT_FALSE(remembered_selfcheck(host_, settings).has_value());
  ASSERT_TRUE(remember_selfcheck(host_, settings, quiet_));
  settings.workers = 3;
  const auto found = remembered_selfcheck(host_, settings);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->most_rate, 150'000);
  settings.idle = Idle::kSleep;
  EXPECT_FALSE(remembered_selfcheck(host_, settings).has_value());
  settings.idle = Idle::kHybrid;
  settings.pin = true;
  EXPECT_FALSE(remembered_selfcheck(host_, settings).has_value());
  settings.pin = false;
  host_.cpus_allowed = 5;
  EXPECT_FALSE(remembered_selfcheck(host_, settings).has_value());
}

TEST_F(SelfcheckTest, OneOfANoisyHostIsForgotten) {
  ASSERT_TRUE(remember_selfcheck(host_, {}, quiet_));
  Selfcheck noisy = quiet_;
  noisy.lateness_p99_ns = 5e6;
  ASSERT_EQ(grade_of(noisy), 'D');
  EXPECT_FALSE(remember_selfcheck(host_, {}, noisy));
  EXPECT_FALSE(remembered_selfcheck(host_, {}).has_value()) << "nor is what was true before";
  Selfcheck none = quiet_;
  none.most_rate_per_worker = 0;
  EXPECT_FALSE(remember_selfcheck(host_, {}, none));
}

// What comes back late, is taken up late, or waits for a connection is not kept up with.
TEST(Ceiling, AWorkerKeepsUpOnlyIfNothingWaits) {
  struct Case {
    std::int64_t lateness_ns, queue_ns;
    std::uint64_t completed;
    bool kept;
  };
  for (const Case& each : {Case{10'000, 0, 100, true}, Case{10'000, 4'000'000, 98, true},
                           Case{2'000'000, 0, 100, false}, Case{10'000, 6'000'000, 100, false},
                           Case{10'000, 0, 97, false}}) {
    Latencies lateness;
    Latencies queue;
    for (int i = 0; i < 100; ++i) {
      lateness.record(each.lateness_ns);
      queue.record(each.queue_ns);
    }
    Measurement measurement;
    measurement.seconds.resize(1);
    measurement.seconds[0].counts.planned = 100;
    measurement.seconds[0].counts.completed = each.completed;
    measurement.seconds[0].lateness = SparseHistogram::of(lateness);
    measurement.seconds[0].client_queue = SparseHistogram::of(queue);
    EXPECT_EQ(keeps_up(measurement), each.kept) << each.lateness_ns << ' ' << each.queue_ns;
  }
}

TEST(Ceiling, WorkersBeyondTheCpusAddNothing) {
  EXPECT_EQ(ceiling_of(50'000, 3, 4), 150'000);
  EXPECT_EQ(ceiling_of(50'000, 8, 4), 200'000);
}

}  // namespace
}  // namespace tailrace::loadtest
