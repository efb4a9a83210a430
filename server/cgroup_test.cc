// The control group's limits, read from trees of files as containers and hosts show them.
#include "server/cgroup.h"

#include <gtest/gtest.h>

#include <sched.h>
#include <sys/fsuid.h>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gcruntime/base/test_no_descriptors.h"

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
  CgroupLimits read() const {
    CgroupReader reader(root_);
    return read(reader);
  }
  static CgroupLimits read(CgroupReader& reader) {
    CgroupLimits limits;
    EXPECT_EQ(reader.read(limits), std::nullopt);
    return limits;
  }
  // The lines of one v1 container: `path` in /proc/self/cgroup, `shown` as the mounts' root.
  void write_v1(const std::string& path, const std::string& shown) {
    write("/proc/self/cgroup",
          "4:memory:" + path + "\n3:cpu,cpuacct:" + path + "\n1:name=systemd:/\n");
    write("/proc/self/mountinfo",
          "31 1 0:27 " + shown + " /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n32 1 0:28 " +
              shown + " /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n");
  }
  void write_v1_limits(const std::string& group, const std::string& memory,
                       const std::string& quota, const std::string& period) {
    write("/sys/fs/cgroup/memory" + group + "/memory.limit_in_bytes", memory + "\n");
    write("/sys/fs/cgroup/cpu,cpuacct" + group + "/cpu.cfs_quota_us", quota + "\n");
    write("/sys/fs/cgroup/cpu,cpuacct" + group + "/cpu.cfs_period_us", period + "\n");
  }

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

TEST_F(CgroupTest, V2WordsForNoLimit) {
  write("/proc/self/cgroup", "0::/\n");
  write("/proc/self/mountinfo", kV2Mount);
  write("/sys/fs/cgroup/cpu.max", "max 100000\n");
  write("/sys/fs/cgroup/memory.max", "max\n");
  write("/sys/fs/cgroup/memory.high", "max\n");
  EXPECT_EQ(read(), CgroupLimits{});
}

TEST_F(CgroupTest, TheSmallerOfHighAndMaxCounts) {
  write("/proc/self/cgroup", "0::/a\n");
  write("/proc/self/mountinfo", kV2Mount);
  write("/sys/fs/cgroup/a/memory.max", "268435456\n");
  EXPECT_EQ(read().memory_bytes, 268435456u);
  write("/sys/fs/cgroup/a/memory.high", "200000000\n");
  EXPECT_EQ(read().memory_bytes, 200000000u);
  write("/sys/fs/cgroup/a/memory.high", "300000000\n");
  EXPECT_EQ(read().memory_bytes, 268435456u);
  write("/sys/fs/cgroup/memory.high", "100000000\n");  // of the group above
  EXPECT_EQ(read().memory_bytes, 100000000u);
}

TEST_F(CgroupTest, AMountMayShowAPartOfV2) {
  write("/proc/self/cgroup", "0::/pod/box/inner\n");
  write("/proc/self/mountinfo",
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "30 20 0:26 /pod/box /sys/fs/cgroup ro,nosuid shared:9 master:3 - cgroup2 cgroup rw\n");
  write("/sys/fs/cgroup/memory.max", "800\n");
  write("/sys/fs/cgroup/inner/cpu.max", "50000 100000\n");
  EXPECT_EQ(read(), (CgroupLimits{.cpus = 0.5, .memory_bytes = 800}));
  // /pod/boxes is not below /pod/box.
  write("/proc/self/cgroup", "0::/pod/boxes/inner\n");
  EXPECT_EQ(read(), (CgroupLimits{.cpus = {}, .memory_bytes = 800}));
}

TEST_F(CgroupTest, TheMountThatShowsOurGroupWins) {
  write("/proc/self/cgroup", "0::/a\n");
  write("/proc/self/mountinfo",
        "30 20 0:26 /b /other rw - cgroup2 none rw\n"
        "31 20 0:26 / /sys/fs/c\\040group rw - cgroup2 none rw\n");
  write("/other/memory.max", "1\n");
  write("/sys/fs/c group/a/memory.max", "4096\n");
  EXPECT_EQ(read().memory_bytes, 4096u);
}

