// The service's settings and where they come from: a flag wins over TAILRACE_*, that over the
// variable that Go's users know, that over the configuration file, that over the default.
//
// One table (config.cc) names every setting once; flags, variables and file are read through it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/access_log.h"
#include "server/cidr.h"
#include "server/limits.h"
#include "server/units.h"

namespace tailrace::http {

struct Config {
  HostPort listen{"127.0.0.1", 8080};
  std::optional<HostPort> admin = HostPort{"127.0.0.1", 6060};  // nothing: off
  unsigned max_procs = 0;                                       // 0: allowed_cpus()
  unsigned most_procs = 0;            // to which it may rise while it runs; 0: max_procs
  int gc_percent = 100;               // -1: off
  std::uint64_t memory_limit = kOff;  // or 90 % of the control group's
  bool gc_trace = false;
  bool gc_stop_the_world = false;
  bool gc_check_marks = false;
  bool explain_escapes = false;     // prints the escape report at the end
  std::int64_t sched_trace_ns = 0;  // between two lines of the scheduler's trace; 0: none
  AccessLogMode access_log = AccessLogMode::kErrors;
  std::vector<Cidr> admin_allow;
  std::string admin_token;  // from TAILRACE_ADMIN_TOKEN only
  // From "not ready" to "no new connections": time for a load balancer to look. nullopt: 1 s, or
  // nothing when stderr is a terminal, where someone waits for the prompt.
  std::optional<std::int64_t> drain_delay_ns;
  std::int64_t drain_deadline_ns = 20'000'000'000;  // for requests in flight, after the delay
  Limits limits;
  Timeouts timeouts;
  // No settings; false only to measure what the scheduler's rules are worth (rescue_bench.cc).
  bool rescue = true;
  bool steal = true;

  std::map<std::string, std::string>
      sources;  // of the settings that were given: "--listen", "GOGC"

  std::int64_t effective_drain_delay_ns() const;
  unsigned worker_capacity() const { return std::max(max_procs, most_procs); }
  bool given(const std::string& name) const { return sources.count(name) != 0; }
  std::string source_of(const std::string& name) const {
    return given(name) ? sources.at(name) : "default";
  }
};

// What the settings table is read through. Flags and file entries by the setting's name
// ("gc-percent", "limits.body_bytes"); nullopt: not given.
struct ConfigSources {
  std::function<std::optional<std::string>(const std::string& name)> flag;
  std::function<std::optional<std::string>(const std::string& name)> environment;
  std::map<std::string, std::string> file;
};

struct SettingInfo {
  std::string name;   // of the flag without dashes; with a dot: in the file only
  std::string value;  // placeholder in --help; empty: a switch, whose value is true or false
  std::string help;
  bool in_file_only() const { return name.find('.') != std::string::npos; }
};
const std::vector<SettingInfo>& settings();

// Fills the config, or says what is wrong, where it came from, and what would be right.
std::optional<std::string> read_config(const ConfigSources& sources, Config& config);

// Reads YAML into names and values: nested maps become "limits.body_bytes", underscores of
// top-level names become dashes. Returns an error message or nothing.
std::optional<std::string> read_config_file(const std::string& path,
                                            std::map<std::string, std::string>& entries);

// One line: every setting in force.
std::string describe(const Config& config);

}  // namespace tailrace::http
