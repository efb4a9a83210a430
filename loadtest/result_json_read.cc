// Reads a result from JSON that may come from anywhere: cut off, changed by hand, of a newer tool.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "loadtest/json_fields.h"
#include "loadtest/result_json.h"

namespace tailrace::loadtest {
namespace {

using nlohmann::json;

// More than any run has; what is larger was not written by this tool.
constexpr std::size_t kMostMeasurements = 10'000;
constexpr std::size_t kMostSeconds = 1'000'000;

constexpr const char* kRemedy =
    ": the file was changed or cut off; take the results.json as tailrace-load wrote it, or "
    "measure again";

void read(JsonFields& fields, Second& second) {
  fields.take("number", second.number);
  if (second.number > static_cast<std::int64_t>(kMostSeconds))
    fields.fail("number", "is too large");
  fields.take("voided", second.voided);
  fields.take("counts", second.counts);
  fields.take("in_flight_most", second.in_flight_most);
  fields.take("generator_busy", second.generator_busy);
  fields.take("steal", second.steal);
  fields.take("response", second.response);
  fields.take("lateness", second.lateness);
  fields.take("client_queue", second.client_queue);
  fields.take("service", second.service);
  fields.take("server", second.server);
}

void read_tables(JsonFields& fields, Measurement& measurement) {
  for (const auto& [key, times] : fields.at("statuses", json::value_t::object).items()) {
    int status = 0;
    const char* const end = key.data() + key.size();
    const auto [rest, error] = std::from_chars(key.data(), end, status);
    if (error != std::errc() || rest != end || !times.is_number_unsigned()) {
      return fields.fail("statuses", "holds something that is no status and its count");
    }
    measurement.statuses[status] = times.get<std::uint64_t>();
  }
  for (const auto& [message, times] : fields.at("errors", json::value_t::object).items()) {
    if (!times.is_number_unsigned())
      return fields.fail("errors", "holds something that is no count");
    measurement.errors[message] = times.get<std::uint64_t>();
  }
}

// f(fields, element) for each of an array's elements until something is wrong.
template <typename Element, typename F>
void read_each(JsonFields& parent, const char* key, std::size_t most, std::vector<Element>& into,
               std::string& message, F&& f) {
  const json& array = parent.at(key, json::value_t::array);
  if (array.size() > most) return parent.fail(key, "has too many elements");
  for (std::size_t i = 0; i < array.size() && message.empty(); ++i) {
    std::string path = parent.path_of(key);
    path += "[" + std::to_string(i) + "]";
    JsonFields fields(array[i], std::move(path), message);
    f(fields, into.emplace_back());
  }
}

void read_digest(JsonFields& fields, std::uint64_t& digest) {
  std::string text;
  fields.take("plan_digest", text);
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, digest, 16);
  if (error != std::errc() || rest != end) fields.fail("plan_digest", "is no hexadecimal number");
}

void read(JsonFields& fields, Measurement& measurement, std::string& message) {
  fields.take("rate_per_second", measurement.rate_per_second);
  fields.take("duration_ns", measurement.duration_ns);
  fields.take("seed", measurement.seed);
  read_digest(fields, measurement.plan_digest);
  fields.take("interrupted", measurement.interrupted);
  fields.take("invalid", measurement.invalid);
  fields.take("server", measurement.server);
  fields.take("connect", measurement.connect);
  read_tables(fields, measurement);
  read_each(fields, "routes", kMostSeconds, measurement.routes, message,
            [](JsonFields& each, RouteFigures& route) {
              each.take("name", route.name);
              each.take("counts", route.counts);
              each.take("response", route.response);
            });
  read_each(fields, "seconds", kMostSeconds, measurement.seconds, message,
            [](JsonFields& each, Second& second) { read(each, second); });
}

void read(JsonFields fields, Host& host) {
  fields.take("cpu_model", host.cpu_model);
  fields.take("cpus_allowed", host.cpus_allowed);
  fields.take("kernel", host.kernel);
  fields.take("governor", host.governor);
  fields.take("hypervisor", host.hypervisor);
  fields.take("memory_bytes", host.memory_bytes);
}

void read(JsonFields fields, Selfcheck& selfcheck) {
  std::string grade;
  fields.take("grade", grade);
  if (grade.size() != 1 || grade[0] < 'A' || grade[0] > 'F') {
    return fields.fail("grade", "is not one of A to F");
  }
  selfcheck.grade = grade[0];
  fields.take("workers", selfcheck.workers);
  fields.take("most_per_worker_per_second", selfcheck.most_rate_per_worker);
  fields.take("most_per_second", selfcheck.most_rate);
  fields.take("lateness_p50_ns", selfcheck.lateness_p50_ns);
  fields.take("lateness_p99_ns", selfcheck.lateness_p99_ns);
  fields.take("lateness_max_ns", selfcheck.lateness_most_ns);
  fields.take("clock_cost_ns", selfcheck.clock_cost_ns);
  fields.take("steal", selfcheck.steal);
}

void read(JsonFields fields, Inflection& inflection) {
  using Shape = Inflection::Shape;
  std::string shape;
  fields.take("shape", shape);
  if (shape == "step") {
    inflection.shape = Shape::kStep;
  } else if (shape == "smooth") {
    inflection.shape = Shape::kSmooth;
  } else if (shape == "flat") {
    inflection.shape = Shape::kFlat;
  } else if (shape == "too_few") {
    inflection.shape = Shape::kTooFew;
  } else {
    return fields.fail("shape", "is none of step, smooth, flat, too_few");
  }
  fields.take_any("last_low_per_second", inflection.last_low_rate);
  fields.take_any("first_high_per_second", inflection.first_high_rate);
  fields.take_any("before_p99_ns", inflection.before_ns);
  fields.take_any("after_p99_ns", inflection.after_ns);
  fields.take_any("bic_gain", inflection.bic_gain);
  fields.take_any("capacity_per_second", inflection.capacity_rate);
}

void read(JsonFields& fields, Result& result, std::string& message) {
  fields.take("kind", result.kind);
  fields.take("tool_version", result.tool_version);
  fields.take("thresholds_failed", result.thresholds_failed);
  fields.take("interrupted", result.interrupted);
  fields.take("above_ceiling", result.above_ceiling);
  fields.take("started", result.started);
  fields.take("command", result.command);
  fields.take("target", result.target);
  fields.take("scenario", result.scenario);
  fields.take("arrival", result.arrival);
  fields.take("workers", result.workers);
  fields.take("connections", result.connections);
  fields.take("timeout_ns", result.timeout_ns);
  fields.take("in_flight_most", result.in_flight_most);
  fields.take("seed", result.seed);
  read(fields.object("host"), result.host);
  if (fields.has("selfcheck")) read(fields.object("selfcheck"), result.selfcheck.emplace());
  if (fields.has("inflection")) read(fields.object("inflection"), result.inflection.emplace());
  read_each(fields, "measurements", kMostMeasurements, result.measurements, message,
            [&](JsonFields& each, Measurement& measurement) { read(each, measurement, message); });
}

// Empty if this tool reads it.
std::string refuse_schema(const json& document) {
  const bool object = document.is_object();
  if (!object || !document.contains("schema") || !document["schema"].is_number_integer()) {
    return "this is no result of tailrace-load (it has no \"schema\"): give the results.json that "
           "--json or -o wrote";
  }
  const json& schema = document["schema"];
  if (schema == Result::kSchema) {
    const bool left_out = document.contains("seconds_left_out");
    return left_out
               ? "this is the short form that report.html holds, without the seconds: give the "
                 "results.json that stands beside it"
               : "";
  }
  std::string wrote;
  if (document.contains("tool_version") && document["tool_version"].is_string()) {
    wrote = " (" + document["tool_version"].get<std::string>() + " wrote it)";
  }
  return "this result has schema " + schema.dump() + " and this tool reads schema " +
         std::to_string(Result::kSchema) + ": use the tailrace-load that wrote it or a newer one" +
         wrote;
}

}  // namespace

std::variant<Result, std::string> read_json(std::string_view text) {
  json document;
  try {
    document = json::parse(text);
  } catch (const json::parse_error& error) {
    return "this is no JSON from byte " + std::to_string(error.byte) + " on" + kRemedy;
  } catch (const json::exception&) {
    return std::string("this JSON has a number that nothing can hold") + kRemedy;
  }
  std::string message = refuse_schema(document);
  if (!message.empty()) return message;
  Result result;
  JsonFields fields(document, "", message);
  read(fields, result, message);
  if (!message.empty()) return message + kRemedy;
  return result;
}

}  // namespace tailrace::loadtest
