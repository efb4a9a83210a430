// What this host is and how much of its time its hypervisor takes away.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loadtest/result.h"

namespace tailrace::loadtest {

Host read_host();
// CPUs that this process may run on, ascending.
std::vector<int> allowed_cpus();

// The first line of /proc/stat, in ticks of all CPUs.
struct CpuTimes {
  std::uint64_t all = 0;
  std::uint64_t steal = 0;
};
std::optional<CpuTimes> parse_cpu_times(std::string_view proc_stat);
// Of the time between the two, 0 to 1; 0 if there was none.
double steal_share(const CpuTimes& before, const CpuTimes& after) noexcept;

class StealMeter {
 public:
  StealMeter() { share(); }
  // Since the last call; 0 where the kernel does not tell.
  double share();

 private:
  CpuTimes last_;
};

}  // namespace tailrace::loadtest
