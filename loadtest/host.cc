// See host.h.
#include "loadtest/host.h"

#include <sched.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <charconv>
#include <cstring>
#include <fstream>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

namespace tailrace::loadtest {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name") || line.starts_with("CPU part")) {
      const std::size_t colon = line.find(": ");
      if (colon != std::string::npos) return line.substr(colon + 2);
    }
  }
  return "unknown";
}

std::string hypervisor() {
#if defined(__x86_64__) || defined(__i386__)
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) != 0) {
    constexpr unsigned kUnderHypervisor = 1U << 31;
    if ((c & kUnderHypervisor) == 0) return "none";
    __cpuid(0x40000000, a, b, c, d);
    char vendor[13] = {};
    std::memcpy(vendor, &b, 4);
    std::memcpy(vendor + 4, &c, 4);
    std::memcpy(vendor + 8, &d, 4);
    return vendor[0] == '\0' ? "unnamed" : vendor;
  }
#endif
  const std::string type = first_line("/sys/hypervisor/type");
  return type.empty() ? "none" : type;
}

}  // namespace

std::vector<int> allowed_cpus() {
  // Larger than any machine, as the kernel refuses a set that is too small for it.
  constexpr int kCpusMost = 16384;
  cpu_set_t* const set = CPU_ALLOC(kCpusMost);
  const std::size_t size = CPU_ALLOC_SIZE(kCpusMost);
  CPU_ZERO_S(size, set);
  std::vector<int> cpus;
  if (::sched_getaffinity(0, size, set) == 0) {
    for (int cpu = 0; cpu < kCpusMost; ++cpu) {
      if (CPU_ISSET_S(static_cast<std::size_t>(cpu), size, set)) cpus.push_back(cpu);
    }
  }
  CPU_FREE(set);
  return cpus;
}

Host read_host() {
  Host host;
  host.cpu_model = cpu_model();
  const std::vector<int> cpus = allowed_cpus();
  host.cpus_allowed = static_cast<unsigned>(cpus.size());
  utsname name{};
  if (::uname(&name) == 0) host.kernel = std::string(name.sysname) + " " + name.release;
  const int cpu = cpus.empty() ? 0 : cpus.front();
  host.governor =
      first_line("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/cpufreq/scaling_governor");
  if (host.governor.empty()) host.governor = "none";
  host.hypervisor = hypervisor();
  struct sysinfo memory {};
  if (::sysinfo(&memory) == 0) {
    host.memory_bytes = std::uint64_t{memory.totalram} * memory.mem_unit;
  }
  return host;
}

std::optional<CpuTimes> parse_cpu_times(std::string_view proc_stat) {
  // cpu user nice system idle iowait irq softirq steal guest guest_nice; guests are in user and
  // nice.
  constexpr int kFields = 8;
  if (!proc_stat.starts_with("cpu ")) return std::nullopt;
  const char* at = proc_stat.data() + 4;
  const char* const end = proc_stat.data() + proc_stat.size();
  CpuTimes times;
  for (int field = 0; field < kFields; ++field) {
    while (at != end && *at == ' ') ++at;
    std::uint64_t ticks = 0;
    const auto [next, error] = std::from_chars(at, end, ticks);
    if (error != std::errc()) return std::nullopt;
    at = next;
    times.all += ticks;
    times.steal = ticks;
  }
  return times;
}

double steal_share(const CpuTimes& before, const CpuTimes& after) noexcept {
  if (after.all <= before.all || after.steal < before.steal) return 0;
  return static_cast<double>(after.steal - before.steal) /
         static_cast<double>(after.all - before.all);
}

double StealMeter::share() {
  const std::optional<CpuTimes> now = parse_cpu_times(first_line("/proc/stat"));
  if (!now) return 0;
  const double share = steal_share(last_, *now);
  last_ = *now;
  return share;
}

}  // namespace tailrace::loadtest
