// What the kernel says about this process. Each reading is bounded: fixed buffers, no lists kept.
// A file that cannot be read leaves its facts empty, and they are not exported.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tailrace::metrics {

struct ProcessFacts {
  std::optional<double> cpu_seconds;  // user and system, all threads
  std::optional<std::uint64_t> threads;
  std::optional<std::uint64_t> virtual_bytes;
  std::optional<std::uint64_t> virtual_max_bytes;  // UINT64_MAX: unlimited
  std::optional<std::uint64_t> resident_bytes;
  std::optional<double> start_time_seconds;  // unix time
  std::optional<std::uint64_t> open_fds;
  std::optional<std::uint64_t> max_fds;
  std::optional<std::uint64_t> network_receive_bytes;  // of the network namespace
  std::optional<std::uint64_t> network_transmit_bytes;
};

// Any thread. Some tens of microseconds.
ProcessFacts read_process_facts();
// ProcessFacts::cpu_seconds alone: a microsecond.
std::optional<double> read_cpu_seconds();

namespace internal {

// The parts of /proc/self/stat that are used; nothing if the text is not one.
struct ProcStat {
  std::uint64_t threads = 0;
  std::uint64_t start_ticks = 0;  // since boot
  std::uint64_t virtual_bytes = 0;
  std::uint64_t resident_pages = 0;
};
std::optional<ProcStat> parse_proc_stat(std::string_view text);

// A named value of a protocol's pair of lines in /proc/self/net/netstat.
std::optional<std::uint64_t> parse_netstat(std::string_view text, std::string_view protocol,
                                           std::string_view field);

}  // namespace internal
}  // namespace tailrace::metrics
