// A row a second.
#include "loadtest/csv.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "loadtest/figures.h"

namespace tailrace::loadtest {
namespace {

constexpr std::array<std::pair<const char*, SparseHistogram Second::*>, 4> kSpans = {
    {{"response", &Second::response},
     {"lateness", &Second::lateness},
     {"client_queue", &Second::client_queue},
     {"service", &Second::service}}};

constexpr std::array<std::pair<const char*, double>, 6> kColumns = {
    {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99_9", 99.9}, {"p99_99", 99.99}, {"max", 100}}};

constexpr std::array<std::pair<const char*, std::uint64_t Counts::*>, 9> kCounts = {
    {{"planned", &Counts::planned},
     {"sent", &Counts::sent},
     {"completed", &Counts::completed},
     {"succeeded", &Counts::succeeded},
     {"dropped", &Counts::dropped},
     {"timed_out", &Counts::timed_out},
     {"failed", &Counts::failed},
     {"sent_bytes", &Counts::bytes_sent},
     {"received_bytes", &Counts::bytes_received}}};

constexpr std::array<std::pair<const char*, double ServerFigures::*>, 10> kServer = {
    {{"server_seconds", &ServerFigures::seconds},
     {"server_requests", &ServerFigures::requests},
     {"gc_cycles", &ServerFigures::gc_cycles},
     {"gc_cpu_seconds", &ServerFigures::gc_cpu_seconds},
     {"gc_hold_seconds", &ServerFigures::gc_hold_seconds},
     {"alloc_bytes", &ServerFigures::alloc_bytes},
     {"heap_alloc_bytes", &ServerFigures::heap_alloc_bytes},
     {"cpu_seconds", &ServerFigures::cpu_seconds},
     {"heap_live_bytes", &ServerFigures::heap_live_bytes},
     {"resident_bytes", &ServerFigures::resident_bytes}}};

std::string number(double value) {
  if (std::isnan(value)) return "";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char text[40];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

std::string head() {
  std::string text = "rate_per_second,second,voided";
  for (const auto& [name, member] : kCounts) text += std::string(",") + name;
  for (const auto& [span, member] : kSpans) {
    for (const auto& [name, percent] : kColumns)
      text += std::string(",") + span + "_" + name + "_ns";
  }
  text += ",in_flight_most,generator_busy,steal";
  for (const auto& [name, member] : kServer) text += std::string(",") + name;
  return text + "\r\n";
}

std::string row(const Measurement& measurement, const Second& second) {
  std::string text = number(measurement.rate_per_second) + "," + std::to_string(second.number) +
                     "," + csv_field(second.voided);
  for (const auto& [name, member] : kCounts) text += "," + std::to_string(second.counts.*member);
  for (const auto& [span, member] : kSpans) {
    const Latencies latencies = (second.*member).latencies();
    for (const auto& [name, percent] : kColumns)
      text += "," + number(percentile_ns(latencies, percent));
  }
  text += "," + std::to_string(second.in_flight_most) + "," + number(second.generator_busy) + "," +
          number(second.steal);
  for (const auto& [name, member] : kServer) text += "," + number(second.server.*member);
  return text + "\r\n";
}

}  // namespace

std::string csv_field(std::string_view text) {
  std::string field(text);
  if (!field.empty() &&
      std::string_view("=+-@\t\r").find(field.front()) != std::string_view::npos) {
    field.insert(field.begin(), '\'');
  }
  if (field.find_first_of(",\"\r\n") == std::string::npos) return field;
  std::string quoted = "\"";
  for (const char c : field) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

std::string write_csv(const Result& result) {
  std::string text = head();
  for (const Measurement& measurement : result.measurements) {
    for (const Second& second : measurement.seconds) text += row(measurement, second);
  }
  return text;
}

}  // namespace tailrace::loadtest
