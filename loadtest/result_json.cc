// Writes a result as JSON.
#include "loadtest/result_json.h"

#include <cctype>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "loadtest/figures.h"

namespace tailrace::loadtest {
namespace {

// Keys stay in the order in which they are written: what a reader wants first stands first.
using Json = nlohmann::ordered_json;

Json number(double value) {
  if (std::isnan(value)) return nullptr;
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

Json write(const SparseHistogram& histogram) {
  return {{"histogram_ns", histogram.text}, {"infinite", histogram.infinite}};
}

Json write(const Counts& counts) {
  return {{"planned", counts.planned},
          {"sent", counts.sent},
          {"completed", counts.completed},
          {"succeeded", counts.succeeded},
          {"dropped", counts.dropped},
          {"timed_out", counts.timed_out},
          {"failed", counts.failed},
          {"sent_bytes", counts.bytes_sent},
          {"received_bytes", counts.bytes_received}};
}

Json write(const ServerFigures& server) {
  return {{"seconds", number(server.seconds)},
          {"requests", number(server.requests)},
          {"gc_cycles", number(server.gc_cycles)},
          {"gc_cpu_seconds", number(server.gc_cpu_seconds)},
          {"gc_hold_seconds", number(server.gc_hold_seconds)},
          {"alloc_bytes", number(server.alloc_bytes)},
          {"heap_alloc_bytes", number(server.heap_alloc_bytes)},
          {"cpu_seconds", number(server.cpu_seconds)},
          {"heap_live_bytes", number(server.heap_live_bytes)},
          {"resident_bytes", number(server.resident_bytes)}};
}

Json write(const Second& second) {
  return {{"number", second.number},
          {"voided", second.voided},
          {"counts", write(second.counts)},
          {"in_flight_most", second.in_flight_most},
          {"generator_busy", number(second.generator_busy)},
          {"steal", number(second.steal)},
          {"response", write(second.response)},
          {"lateness", write(second.lateness)},
          {"client_queue", write(second.client_queue)},
          {"service", write(second.service)},
          {"server", write(second.server)}};
}

Json percentiles(const Latencies& latencies) {
  Json json = {{"count", latencies.count()}};
  for (const Percentile& percentile : kPercentiles) {
    // "P99.9" is p99_9_ns.
    std::string key(percentile.name);
    for (char& c : key) c = c == '.' ? '_' : static_cast<char>(std::tolower(c));
    json[key + "_ns"] = number(percentile_ns(latencies, percentile.percent));
  }
  return json;
}

Json summary(const Measurement& measurement) {
  const MeasurementFigures figures = figures_of(measurement);
  return {{"sent_per_second", number(figures.sent_per_second)},
          {"completed_per_second", number(figures.completed_per_second)},
          {"clean_seconds", number(measurement.clean_seconds())},
          {"voided_seconds", measurement.voided_seconds()},
          {"response", percentiles(figures.spans.response)},
          {"lateness", percentiles(figures.spans.lateness)},
          {"client_queue", percentiles(figures.spans.client_queue)},
          {"service", percentiles(figures.spans.service)},
          {"gc_cycles_per_second", number(figures.server.gc_cycles_per_second)},
          {"alloc_per_request_bytes", number(figures.server.alloc_bytes_per_request)},
          {"heap_alloc_per_request_bytes", number(figures.server.heap_bytes_per_request)},
          {"cpu_per_request_ns", number(figures.server.cpu_ns_per_request)}};
}

Json write(const Measurement& measurement, JsonDetail detail) {
  char digest[17];
  std::snprintf(digest, sizeof digest, "%016llx",
                static_cast<unsigned long long>(measurement.plan_digest));
  Json json = {{"rate_per_second", number(measurement.rate_per_second)},
               {"duration_ns", measurement.duration_ns},
               {"seed", measurement.seed},
               {"plan_digest", digest},
               {"interrupted", measurement.interrupted},
               {"invalid", measurement.invalid},
               {"counts", write(measurement.counts())},
               {"summary", summary(measurement)},
               {"server", write(measurement.server)}};
  Json& statuses = json["statuses"] = Json::object();
  for (const auto& [status, times] : measurement.statuses) statuses[std::to_string(status)] = times;
  Json& errors = json["errors"] = Json::object();
  for (const auto& [message, times] : measurement.errors) errors[message] = times;
  json["connect"] = write(measurement.connect);
  Json& routes = json["routes"] = Json::array();
  for (const RouteFigures& route : measurement.routes) {
    routes.push_back({{"name", route.name},
                      {"counts", write(route.counts)},
                      {"response", write(route.response)}});
  }
  if (detail == JsonDetail::kSummary) return json;
  Json& seconds = json["seconds"] = Json::array();
  for (const Second& second : measurement.seconds) seconds.push_back(write(second));
  return json;
}

Json write(const Host& host) {
  return {{"cpu_model", host.cpu_model},
          {"cpus_allowed", host.cpus_allowed},
          {"kernel", host.kernel},
          {"governor", host.governor},
          {"hypervisor", host.hypervisor},
          {"memory_bytes", host.memory_bytes},
          {"fingerprint", host.fingerprint()}};
}

Json write(const Selfcheck& selfcheck) {
  return {{"grade", std::string(1, selfcheck.grade)},
          {"workers", selfcheck.workers},
          {"most_per_worker_per_second", number(selfcheck.most_rate_per_worker)},
          {"most_per_second", number(selfcheck.most_rate)},
          {"lateness_p50_ns", number(selfcheck.lateness_p50_ns)},
          {"lateness_p99_ns", number(selfcheck.lateness_p99_ns)},
          {"lateness_max_ns", number(selfcheck.lateness_most_ns)},
          {"clock_cost_ns", number(selfcheck.clock_cost_ns)},
          {"steal", number(selfcheck.steal)}};
}

Json write(const Inflection& inflection) {
  return {{"shape", shape_name(inflection.shape)},
          {"last_low_per_second", number(inflection.last_low_rate)},
          {"first_high_per_second", number(inflection.first_high_rate)},
          {"before_p99_ns", number(inflection.before_ns)},
          {"after_p99_ns", number(inflection.after_ns)},
          {"bic_gain", number(inflection.bic_gain)},
          {"capacity_per_second", number(inflection.capacity_rate)}};
}

}  // namespace

std::string write_json(const Result& result, JsonDetail detail) {
  Json json = {{"schema", Result::kSchema},
               {"kind", result.kind},
               {"tool_version", result.tool_version},
               {"valid", result.valid()},
               {"thresholds_failed", result.thresholds_failed},
               {"interrupted", result.interrupted},
               {"above_ceiling", result.above_ceiling},
               {"started", result.started},
               {"command", result.command},
               {"target", result.target},
               {"scenario", result.scenario},
               {"arrival", result.arrival},
               {"workers", result.workers},
               {"connections", result.connections},
               {"timeout_ns", result.timeout_ns},
               {"in_flight_most", result.in_flight_most},
               {"seed", result.seed},
               {"host", write(result.host)}};
  json["selfcheck"] = result.selfcheck ? write(*result.selfcheck) : Json(nullptr);
  json["inflection"] = result.inflection ? write(*result.inflection) : Json(nullptr);
  if (detail == JsonDetail::kSummary) json["seconds_left_out"] = true;
  Json& measurements = json["measurements"] = Json::array();
  for (const Measurement& one : result.measurements) measurements.push_back(write(one, detail));
  // Texts from outside need not be UTF-8.
  return json.dump(1, ' ', false, Json::error_handler_t::replace);
}

std::string write_json(const Result& result) { return write_json(result, JsonDetail::kWhole); }

}  // namespace tailrace::loadtest
