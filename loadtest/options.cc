// See options.h.
#include "loadtest/options.h"

#include <sched.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <random>

#include "loadtest/quantity.h"

namespace tailrace::loadtest {
namespace {

constexpr unsigned kMostWorkers = 256;
constexpr unsigned kMostConnections = 1'000'000;

// Half of the CPUs that the process may use: the other half is for the server, if it is on this host.
unsigned default_workers() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::clamp(static_cast<unsigned>(CPU_COUNT(&set)) / 2, 1u, 4u);
}

// The value, or the message with the option's name before it.
template <typename T, typename Parse>
bool take(const char* option, const std::string& text, Parse parse, T& value,
          std::string& message) {
  auto parsed = parse(text);
  if (auto* why = std::get_if<std::string>(&parsed)) {
    message = std::string(option) + ": " + *why;
    return false;
  }
  value = static_cast<T>(std::get<0>(parsed));
  return true;
}

// Of --arrival.
bool take_arrival(const std::string& text, PlanSettings& plan, std::string& message) {
  if (text == "poisson") {
    plan.kind = ArrivalKind::kPoisson;
  } else if (text == "const" || text == "constant") {
    plan.kind = ArrivalKind::kConstant;
  } else if (text.starts_with("trace:")) {
    TraceFile file = read_trace(text.substr(6));
    if (!file.message.empty()) {
      message = "--arrival: " + file.message;
      return false;
    }
    plan.kind = ArrivalKind::kTrace;
    plan.trace = std::make_shared<const std::vector<std::int64_t>>(std::move(file.times));
  } else {
    message = "--arrival: \"" + text + "\" is none of poisson, const, trace:FILE";
    return false;
  }
  return true;
}

bool take_idle(const std::string& text, Idle& idle, std::string& message) {
  if (text == "sleep") {
    idle = Idle::kSleep;
  } else if (text == "hybrid") {
    idle = Idle::kHybrid;
  } else if (text == "spin") {
    idle = Idle::kSpin;
  } else {
    message = "--idle: \"" + text + "\" is none of sleep, hybrid, spin";
    return false;
  }
  return true;
}

bool take_seed(const std::string& text, std::uint64_t& seed, std::string& message) {
  if (text.empty()) {
    std::random_device device;
    seed = std::uint64_t{device()} << 20 ^ device();
    return true;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error == std::errc() && end == text.data() + text.size()) return true;
  message = "--seed: \"" + text + "\" is no whole number from 0 to 2^64 - 1";
  return false;
}

}  // namespace

void add_load_options(CLI::App& command, LoadWords& words) {
  command.add_option("url", words.url, "http://HOST[:PORT][/PATH]; with a scenario only its host")
      ->required();
  command.add_option("--scenario", words.scenario,
                     "YAML file: routes, weights, bodies, think time (default: GET of the URL)");
  command.add_option("--arrival", words.arrival, "poisson, const, or trace:FILE")
      ->capture_default_str();
  command.add_option("-c,--connections", words.connections,
                     "connections, opened before the start (default: as the rate needs)");
  command.add_option("-t,--workers", words.workers,
                     "threads that send (default: half of the CPUs, at most 4)");
  command.add_flag("--pin", words.pin, "each worker on a CPU of its own");
  command.add_option("--seed", words.seed, "of the plan (default: random, printed)");
  command.add_option("--timeout", words.timeout, "of a request, from when it was due")
      ->capture_default_str();
  command.add_option("--warmup", words.warm_up, "at the same rate before, not kept")
      ->capture_default_str();
  command.add_option(
      "--in-flight-max", words.in_flight,
      "requests on their way or waiting for a connection; what comes on top is dropped "
      "and counts as infinite (default: 4 x rate x timeout)");
  command.add_option("--requests-per-connection", words.per_connection,
                     "then it is closed and opened anew (default: never)");
  command.add_option("--idle", words.idle, "how a worker waits: sleep, hybrid, spin")
      ->capture_default_str();
  command
      .add_option("--metrics", words.metrics,
                  "the server's /metrics: a URL, auto (of the same host, if it answers), off")
      ->capture_default_str();
  command.add_option("--slo", words.slo, "thresholds, as p99<10ms,err<0.1%; exit 1 if one fails");
  command.add_flag("--above-ceiling", words.above_ceiling,
                   "go beyond 70 % of what selfcheck measured; the result is marked");
}

void add_output_options(CLI::App& command, OutputWords& words) {
  command.add_option("-o", words.directory,
                     "directory for report.html, results.json, latency.hgrm, seconds.csv");
  command.add_option("--json", words.json, "file for the whole result; - is stdout");
  command.add_option("--csv", words.csv, "file for a row a second; - is stdout");
  command.add_option("--tui", words.tui, "progress: auto (on a terminal), off")
      ->capture_default_str();
  command.add_flag("--quiet", words.quiet, "no summary, no progress: exit code and files only");
}

std::variant<Load, std::string> resolve(const LoadWords& words) {
  Load load;
  std::string message;
  MeasureSettings& settings = load.settings;
  if (!take("URL", words.url, parse_url, settings.target, message)) return message;
  if (words.scenario.empty()) {
    load.scenario = Scenario::of_url(settings.target);
  } else if (!take("--scenario", words.scenario, Scenario::load, load.scenario, message)) {
    return message;
  }
  if (!take_arrival(words.arrival, settings.plan, message) ||
      !take("--timeout", words.timeout, parse_duration_ns, settings.timeout_ns, message) ||
      !take("--warmup", words.warm_up, parse_duration_ns, settings.warm_up_ns, message) ||
      !take("--in-flight-max", words.in_flight, parse_count, settings.in_flight_most, message) ||
      !take("--requests-per-connection", words.per_connection, parse_count,
            settings.requests_per_connection, message) ||
      !take_idle(words.idle, settings.idle, message) ||
      !take_seed(words.seed, settings.plan.seed, message) ||
      !take("--slo", words.slo, parse_thresholds, load.thresholds, message)) {
    return message;
  }
  if (settings.timeout_ns < 1'000'000 || settings.timeout_ns > 600'000'000'000) {
    return "--timeout: from 1ms to 10m";
  }
  if (settings.warm_up_ns > 600'000'000'000) return "--warmup: at most 10m";
  if (words.workers > kMostWorkers) return "-t: at most 256 workers";
  if (words.connections > kMostConnections) return "-c: at most 1000000 connections";
  settings.plan.workers = words.workers == 0 ? default_workers() : words.workers;
  settings.connections = words.connections;
  if (words.connections != 0 && words.connections < settings.plan.workers) {
    if (words.workers != 0) {
      return "-c: each worker (-t) has connections of its own, so at least " +
             std::to_string(words.workers);
    }
    settings.plan.workers = words.connections;
  }
  settings.pin = words.pin;
  if (words.metrics == "auto") {
    load.metrics_url = "http://" + settings.target.authority() + "/metrics";
  } else if (words.metrics != "off") {
    Url url;
    if (!take("--metrics", words.metrics, parse_url, url, message)) return message;
    load.metrics_url = words.metrics;
    load.metrics_must_be = true;
  }
  load.arrival = words.arrival;
  load.above_ceiling = words.above_ceiling;
  return load;
}

}  // namespace tailrace::loadtest
