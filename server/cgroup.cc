// See cgroup.h.
#include "server/cgroup.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <sstream>
#include <string_view>

#include "server/units.h"

namespace tailrace::http {
namespace {

constexpr double kMostWorkers = 64;

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

// The files of one read. What is not there, or is not ours to read, is empty; the first one that cannot be
// read for now is remembered.
class Files {
 public:
  std::string whole(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
      note(path);
      return {};
    }
    std::string text;
    char block[4096];
    ssize_t got = 0;
    while (text.size() < kMostBytes && (got = ::read(file, block, sizeof block)) > 0) {
      text.append(block, static_cast<std::size_t>(got));
    }
    if (got < 0) note(path);
    ::close(file);
    return text;
  }
  std::string first_line(const std::string& path) {
    std::string text = whole(path);
    return text.substr(0, text.find('\n'));
  }
  bool is_directory(const std::string& path) {
    struct stat info;
    if (::stat(path.c_str(), &info) == 0) return S_ISDIR(info.st_mode);
    note(path);
    return false;
  }
  const std::optional<std::string>& error() const noexcept { return error_; }

 private:
  // mountinfo is the longest, with a line for each mount.
  static constexpr std::size_t kMostBytes = std::size_t{16} << 20;

  // What passes again. All else (no permission above all) lasts: waiting for such a file would mean to follow
  // no limit at all.
  static bool passes(int error) {
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO;
  }
  void note(const std::string& path) {
    if (error_ || !passes(errno)) return;
    error_ = path + ": " + std::strerror(errno);
  }

  std::optional<std::string> error_;
};

// Our path in the hierarchy of `controller` (empty: v2), by /proc/self/cgroup.
std::optional<std::string> own_path(const std::string& text, std::string_view controller) {
  std::istringstream groups(text);
  for (std::string line; std::getline(groups, line);) {
    // id:controllers:path
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? line.starts_with("0::") : lists(controllers, controller)) {
      return line.substr(second + 1);
    }
  }
  return std::nullopt;
}

// mountinfo writes blanks in paths as \040, and so on.
std::string without_escapes(const std::string& text) {
  const auto octal = [&](std::size_t at) { return text[at] >= '0' && text[at] <= '7'; };
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

struct Mount {
  std::string shown;  // which part of the hierarchy
  std::string place;
};

// Where the hierarchy of `controller` is mounted.
std::vector<Mount> mounts_of(Files& files, const std::string& root, std::string_view controller) {
  std::vector<Mount> result;
  std::istringstream mounts(files.whole(root + "/proc/self/mountinfo"));
  for (std::string line; std::getline(mounts, line);) {
    // id parent device root mount options optional... - type source super-options
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const std::vector<std::string> before = words(line.substr(0, dash), ' ');
    const std::string after = line.substr(dash + 3);
    const std::size_t source = after.find(' ');
    const std::size_t options = source == std::string::npos ? source : after.find(' ', source + 1);
    if (before.size() < 5 || options == std::string::npos) continue;
    const std::string type = after.substr(0, source);
    const bool matches = controller.empty()
                             ? type == "cgroup2"
                             : type == "cgroup" && lists(after.substr(options + 1), controller);
    if (matches) result.push_back({without_escapes(before[3]), root + without_escapes(before[4])});
  }
  return result;
}

// Our path below the mount's root: "" for the root itself, "/a/b" otherwise. Nothing if the mount shows
// another part of the hierarchy.
std::optional<std::string> path_below(Files& files, const Mount& mount, std::string path) {
  // A namespace's root shows groups outside as "/..", whose names nobody here knows.
  if (path == "/.." || path.starts_with("/../")) return std::nullopt;
  if (mount.shown != "/" && path.starts_with(mount.shown) &&
      (path.size() == mount.shown.size() || path[mount.shown.size()] == '/')) {
    path.erase(0, mount.shown.size());
  }
  if (path == "/") path.clear();
  return files.is_directory(mount.place + path) ? std::optional(path) : std::nullopt;
}

// The directories of our group and of those above it, as far as the mount shows them.
std::vector<std::string> find_group(Files& files, const std::string& root,
                                    const std::string& groups, std::string_view controller) {
  const std::optional<std::string> own = own_path(groups, controller);
  if (!own) return {};
  const std::vector<Mount> mounts = mounts_of(files, root, controller);
  for (const Mount& mount : mounts) {
    std::optional<std::string> path = path_below(files, mount, *own);
    if (!path) continue;
    std::vector<std::string> directories;
    for (;;) {
      directories.push_back(mount.place + *path);
      if (path->empty()) return directories;
      path->erase(path->rfind('/'));
    }
  }
  if (mounts.empty()) return {};
  return {mounts.front().place};
}

template <typename T>
void lower(std::optional<T>& limit, T value) {
  limit = limit ? std::min(*limit, value) : value;
}

// A quota alone says nothing: the kernel writes both.
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

// What groups above allow, also those that a container's mount does not show.
void lower_hierarchical(CgroupLimits& limits, const std::string& text) {
  constexpr std::string_view kName = "hierarchical_memory_limit ";
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with(kName)) return lower_memory(limits, line.substr(kName.size()));
  }
}

}  // namespace

std::optional<std::string> CgroupReader::read(CgroupLimits& limits) {
  Files files;
  std::string groups = files.whole(root_ + "/proc/self/cgroup");
  if (files.error()) return files.error();
  if (groups != own_) {
    std::vector<std::string> unified = find_group(files, root_, groups, "");
    std::vector<std::string> cpu = find_group(files, root_, groups, "cpu");
    std::vector<std::string> memory = find_group(files, root_, groups, "memory");
    if (files.error()) return files.error();
    own_ = std::move(groups);
    unified_ = std::move(unified);
    cpu_ = std::move(cpu);
    memory_ = std::move(memory);
  }
  CgroupLimits found;
  for (const std::string& directory : unified_) {
    const std::vector<std::string> cpu = words(files.first_line(directory + "/cpu.max"), ' ');
    if (cpu.size() == 2) lower_cpus(found, cpu[0], cpu[1]);
    lower_memory(found, files.first_line(directory + "/memory.max"));
    lower_memory(found, files.first_line(directory + "/memory.high"));
  }
  for (const std::string& directory : cpu_) {
    lower_cpus(found, files.first_line(directory + "/cpu.cfs_quota_us"),
               files.first_line(directory + "/cpu.cfs_period_us"));
  }
  for (const std::string& directory : memory_) {
    lower_memory(found, files.first_line(directory + "/memory.limit_in_bytes"));
    lower_hierarchical(found, files.whole(directory + "/memory.stat"));
  }
  if (!files.error()) limits = found;
  return files.error();
}

unsigned affinity_cpus() {
  // The kernel refuses a set that is smaller than its own.
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
    cpu_set_t* const set = CPU_ALLOC(static_cast<std::size_t>(cpus));
    if (set == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(cpus));
    CPU_ZERO_S(bytes, set);
    const bool told = ::sched_getaffinity(0, bytes, set) == 0;
    const int count = told ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (told) return static_cast<unsigned>(std::max(count, 1));
  }
  return online_cpus();
}

unsigned online_cpus() {
  return static_cast<unsigned>(std::max(::sysconf(_SC_NPROCESSORS_ONLN), 1L));
}

unsigned allowed_cpus(const CgroupLimits& limits) {
  const double mask = affinity_cpus();
  const double quota = limits.cpus ? std::ceil(*limits.cpus) : mask;
  return static_cast<unsigned>(std::clamp(std::min(mask, quota), 1.0, kMostWorkers));
}

}  // namespace tailrace::http
