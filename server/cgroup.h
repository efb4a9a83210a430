// What the control group allows this process: CPUs by quota, bytes of memory. Reads v2 and v1.
//
// In a container /proc/self/cgroup names a path of the host that does not exist below the mount:
// then the mount's root is ours. Limits of the groups above hold too, so the smallest on the way up
// counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tailrace::http {

struct CgroupLimits {
  std::optional<double> cpus;                 // quota / period
  std::optional<std::uint64_t> memory_bytes;  // nothing: no limit
};

// `root` is prefixed to /proc and /sys paths, for tests.
CgroupLimits read_cgroup_limits(const std::string& root = "");

// Workers to run: CPUs of the affinity mask, fewer if the quota allows fewer (rounded up); 1 to 64.
unsigned allowed_cpus(const CgroupLimits& limits);

}  // namespace tailrace::http
