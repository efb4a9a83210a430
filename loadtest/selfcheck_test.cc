// What of a selfcheck is kept for a day, and what more workers are worth. The measuring itself is shown by
// the program: its figures depend on the machine.
#include "loadtest/selfcheck.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace tailrace::loadtest {
namespace {

class SelfcheckTest : public testing::Test {
 protected:
  SelfcheckTest() {
    char name[] = "/tmp/tailrace-selfcheck-XXXXXX";
    directory_ = ::mkdtemp(name);
    if (const char* before = ::getenv("XDG_CACHE_HOME")) before_ = before;
    ::setenv("XDG_CACHE_HOME", directory_.c_str(), 1);
    host_.cpus_allowed = 4;
    quiet_.most_rate_per_worker = 50'000;
  }
  ~SelfcheckTest() override {
    before_.empty() ? ::unsetenv("XDG_CACHE_HOME") : ::setenv("XDG_CACHE_HOME", before_.c_str(), 1);
    std::filesystem::remove_all(directory_);
  }

  std::string directory_, before_;
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

TEST(Ceiling, WorkersBeyondTheCpusAddNothing) {
  EXPECT_EQ(ceiling_of(50'000, 3, 4), 150'000);
  EXPECT_EQ(ceiling_of(50'000, 8, 4), 200'000);
}

}  // namespace
}  // namespace tailrace::loadtest