TEST_F(CgroupTest, V1ReadsItsTwoHierarchies) {
  write_v1("/docker/x", "/docker/x");
  write_v1_limits("", "268435456", "300000", "100000");
  EXPECT_EQ(read(), (CgroupLimits{.cpus = 3.0, .memory_bytes = 268435456}));
}

// As podman shows it: a path of the host, and mounts whose root is named by another path.
TEST_F(CgroupTest, V1HostPathThatIsNotMounted) {
  write_v1("/libpod_parent/libpod-1", "/");
  write_v1_limits("", "268435456", "150000", "100000");
  EXPECT_EQ(read(), (CgroupLimits{.cpus = 1.5, .memory_bytes = 268435456}));
}

TEST_F(CgroupTest, V1NestedTakesTheSmallest) {
  write_v1("/a/b", "/");
  write_v1_limits("/a/b", "9223372036854771712", "-1", "100000");
  write_v1_limits("/a", "1000000", "250000", "100000");
  write_v1_limits("", "9223372036854771712", "-1", "100000");
  EXPECT_EQ(read(), (CgroupLimits{.cpus = 2.5, .memory_bytes = 1000000}));
  // A group above that the mount does not show.
  write("/sys/fs/cgroup/memory/a/b/memory.stat",
        "cache 5\nhierarchical_memory_limit 700000\nhierarchical_memsw_limit 1\n");
  EXPECT_EQ(read().memory_bytes, 700000u);
}

TEST_F(CgroupTest, V1WritesItsOwnWordsForNoLimit) {
  write_v1("/", "/");
  for (const char* huge : {"9223372036854771712", "9223372036854710272", "18446744073709551615",
                           "18446744073709547520", "1152921504606846976"}) {
    write_v1_limits("", huge, "-1", "100000");
    write("/sys/fs/cgroup/memory/memory.stat",
          std::string("hierarchical_memory_limit ") + huge + "\n");
    EXPECT_EQ(read(), CgroupLimits{}) << huge;
  }
}

