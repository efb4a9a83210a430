// See cgroup.h.
#include "server/cgroup.h"

#include <sched.h>
#include <sys/stat.h>
#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

#include "server/units.h"

namespace tailrace::http {
namespace {

// Where a hierarchy is mounted, what part of it the mount shows, and our group in it.
struct Group {
  std::string mount;
  std::string path;  // "" or "/a/b"
};

std::vector<std::string> words(const std::string& line, char separator) {
  std::vector<std::string> result;
  std::istringstream stream(line);
  for (std::string word; std::getline(stream, word, separator);) result.push_back(word);
  return result;
}

bool lists(const std::string& list, std::string_view controller) {
  for (const std::string& word : words(list, ',')) {
    if (word == controller) return true;
  }
  return false;
}

// `controller` empty: the v2 hierarchy.
std::optional<Group> find_group(const std::string& root, std::string_view controller) {
  std::optional<std::string> own;
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    // id:controllers:path
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? line.rfind("0::", 0) == 0 : lists(controllers, controller)) {
      own = line.substr(second + 1);
    }
  }
  if (!own) return std::nullopt;
  std::ifstream mounts(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    // id parent device root mount options... - type source super-options
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const std::vector<std::string> before = words(line.substr(0, dash), ' ');
    const std::vector<std::string> after = words(line.substr(dash + 3), ' ');
    if (before.size() < 5 || after.size() < 3) continue;
    const bool matches = controller.empty() ? after[0] == "cgroup2"
                                            : after[0] == "cgroup" && lists(after[2], controller);
    if (!matches) continue;
    Group group{root + before[4], *own};
    const std::string& shown = before[3];  // a container's mount shows a part of the hierarchy
    if (shown != "/" && group.path.rfind(shown, 0) == 0) group.path.erase(0, shown.size());
    if (group.path == "/") group.path.clear();
    struct stat info;
    // A namespace's root shows groups outside as "/..".
    if (group.path.find("..") != std::string::npos) group.path.clear();
    if (!group.path.empty() && ::stat((group.mount + group.path).c_str(), &info) != 0) {
      group.path.clear();
    }
    return group;
  }
  return std::nullopt;
}

// Calls visit(directory) for the group and those above it, as far as the mount shows them.
template <typename Visit>
void upwards(Group group, Visit visit) {
  for (;;) {
    visit(group.mount + group.path);
    if (group.path.empty()) return;
    group.path.erase(group.path.rfind('/'));
  }
}

std::string first_line(const std::string& file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

template <typename T>
void lower(std::optional<T>& limit, T value) {
  limit = limit ? std::min(*limit, value) : value;
}

void lower_cpus(CgroupLimits& limits, const std::string& quota, const std::string& period) {
  const std::optional<std::uint64_t> quota_us = parse_count(quota);  // v1 writes -1, v2 max
  const std::optional<std::uint64_t> period_us = parse_count(period);
  if (!quota_us || !period_us || *quota_us == 0 || *period_us == 0) return;
  lower(limits.cpus, static_cast<double>(*quota_us) / static_cast<double>(*period_us));
}

void lower_memory(CgroupLimits& limits, const std::string& text) {
  const std::optional<std::uint64_t> bytes = parse_count(text);
  // v1 writes a number near 2^63 for no limit.
  if (bytes && *bytes != 0 && *bytes < std::uint64_t{1} << 60) lower(limits.memory_bytes, *bytes);
}

}  // namespace

CgroupLimits read_cgroup_limits(const std::string& root) {
  CgroupLimits limits;
  if (const std::optional<Group> group = find_group(root, "")) {
    upwards(*group, [&](const std::string& directory) {
      const std::vector<std::string> cpu = words(first_line(directory + "/cpu.max"), ' ');
      if (cpu.size() == 2) lower_cpus(limits, cpu[0], cpu[1]);
      lower_memory(limits, first_line(directory + "/memory.max"));
    });
  }
  if (const std::optional<Group> group = find_group(root, "cpu")) {
    upwards(*group, [&](const std::string& directory) {
      lower_cpus(limits, first_line(directory + "/cpu.cfs_quota_us"),
                 first_line(directory + "/cpu.cfs_period_us"));
    });
  }
  if (const std::optional<Group> group = find_group(root, "memory")) {
    upwards(*group, [&](const std::string& directory) {
      lower_memory(limits, first_line(directory + "/memory.limit_in_bytes"));
    });
  }
  return limits;
}

unsigned allowed_cpus(const CgroupLimits& limits) {
  cpu_set_t set;
  CPU_ZERO(&set);
  // Fails on machines with more CPUs than the set holds (1024): then 64 it is.
  const double mask = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 64;
  const double quota = limits.cpus ? std::ceil(*limits.cpus) : mask;
  return static_cast<unsigned>(std::clamp(std::min(mask, quota), 1.0, 64.0));
}

}  // namespace tailrace::http
