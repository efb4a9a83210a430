// The control group's limits, read from trees of files as containers and hosts show them.
#include "server/cgroup.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace tailrace::http {
namespace {

class CgroupTest : public testing::Test {
 protected:
  CgroupTest() {
    std::string path = (std::filesystem::temp_directory_path() / "tailrace-cgroup-XXXXXX").string();
    root_ = ::mkdtemp(path.data());
  }
  ~CgroupTest() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  CgroupLimits read() const { return read_cgroup_limits(root_); }

  std::string root_;
};

constexpr char kV2Mount[] = "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

TEST_F(CgroupTest, NothingMeansNoLimit) {
  const CgroupLimits limits = read();
  EXPECT_FALSE(limits.cpus);
  EXPECT_FALSE(limits.memory_bytes);
}

TEST_F(CgroupTest, V2TakesTheSmallestOnTheWayUp) {
  write("/proc/self/cgroup", "0::/a/b\n");
  write("/proc/self/mountinfo", kV2Mount);
  write("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  write("/sys/fs/cgroup/a/b/memory.max", "1000000\n");
  write("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  write("/sys/fs/cgroup/a/memory.max", "500000\n");
  write("/sys/fs/cgroup/memory.max", "max\n");
  const CgroupLimits limits = read();
  EXPECT_EQ(limits.cpus, 1.5);
  EXPECT_EQ(limits.memory_bytes, 500000u);
}

TEST_F(CgroupTest, AHostPathThatIsNotMountedFallsBackToTheRoot) {
  write("/proc/self/cgroup", "0::/kubepods/pod1/abc\n");
  write("/proc/self/mountinfo", kV2Mount);
  write("/sys/fs/cgroup/cpu.max", "50000 100000\n");
  write("/sys/fs/cgroup/memory.max", "4096\n");
  const CgroupLimits limits = read();
  EXPECT_EQ(limits.cpus, 0.5);
  EXPECT_EQ(limits.memory_bytes, 4096u);
}

TEST_F(CgroupTest, APathAboveTheNamespaceIsTheRoot) {
  write("/proc/self/cgroup", "0::/../../outside\n");
  write("/proc/self/mountinfo", kV2Mount);
  write("/sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(read().cpus, 2.0);
}

TEST_F(CgroupTest, V1ReadsItsTwoHierarchies) {
  write("/proc/self/cgroup", "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n1:name=systemd:/\n");
  write("/proc/self/mountinfo",
        "31 1 0:27 /docker/x /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
        "32 1 0:28 /docker/x /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "300000\n");
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  const CgroupLimits limits = read();
  EXPECT_EQ(limits.cpus, 3.0);
  EXPECT_EQ(limits.memory_bytes, 268435456u);
}

TEST_F(CgroupTest, V1WritesItsOwnWordsForNoLimit) {
  write("/proc/self/cgroup", "4:memory:/\n3:cpu,cpuacct:/\n");
  write("/proc/self/mountinfo",
        "31 1 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "32 1 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  const CgroupLimits limits = read();
  EXPECT_FALSE(limits.cpus);
  EXPECT_FALSE(limits.memory_bytes);
}

TEST(AllowedCpus, QuotaRoundsUpAndIsAtLeastOne) {
  const unsigned mask = allowed_cpus({});
  EXPECT_GE(mask, 1u);
  EXPECT_EQ(allowed_cpus({.cpus = 0.2, .memory_bytes = {}}), 1u);
  EXPECT_EQ(allowed_cpus({.cpus = 1.5, .memory_bytes = {}}), std::min(2u, mask));
  EXPECT_EQ(allowed_cpus({.cpus = 1000, .memory_bytes = {}}), mask);
}

}  // namespace
}  // namespace tailrace::http
