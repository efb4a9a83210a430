// Reading /proc/self and the process's limits.
#include "metrics/process_facts.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <ctime>
#include <span>
#include <system_error>

namespace tailrace::metrics {
namespace {

constexpr std::size_t kMaxFdsCounted = std::size_t{1} << 20;

double seconds(const timespec& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

std::optional<double> clock_seconds(clockid_t clock) {
  timespec time;
  if (::clock_gettime(clock, &time) != 0) {
    return std::nullopt;
  }
  return seconds(time);
}

// As much of the file as fits; empty if it cannot be read.
std::string_view read_file(const char* path, std::span<char> buffer) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return {};
  }
  std::size_t size = 0;
  while (size < buffer.size()) {
    const ssize_t n = ::read(fd, buffer.data() + size, buffer.size() - size);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      break;
    }
    size += static_cast<std::size_t>(n);
  }
  ::close(fd);
  return {buffer.data(), size};
}

// Takes the next word from `text`; empty at the end.
std::string_view next_word(std::string_view& text) {
  const std::size_t begin = text.find_first_not_of(" \n");
  if (begin == text.npos) {
    text = {};
    return {};
  }
  const std::size_t end = std::min(text.find_first_of(" \n", begin), text.size());
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

std::optional<std::uint64_t> number(std::string_view word) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || word.empty()) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::uint64_t> count_open_fds() {
  constexpr const char* kPath = "/proc/self/fd";
  // Newer kernels give the number as the directory's size.
  struct stat status;
  if (::stat(kPath, &status) == 0 && status.st_size > 0) {
    return static_cast<std::uint64_t>(status.st_size);
  }
  DIR* const directory = ::opendir(kPath);
  if (directory == nullptr) {
    return std::nullopt;
  }
  std::uint64_t count = 0;
  while (count < kMaxFdsCounted) {
    const dirent* const entry = ::readdir(directory);
    if (entry == nullptr) {
      break;
    }
    count += entry->d_name[0] != '.' ? 1 : 0;
  }
  ::closedir(directory);
  return count > 0 ? count - 1 : 0;  // the directory's own
}

std::optional<std::uint64_t> soft_limit(__rlimit_resource resource) {
  rlimit limit;
  if (::getrlimit(resource, &limit) != 0) {
    return std::nullopt;
  }
  return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : static_cast<std::uint64_t>(limit.rlim_cur);
}

// Once a process: two readings would differ by the clocks' drift.
std::optional<double> start_time(std::uint64_t start_ticks) {
  static const std::optional<double> start = [&]() -> std::optional<double> {
    const long ticks_per_second = ::sysconf(_SC_CLK_TCK);
    const std::optional<double> now = clock_seconds(CLOCK_REALTIME);
    const std::optional<double> since_boot = clock_seconds(CLOCK_BOOTTIME);
    if (ticks_per_second <= 0 || !now || !since_boot) {
      return std::nullopt;
    }
    return *now - *since_boot +
           static_cast<double>(start_ticks) / static_cast<double>(ticks_per_second);
  }();
  return start;
}

}  // namespace

namespace internal {

std::optional<ProcStat> parse_proc_stat(std::string_view text) {
  // The second field is the program's name in brackets, with anything inside: blanks and brackets.
  const std::size_t name_end = text.rfind(')');
  if (name_end == text.npos) {
    return std::nullopt;
  }
  text.remove_prefix(name_end + 1);
  // Field numbers as in proc(5); the state, which follows the name, is field 3.
  constexpr std::size_t kThreads = 20;
  constexpr std::size_t kStartTime = 22;
  constexpr std::size_t kVirtualSize = 23;
  constexpr std::size_t kResident = 24;
  std::array<std::optional<std::uint64_t>, kResident + 1> fields;
  for (std::size_t i = 3; i <= kResident; ++i) {
    fields[i] = number(next_word(text));
  }
  if (!fields[kThreads] || !fields[kStartTime] || !fields[kVirtualSize] || !fields[kResident]) {
    return std::nullopt;
  }
  return ProcStat{*fields[kThreads], *fields[kStartTime], *fields[kVirtualSize],
                  *fields[kResident]};
}

std::optional<std::uint64_t> parse_netstat(std::string_view text, std::string_view protocol,
                                           std::string_view field) {
  std::string_view names;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    std::string_view rest = line;
    const std::string_view head = next_word(rest);
    if (head.size() != protocol.size() + 1 || !head.starts_with(protocol) || head.back() != ':') {
      continue;
    }
    if (names.empty()) {  // the first line names, the second counts
      names = rest;
      continue;
    }
    while (true) {
      const std::string_view name = next_word(names);
      const std::string_view value = next_word(rest);
      if (name.empty() || value.empty()) {
        return std::nullopt;
      }
      if (name == field) {
        return number(value);
      }
    }
  }
  return std::nullopt;
}

}  // namespace internal

// The clock and not the ticks of /proc/self/stat, which are 10 ms long.
std::optional<double> read_cpu_seconds() { return clock_seconds(CLOCK_PROCESS_CPUTIME_ID); }

ProcessFacts read_process_facts() {
  ProcessFacts facts;
  facts.cpu_seconds = read_cpu_seconds();
  facts.virtual_max_bytes = soft_limit(RLIMIT_AS);
  facts.max_fds = soft_limit(RLIMIT_NOFILE);
  facts.open_fds = count_open_fds();

  std::array<char, 16384> buffer;  // twice the largest of these files; on a fiber's stack
  if (const auto stat = internal::parse_proc_stat(read_file("/proc/self/stat", buffer))) {
    facts.threads = stat->threads;
    facts.virtual_bytes = stat->virtual_bytes;
    const long page_bytes = ::sysconf(_SC_PAGESIZE);
    facts.resident_bytes = stat->resident_pages * static_cast<std::uint64_t>(page_bytes);
    facts.start_time_seconds = start_time(stat->start_ticks);
  }
  const std::string_view netstat = read_file("/proc/self/net/netstat", buffer);
  facts.network_receive_bytes = internal::parse_netstat(netstat, "IpExt", "InOctets");
  facts.network_transmit_bytes = internal::parse_netstat(netstat, "IpExt", "OutOctets");
  return facts;
}

}  // namespace tailrace::metrics
