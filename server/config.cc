// See config.h.
#include "server/config.h"

#include <unistd.h>
#include <yaml-cpp/yaml.h>
#include <algorithm>
#include <functional>

namespace tailrace::http {
namespace {

// Takes a value or says what would be right.
using Apply = std::function<std::optional<std::string>(Config& config, const std::string& text)>;

struct Setting {
  SettingInfo info;
  std::vector<std::string> variables;  // the first wins
  Apply apply;
};

template <typename T>
std::optional<std::string> store(const std::optional<T>& value, T& to, const char* expected) {
  if (!value) return std::string(expected);
  to = *value;
  return std::nullopt;
}

// From 1 to `most`.
template <typename Count>
std::optional<std::string> apply_count(const std::string& text, std::uint64_t most, Count& to) {
  const std::optional<std::uint64_t> count = parse_count(text);
  if (!count || *count < 1 || *count > most) {
    return "expected a number from 1 to " + std::to_string(most);
  }
  to = static_cast<Count>(*count);
  return std::nullopt;
}

std::optional<std::string> apply_size(const std::string& text, std::size_t least, std::size_t most,
                                      std::size_t& to) {
  const std::optional<std::uint64_t> size = parse_size(text);
  if (!size || *size < least || *size > most) {
    return "expected a size from " + format_size(least) + " to " + format_size(most);
  }
  to = *size;
  return std::nullopt;
}

std::optional<std::string> apply_duration(const std::string& text, std::int64_t least,
                                          std::int64_t& to) {
  const std::optional<std::int64_t> duration = parse_duration(text);
  if (!duration || *duration < least) {
    return "expected a duration such as 250ms, 10s or 2m, from " + format_duration(least) +
           " to 24h";
  }
  to = *duration;
  return std::nullopt;
}

// Flags and YAML say true or false, environments 1 or 0 too.
std::optional<std::string> apply_switch(const std::string& text, bool& to) {
  const bool on = text == "true" || text == "1";
  if (!on && text != "false" && text != "0") return "expected true, false, 1 or 0";
  to = on;
  return std::nullopt;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (end != begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

constexpr std::int64_t kMillisecond = 1'000'000;

// "schedtrace=1000": milliseconds, as in Go; 0 is off. Up to a day.
std::optional<std::int64_t> parse_sched_trace(const std::string& pair) {
  constexpr std::string_view kName = "schedtrace=";
  constexpr std::uint64_t kMostMs = 86'400'000;
  if (!pair.starts_with(kName)) return std::nullopt;
  const std::optional<std::uint64_t> ms = parse_count(pair.substr(kName.size()));
  if (!ms || *ms > kMostMs) return std::nullopt;
  return static_cast<std::int64_t>(*ms) * kMillisecond;
}

// False: not one of ours.
bool apply_debug_pair(Config& config, const std::string& pair) {
  struct Switch {
    std::string_view name;
    bool Config::*value;
  };
  static constexpr Switch kSwitches[] = {{"gctrace=", &Config::gc_trace},
                                         {"gcstoptheworld=", &Config::gc_stop_the_world},
                                         {"gccheckmark=", &Config::gc_check_marks}};
  for (const Switch& each : kSwitches) {
    if (!pair.starts_with(each.name)) continue;
    const std::string_view value = std::string_view(pair).substr(each.name.size());
    if (value != "0" && value != "1") return false;
    config.*each.value = value == "1";
    return true;
  }
  if (const std::optional<std::int64_t> every_ns = parse_sched_trace(pair)) {
    config.sched_trace_ns = *every_ns;
    return true;
  }
  return false;
}

std::optional<std::string> apply_debug(Config& config, const std::string& text) {
  for (const std::string& pair : split(text)) {
    if (!apply_debug_pair(config, pair)) {
      return "unknown \"" + pair +
             "\"; known are gctrace=0|1, gcstoptheworld=0|1, gccheckmark=0|1 and "
             "schedtrace=MILLISECONDS";
    }
  }
  return std::nullopt;
}

std::optional<std::string> apply_memory_limit(Config& config, const std::string& text) {
  const std::optional<std::uint64_t> bytes = text == "off" ? kOff : parse_size(text);
  if (!bytes || *bytes == 0) {
    return "expected a whole number and B, KiB, MiB, GiB or TiB, as in 512MiB, or off";
  }
  config.memory_limit = *bytes;
  return std::nullopt;
}

constexpr std::size_t kGiB = std::size_t{1} << 30;

// In the file only.
Setting size_limit(const std::string& name, std::size_t Limits::*limit, std::size_t least,
                   std::size_t most) {
  return {{"limits." + name, "SIZE", ""}, {}, [=](Config& config, const std::string& text) {
            return apply_size(text, least, most, config.limits.*limit);
          }};
}
Setting timeout(const std::string& name, std::int64_t Timeouts::*timeout_ns, std::int64_t least) {
  return {{"timeouts." + name, "TIME", ""}, {}, [=](Config& config, const std::string& text) {
            return apply_duration(text, least, config.timeouts.*timeout_ns);
          }};
}

const std::vector<Setting>& table() {
  static const std::vector<Setting> kTable = {
      {{"listen", "HOST:PORT", "public listener; port 0 picks one, printed [127.0.0.1:8080]"},
       {"TAILRACE_LISTEN"},
       [](Config& config, const std::string& text) {
         return store(parse_host_port(text), config.listen,
                      "expected HOST:PORT, as in 0.0.0.0:8080");
       }},
      {{"admin", "HOST:PORT|off",
        "admin listener: /debug, and /metrics /healthz /readyz again [127.0.0.1:6060]"},
       {"TAILRACE_ADMIN"},
       [](Config& config, const std::string& text) -> std::optional<std::string> {
         if (text == "off") {
           config.admin.reset();
           return std::nullopt;
         }
         config.admin.emplace();
         return store(parse_host_port(text), *config.admin,
                      "expected HOST:PORT, as in 127.0.0.1:6060, or off");
       }},
      {{"admin-allow", "CIDR,...",
        "clients that may use /debug when the admin listener is not on loopback"},
       {"TAILRACE_ADMIN_ALLOW"},
       [](Config& config, const std::string& text) -> std::optional<std::string> {
         config.admin_allow.clear();
         for (const std::string& part : split(text)) {
           const std::optional<Cidr> block = parse_cidr(part);
           if (!block) return "expected address blocks, as in 10.0.0.0/8,fd00::/8";
           config.admin_allow.push_back(*block);
         }
         return std::nullopt;
       }},
      {{"max-procs", "N", "worker threads [CPUs allowed by affinity and cgroup quota]"},
       {"TAILRACE_MAXPROCS", "GOMAXPROCS"},
       [](Config& config, const std::string& text) {
         return apply_count(text, 64, config.max_procs);
       }},
      {{"gc-percent", "N|off", "heap growth that starts a cycle [100]"},
       {"TAILRACE_GC_PERCENT", "GOGC"},
       [](Config& config, const std::string& text) -> std::optional<std::string> {
         const std::optional<std::uint64_t> percent = parse_count(text);
         if (text != "off" && (!percent || *percent > 1'000'000)) {
           return "expected a number from 0 to 1000000, or off";
         }
         config.gc_percent = text == "off" ? -1 : static_cast<int>(*percent);
         return std::nullopt;
       }},
      {{"memory-limit", "SIZE|off",
        "soft limit, in B KiB MiB GiB TiB [90 % of the cgroup's limit, else off]"},
       {"TAILRACE_MEMORY_LIMIT", "GOMEMLIMIT"},
       apply_memory_limit},
      {{"debug", "K=V,...", "gctrace=1, gcstoptheworld=1, gccheckmark=1, schedtrace=MS"},
       {"TAILRACE_DEBUG", "GODEBUG"},
       apply_debug},
      {{"explain-escapes", "",
        "print at the end what has escaped from requests' arenas, and where"},
       {"TAILRACE_EXPLAIN_ESCAPES"},
       [](Config& config, const std::string& text) {
         return apply_switch(text, config.explain_escapes);
       }},
      {{"access-log", "off|errors|all",
        "JSON lines on stderr; errors: status >= 500, or over 1 s [errors]"},
       {"TAILRACE_ACCESS_LOG"},
       [](Config& config, const std::string& text) -> std::optional<std::string> {
         if (text == "off") {
           config.access_log = AccessLogMode::kOff;
         } else if (text == "errors") {
           config.access_log = AccessLogMode::kErrors;
         } else if (text == "all") {
           config.access_log = AccessLogMode::kAll;
         } else {
           return "expected off, errors or all";
         }
         return std::nullopt;
       }},
      {{"drain-delay", "TIME",
        "from /readyz 503 to closed listeners [1s; 0s if stderr is a terminal]"},
       {"TAILRACE_DRAIN_DELAY"},
       [](Config& config, const std::string& text) {
         return apply_duration(text, 0, config.drain_delay_ns.emplace());
       }},
      {{"drain-deadline", "TIME", "for requests in flight after that [20s]"},
       {"TAILRACE_DRAIN_DEADLINE"},
       [](Config& config, const std::string& text) {
         return apply_duration(text, 0, config.drain_deadline_ns);
       }},
      size_limit("header_bytes", &Limits::header_bytes, 256, kMaxHeaderBytes),
      size_limit("target_bytes", &Limits::target_bytes, 64, kMaxHeaderBytes),
      size_limit("body_bytes", &Limits::body_bytes, 0, kGiB / 2),
      size_limit("unmatched_body_bytes", &Limits::unmatched_body_bytes, 0, kGiB / 2),
      size_limit("arena_bytes", &Limits::arena_bytes, 32 * 1024, kGiB),
      {{"limits.connections", "N", ""},
       {},
       [](Config& config, const std::string& text) {
         return apply_count(text, 16'000'000, config.limits.connections);
       }},
      {{"limits.min_bytes_per_s", "SIZE", ""},
       {},
       [](Config& config, const std::string& text) {
         std::size_t bytes = 0;
         auto error = apply_size(text, 1, kGiB, bytes);
         if (!error) config.limits.min_bytes_per_s = bytes;
         return error;
       }},
      timeout("header", &Timeouts::header_ns, 10 * kMillisecond),
      timeout("idle", &Timeouts::idle_ns, 10 * kMillisecond),
      timeout("body_grace", &Timeouts::body_grace_ns, 10 * kMillisecond),
      timeout("write_grace", &Timeouts::write_grace_ns, 10 * kMillisecond),
      timeout("linger", &Timeouts::linger_ns, 0),
      timeout("slow_request", &Timeouts::slow_request_ns, 0),
      timeout("long_slice", &Timeouts::long_slice_ns, 0),
  };
  return kTable;
}

// GODEBUG carries settings of Go programs on the same machine: what is not ours passes.
std::string ours_of_godebug(const std::string& text) {
  std::string ours;
  for (const std::string& pair : split(text)) {
    Config ignored;
    if (apply_debug_pair(ignored, pair)) ours += ours.empty() ? pair : "," + pair;
  }
  return ours;
}

// Adds a node's scalars under `prefix`; false for what is no map of maps and scalars.
bool flatten(const YAML::Node& node, const std::string& prefix,
             std::map<std::string, std::string>& entries) {
  for (const auto& pair : node) {
    std::string name = pair.first.as<std::string>();
    if (pair.second.IsMap()) {
      if (!flatten(pair.second, prefix + name + ".", entries)) return false;
    } else if (pair.second.IsScalar()) {
      if (prefix.empty()) std::replace(name.begin(), name.end(), '_', '-');
      entries[prefix + name] = pair.second.as<std::string>();
    } else if (pair.second.IsSequence()) {
      std::string list;
      for (const auto& item : pair.second) {
        if (!item.IsScalar()) return false;
        list += (list.empty() ? "" : ",") + item.as<std::string>();
      }
      entries[prefix + name] = list;
    } else {
      return false;
    }
  }
  return true;
}

std::string or_off(std::uint64_t size) { return size == kOff ? "off" : format_size(size); }

}  // namespace

std::int64_t Config::effective_drain_delay_ns() const {
  constexpr std::int64_t kDelay = 1'000'000'000;
  return drain_delay_ns.value_or(::isatty(STDERR_FILENO) != 0 ? 0 : kDelay);
}

const std::vector<SettingInfo>& settings() {
  static const std::vector<SettingInfo> kInfos = [] {
    std::vector<SettingInfo> infos;
    for (const Setting& setting : table()) {
      SettingInfo info = setting.info;
      for (const std::string& variable : setting.variables) info.help += " ($" + variable + ")";
      infos.push_back(std::move(info));
    }
    return infos;
  }();
  return kInfos;
}

std::optional<std::string> read_config(const ConfigSources& sources, Config& config) {
  for (const Setting& setting : table()) {
    const std::string& name = setting.info.name;
    std::optional<std::string> text;
    std::string source;
    if (!setting.info.in_file_only()) {
      text = sources.flag(name);
      source = "--" + name;
    }
    for (const std::string& variable : setting.variables) {
      if (text) break;
      text = sources.environment(variable);
      source = variable;
      if (text && variable == "GODEBUG") text = ours_of_godebug(*text);
      if (text && text->empty()) text.reset();  // set to nothing: not set
    }
    if (!text) {
      const auto entry = sources.file.find(name);
      if (entry != sources.file.end()) text = entry->second;
      source = name + " in the configuration file";
    }
    if (!text) continue;
    if (const std::optional<std::string> error = setting.apply(config, *text)) {
      return source + ": " + *error + ", not \"" + *text + "\"";
    }
    config.sources[name] = source;
  }
  if (config.limits.target_bytes >= config.limits.header_bytes) {
    config.limits.target_bytes = config.limits.header_bytes - 64;
  }
  if (const auto token = sources.environment("TAILRACE_ADMIN_TOKEN")) config.admin_token = *token;
  return std::nullopt;
}

std::optional<std::string> read_config_file(const std::string& path,
                                            std::map<std::string, std::string>& entries) {
  try {
    const YAML::Node root = YAML::LoadFile(path);
    if (root.IsNull()) return std::nullopt;
    if (root.IsMap() && flatten(root, "", entries)) return std::nullopt;
    return path + ": expected a map of settings, as in \"listen: 127.0.0.1:8080\"";
  } catch (const YAML::BadFile&) {
    return "cannot read the configuration file " + path;
  } catch (const YAML::Exception& error) {
    return path + ": " + error.what();
  }
}

std::string describe(const Config& config) {
  static constexpr const char* kModes[] = {"off", "errors", "all"};
  std::string text = "listen=" + to_string(config.listen);
  text += " admin=" + (config.admin ? to_string(*config.admin) : std::string("off"));
  text += " max-procs=" + std::to_string(config.max_procs);
  text += " gc-percent=" +
          (config.gc_percent < 0 ? std::string("off") : std::to_string(config.gc_percent));
  text += " memory-limit=" + or_off(config.memory_limit);
  text += std::string(" gctrace=") + (config.gc_trace ? "1" : "0");
  text += std::string(" gcstoptheworld=") + (config.gc_stop_the_world ? "1" : "0");
  if (config.gc_check_marks) text += " gccheckmark=1";
  if (config.sched_trace_ns != 0) {
    text += " schedtrace=" + std::to_string(config.sched_trace_ns / kMillisecond);
  }
  if (config.explain_escapes) text += " explain-escapes=true";
  text += std::string(" access-log=") + kModes[static_cast<int>(config.access_log)];
  text += " drain-delay=" + format_duration(config.effective_drain_delay_ns());
  text += " drain-deadline=" + format_duration(config.drain_deadline_ns);
  const Limits& limits = config.limits;
  text += " limits.header_bytes=" + format_size(limits.header_bytes);
  text += " limits.target_bytes=" + format_size(limits.target_bytes);
  text += " limits.body_bytes=" + format_size(limits.body_bytes);
  text += " limits.unmatched_body_bytes=" + format_size(limits.unmatched_body_bytes);
  text += " limits.arena_bytes=" + format_size(limits.arena_bytes);
  text += " limits.connections=" + std::to_string(limits.connections);
  text += " limits.min_bytes_per_s=" + format_size(limits.min_bytes_per_s);
  const Timeouts& timeouts = config.timeouts;
  text += " timeouts.header=" + format_duration(timeouts.header_ns);
  text += " timeouts.idle=" + format_duration(timeouts.idle_ns);
  text += " timeouts.body_grace=" + format_duration(timeouts.body_grace_ns);
  text += " timeouts.write_grace=" + format_duration(timeouts.write_grace_ns);
  text += " timeouts.linger=" + format_duration(timeouts.linger_ns);
  text += " timeouts.slow_request=" + format_duration(timeouts.slow_request_ns);
  text += " timeouts.long_slice=" + format_duration(timeouts.long_slice_ns);
  return text;
}

}  // namespace tailrace::http