TEST_F(CgroupTest, HybridWithMemoryInV1) {
  write("/proc/self/cgroup", "5:memory:/m\n0::/u\n");
  write("/proc/self/mountinfo",
        "31 1 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "32 1 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup rw,nsdelegate\n");
  write("/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "5000000\n");
  write("/sys/fs/cgroup/unified/u/cpu.max", "400000 100000\n");
  EXPECT_EQ(read(), (CgroupLimits{.cpus = 4.0, .memory_bytes = 5000000}));
}

TEST_F(CgroupTest, HybridWithMemoryInV2) {
  write("/proc/self/cgroup", "5:cpu,cpuacct:/c\n0::/u\n");
  write("/proc/self/mountinfo",
        "31 1 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
        "32 1 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup rw\n");
  write("/sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "50000\n");
  write("/sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "25000\n");
  write("/sys/fs/cgroup/unified/u/memory.max", "6000000\n");
  EXPECT_EQ(read(), (CgroupLimits{.cpus = 2.0, .memory_bytes = 6000000}));
}

// What is malformed limits nothing, and what is not beside it still does.
TEST_F(CgroupTest, GarbageIsNoLimit) {
  write("/proc/self/cgroup", "0::/a\n");
  write("/proc/self/mountinfo", kV2Mount);
  for (const char* bad :
       {"", "\n", "150000\n", "x 100000\n", "150000 x\n", "150000 0\n", "0 100000\n", "-5 100000\n",
        "150000 100000 7\n", "1.5 100000\n", " 150000 100000\n", "99999999999999999999 100000\n"}) {
    write("/sys/fs/cgroup/a/cpu.max", bad);
    EXPECT_FALSE(read().cpus) << bad;
  }
  for (const char* bad : {"", "\n", "0\n", "-1\n", "12MiB\n", "0x1000\n", "lots\n",
                          "99999999999999999999\n", "4096 \n"}) {
    write("/sys/fs/cgroup/a/memory.max", bad);
    write("/sys/fs/cgroup/memory.max", "8192\n");
    EXPECT_EQ(read().memory_bytes, 8192u) << bad;
  }
}

TEST_F(CgroupTest, MissingFilesAreNoLimit) {
  write_v1("/", "/");
  EXPECT_EQ(read(), CgroupLimits{});
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "150000\n");  // without a period
  EXPECT_EQ(read(), CgroupLimits{});
  write("/proc/self/mountinfo", "31 1 0:27 /\n30 x\n - cgroup2\n- cgroup2 cgroup2 rw\n");
  EXPECT_EQ(read(), CgroupLimits{});
  write("/proc/self/cgroup", "nonsense\n::\n:\n0:\n");
  EXPECT_EQ(read(), CgroupLimits{});
}

TEST_F(CgroupTest, OneReaderSeesChanges) {
  CgroupReader reader(root_);
  EXPECT_EQ(read(reader), CgroupLimits{});
  write("/proc/self/cgroup", "0::/a\n");
  write("/proc/self/mountinfo", kV2Mount);
  write("/sys/fs/cgroup/a/memory.max", "1000\n");
  write("/sys/fs/cgroup/b/memory.max", "3000\n");
  EXPECT_EQ(read(reader).memory_bytes, 1000u);
  write("/sys/fs/cgroup/a/memory.max", "2000\n");
  EXPECT_EQ(read(reader).memory_bytes, 2000u);
  write("/sys/fs/cgroup/a/memory.max", "max\n");
  EXPECT_FALSE(read(reader).memory_bytes);
  write("/proc/self/cgroup", "0::/b\n");  // moved
  EXPECT_EQ(read(reader).memory_bytes, 3000u);
}

// Where no file can be opened, or one cannot be read, nothing is known: that is no lack of limits.
TEST_F(CgroupTest, WhatCannotBeReadIsNotTakenForNoLimit) {
  constexpr CgroupLimits kBefore{.cpus = 7.0, .memory_bytes = 7};
  const auto fails = [&](CgroupReader& reader, const char* file) {
    CgroupLimits limits = kBefore;
    const std::optional<std::string> error = reader.read(limits);
    EXPECT_EQ(limits, kBefore);
    EXPECT_TRUE(error && error->find(file) != std::string::npos) << error.value_or("no error");
  };
  const auto write_group = [&](const std::string& group) {
    write("/proc/self/cgroup", "3:memory:" + group + "\n0::" + group + "\n");
    write("/sys/fs/cgroup" + group + "/memory.max", "1000\n");
    write("/v1" + group + "/memory.limit_in_bytes", "2000\n");
  };
  write("/proc/self/mountinfo",
        std::string(kV2Mount) + "31 20 0:27 / /v1 rw - cgroup cgroup rw,memory\n");
  write_group("/a");
  CgroupReader reader(root_);
  EXPECT_EQ(read(reader).memory_bytes, 1000u);
  {
    const base::NoDescriptors none;
    fails(reader, "/proc/self/cgroup");
  }
  EXPECT_EQ(read(reader).memory_bytes, 1000u);
  // It can be opened, and its first byte is no memory: EIO.
  const auto spoil = [&](const char* file) {
    std::filesystem::remove(root_ + file);
    std::filesystem::create_symlink("/proc/self/mem", root_ + file);
  };
  for (const char* file :
       {"/sys/fs/cgroup/a/cpu.max", "/sys/fs/cgroup/a/memory.max", "/sys/fs/cgroup/memory.high",
        "/v1/a/memory.limit_in_bytes", "/v1/memory.stat", "/proc/self/cgroup"}) {
    spoil(file);
    fails(reader, file);
    std::filesystem::remove(root_ + file);
    write_group("/a");
    EXPECT_EQ(read(reader).memory_bytes, 1000u) << file;
  }
  // Nor are the groups lost that are to be found anew.
  write_group("/b");
  std::filesystem::rename(root_ + "/proc/self/mountinfo", root_ + "/mountinfo");
  spoil("/proc/self/mountinfo");
  fails(reader, "/proc/self/mountinfo");
  std::filesystem::remove(root_ + "/proc/self/mountinfo");
  std::filesystem::rename(root_ + "/mountinfo", root_ + "/proc/self/mountinfo");
  write("/sys/fs/cgroup/b/memory.max", "500\n");
  EXPECT_EQ(read(reader).memory_bytes, 500u);
}

// As uid 65532 in a container sees it: what it may not read is no reason to follow nothing.
TEST_F(CgroupTest, WhatIsNotOursToReadLimitsNothing) {
  write("/proc/self/cgroup", "3:memory:/a\n0::/a\n");
  write("/proc/self/mountinfo",
        std::string(kV2Mount) + "31 20 0:27 / /v1 rw - cgroup cgroup rw,memory\n");
  write("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  write("/sys/fs/cgroup/a/memory.max", "1000\n");
  write("/sys/fs/cgroup/a/memory.high", "500\n");
  write("/v1/a/memory.limit_in_bytes", "200\n");
  using std::filesystem::perms;
  std::filesystem::permissions(root_, perms::all);
  std::filesystem::permissions(root_ + "/sys/fs/cgroup/a/memory.high", perms::none);
  std::filesystem::permissions(root_ + "/v1", perms::none);
  // The superuser may read all; without his name on files this thread may not. Others have no other name.
  const int before = ::setfsuid(65532);
  CgroupLimits limits;
  const std::optional<std::string> error = CgroupReader(root_).read(limits);
  ::setfsuid(static_cast<uid_t>(before));
  std::filesystem::permissions(root_ + "/v1", perms::all);
  EXPECT_EQ(error, std::nullopt);
  EXPECT_EQ(limits, (CgroupLimits{.cpus = 1.5, .memory_bytes = 1000}));
  // Nor is it with what can never be read.
  std::filesystem::create_directory(root_ + "/sys/fs/cgroup/memory.max");
  EXPECT_EQ(read().cpus, 1.5);
}

TEST(SoftLimit, IsNineTenthsWithoutOverflow) {
  EXPECT_EQ(soft_limit_of(0), 0u);
  EXPECT_EQ(soft_limit_of(1), 0u);
  EXPECT_EQ(soft_limit_of(9), 8u);
  EXPECT_EQ(soft_limit_of(10), 9u);
  EXPECT_EQ(soft_limit_of(19), 17u);
  EXPECT_EQ(soft_limit_of(268435456), 241591910u);
  for (const std::uint64_t bytes :
       {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 9, UINT64_MAX / 9 + 1}) {
    EXPECT_EQ(soft_limit_of(bytes),
              static_cast<std::uint64_t>(static_cast<unsigned __int128>(bytes) * 9 / 10));
  }
}

TEST(AllowedCpus, QuotaRoundsUpAndIsAtLeastOne) {
  const unsigned mask = allowed_cpus({});
  EXPECT_GE(mask, 1u);
  EXPECT_EQ(allowed_cpus({.cpus = 0.2, .memory_bytes = {}}), 1u);
  EXPECT_EQ(allowed_cpus({.cpus = 1.5, .memory_bytes = {}}), std::min(2u, mask));
  EXPECT_EQ(allowed_cpus({.cpus = 1000, .memory_bytes = {}}), mask);
  EXPECT_EQ(allowed_cpus({.cpus = 1e300, .memory_bytes = {}}), mask);
  EXPECT_EQ(mask, std::min(affinity_cpus(), 64u));
  EXPECT_LE(affinity_cpus(), online_cpus());
}

TEST(AllowedCpus, FollowsTheAffinityMask) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i) {
    if (CPU_ISSET(i, &before)) CPU_SET(i, &one);
  }
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(allowed_cpus({}), 1u);
  ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(allowed_cpus({}), std::min<unsigned>(static_cast<unsigned>(CPU_COUNT(&before)), 64u));
}

}  // namespace
}  // namespace tailrace::http
