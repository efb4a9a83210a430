// What the control group allows this process: CPUs by quota, bytes of memory. Reads v2 and v1, and the
// mixtures of both, where each controller lives in one of them and its files are missing in the other.
//
// In a container /proc/self/cgroup names a path of the host that does not exist below the mount:
// then the mount's root is ours. Limits of the groups above hold too, so the smallest on the way up
// counts. What is missing, malformed or not ours to read limits nothing: a limit that was guessed would cost
// more. What cannot be read for now (no descriptor is left, say) is not known, which is another thing: then
// the read fails as a whole, and whoever follows the limits keeps those that he has.
//
// memory.high counts as memory.max does: beyond it the kernel slows the group down until it has given
// memory back, so a service must stay below whichever is the smaller.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tailrace::http {

struct CgroupLimits {
  std::optional<double> cpus{};                 // quota / period
  std::optional<std::uint64_t> memory_bytes{};  // nothing: no limit

  friend bool operator==(const CgroupLimits&, const CgroupLimits&) = default;
};

// Knows where our groups are and reads their files again and again: some small files a read. A process
// that was moved to another group is noticed. One thread at a time.
class CgroupReader {
 public:
  // `root` is prefixed to /proc and /sys paths, for tests.
  explicit CgroupReader(std::string root = "") : root_(std::move(root)) {}
  // Fills the limits; or says why they are not known, and leaves them as they were.
  std::optional<std::string> read(CgroupLimits& limits);

 private:
  const std::string root_;
  std::string own_;  // /proc/self/cgroup as the directories were found by it
  // From our group upwards, as far as its mount shows them.
  std::vector<std::string> unified_;
  std::vector<std::string> cpu_;     // of v1
  std::vector<std::string> memory_;  // of v1
};

// 90 % of the group's bytes, rounded down: what the runtime's soft limit is by default. The rest is for
// what the kernel counts and the runtime cannot see.
constexpr std::uint64_t soft_limit_of(std::uint64_t bytes) noexcept {
  return bytes / 10 * 9 + bytes % 10 * 9 / 10;
}

// CPUs of the affinity mask.
unsigned affinity_cpus();
// CPUs of the machine that are online, to which the mask may grow while the process runs.
unsigned online_cpus();
// Workers to run: CPUs of the mask, fewer if the quota allows fewer (rounded up); 1 to 64.
unsigned allowed_cpus(const CgroupLimits& limits);

}  // namespace tailrace::http
