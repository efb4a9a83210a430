// See synthetic_metrics.h.
#include "loadtest/synthetic_metrics.h"

#include <array>
#include <charconv>

namespace tailrace::loadtest {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kMethods = {
    {{"GET", "get"},
     {"PUT", "put"},
     {"HEAD", "head"},
     {"POST", "post"},
     {"DELETE", "delete"},
     {"CONNECT", "connect"},
     {"OPTIONS", "options"},
     {"NOTIFY", "notify"},
     {"TRACE", "trace"},
     {"PATCH", "patch"}}};

void head(std::string& page, std::string_view name, std::string_view type, std::string_view help) {
  page.append("# HELP ").append(name).append(" ").append(help).append("\n");
  page.append("# TYPE ").append(name).append(" ").append(type).append("\n");
}

void sample(std::string& page, std::string_view name, std::string_view labels, double value) {
  char digits[40];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  page.append(name).append(labels).append(" ").append(digits, end).append("\n");
}

}  // namespace

std::string_view method_label(std::string_view method) {
  for (const auto& [name, label] : kMethods) {
    if (name == method) return label;
  }
  return "unknown";
}

std::string synthetic_metrics(const SyntheticFigures& figures, const AnswerCounts& answers,
                              double resident_bytes) {
  std::string page;
  head(page, "http_requests_total", "counter",
       "Requests answered, by route, method and status code.");
  for (const auto& [key, count] : answers) {
    const std::string labels = "{route=\"(any)\",method=\"" + std::string(key.first) +
                               "\",code=\"" + std::to_string(key.second) + "\"}";
    sample(page, "http_requests_total", labels, static_cast<double>(count));
  }
  head(page, "go_gc_duration_seconds", "summary", "The longest hold of each cycle.");
  sample(page, "go_gc_duration_seconds_sum", "", figures.gc_hold_seconds);
  sample(page, "go_gc_duration_seconds_count", "", figures.gc_cycles);
  const auto plain = [&](std::string_view name, std::string_view type, std::string_view help,
                         std::string_view labels, double value) {
    head(page, name, type, help);
    sample(page, name, labels, value);
  };
  plain("go_cpu_classes_gc_total_cpu_seconds_total", "counter", "CPU time used to collect.", "",
        figures.gc_cpu_seconds);
  plain("tailrace_http_request_alloc_bytes_total", "counter", "Memory allocated for requests.",
        "{route=\"(any)\",kind=\"heap\"}", figures.heap_alloc_bytes);
  plain("go_gc_heap_live_bytes", "gauge", "Bytes that the last cycle found live.", "",
        figures.heap_live_bytes);
  plain("process_cpu_seconds_total", "counter", "CPU time that the model's server would have used.",
        "", figures.cpu_seconds);
  plain("process_resident_memory_bytes", "gauge", "Resident memory, and the model's heap.", "",
        resident_bytes);
  return page;
}

}  // namespace tailrace::loadtest
