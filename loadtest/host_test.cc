// What is read of this host, and the arithmetic of stolen time.
#include "loadtest/host.h"

#include <gtest/gtest.h>

namespace tailrace::loadtest {
namespace {

TEST(HostTest, KnowsThisHost) {
  const Host host = read_host();
  EXPECT_FALSE(host.cpu_model.empty());
  EXPECT_GE(host.cpus_allowed, 1U);
  EXPECT_EQ(host.cpus_allowed, allowed_cpus().size());
  EXPECT_TRUE(host.kernel.starts_with("Linux ")) << host.kernel;
  EXPECT_FALSE(host.governor.empty());
  EXPECT_FALSE(host.hypervisor.empty());
  EXPECT_GT(host.memory_bytes, 1U << 20);
  EXPECT_EQ(host.fingerprint(), read_host().fingerprint());
}

TEST(HostTest, ReadsTheCpuLine) {
  const auto times = parse_cpu_times("cpu  100 20 30 400 5 6 7 80 1 2");
  ASSERT_TRUE(times);
  EXPECT_EQ(times->steal, 80U);
  EXPECT_EQ(times->all, 648U) << "guests are counted in user and nice already";
  for (const char* bad : {"", "cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 3", "cpu  1 2 3 4 5 6 7 x"}) {
    EXPECT_FALSE(parse_cpu_times(bad)) << bad;
  }
}

TEST(HostTest, StealIsAShareOfAllCpus) {
  EXPECT_DOUBLE_EQ(steal_share({1000, 10}, {1400, 30}), 0.05);
  EXPECT_DOUBLE_EQ(steal_share({1000, 10}, {1000, 10}), 0);
  EXPECT_DOUBLE_EQ(steal_share({1000, 10}, {1400, 5}), 0)
      << "a counter that goes back tells nothing";
  StealMeter meter;
  const double share = meter.share();
  EXPECT_GE(share, 0);
  EXPECT_LE(share, 1);
}

}  // namespace
}  // namespace tailrace::loadtest
