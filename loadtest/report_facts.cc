// What the page says in words and tables: verdict, spans, losses, routes, server, trust, environment.
#include <algorithm>
#include <cmath>
#include <utility>

#include "loadtest/report_format.h"
#include "loadtest/report_parts.h"
#include "loadtest/verdict.h"

namespace tailrace::loadtest {
namespace {

constexpr std::size_t kMostErrors = 50;
constexpr std::size_t kMostRoutes = 200;

using Facts = std::vector<std::pair<std::string, std::string>>;

std::string figures_list(const Facts& facts) {
  std::string text = "<dl class=\"figures\">";
  for (const auto& [name, value] : facts) {
    text += "<div><dt>" + escape(name) + "</dt><dd>" + escape(value) + "</dd></div>";
  }
  return text + "</dl>\n";
}

std::string facts_table(const Facts& facts) {
  std::string text = "<table class=\"text\"><tbody>\n";
  for (const auto& [name, value] : facts) {
    text += "<tr><th scope=\"row\">" + escape(name) + "</th><td>" + escape(value) + "</td></tr>\n";
  }
  return text + "</tbody></table>\n";
}

std::string bullets(const std::vector<std::string>& items, const char* css) {
  if (items.empty()) return "";
  std::string text = std::string("<ul class=\"") + css + "\">";
  for (const std::string& item : items) text += "<li>" + escape(item) + "</li>";
  return text + "</ul>\n";
}

Facts run_facts(const Result& result) {
  const Measurement& measurement = result.measurements.front();
  const MeasurementFigures figures = figures_of(measurement);
  Facts facts;
  if (measurement.rate_per_second > 0) {
    facts.emplace_back("asked", format_number(measurement.rate_per_second) + "/s");
  }
  facts.emplace_back("completed", format_number(std::round(figures.completed_per_second)) + "/s");
  for (const Percentile& percentile : kPercentiles) {
    const double ns = percentile_ns(figures.spans.response, percentile.percent);
    if (percentile.name == "P75" || percentile.name == "P90" || std::isnan(ns)) continue;
    facts.emplace_back(std::string(percentile.name),
                       std::isinf(ns) ? "> timeout" : latency_text(ns, result.timeout_ns));
  }
  facts.emplace_back("bad", format_count(figures.counts.bad()));
  if (figures.counts.bad() != 0)
    facts.emplace_back("bad of all", format_percent(figures.bad_share));
  return facts;
}

Facts ramp_facts(const Result& result) {
  Facts facts;
  facts.emplace_back("steps", std::to_string(result.measurements.size()));
  if (!result.inflection) return facts;
  const Inflection& inflection = *result.inflection;
  if (inflection.shape == Inflection::Shape::kStep) {
    facts.emplace_back("last rate before", format_number(inflection.last_low_rate) + "/s");
    facts.emplace_back("first rate after", format_number(inflection.first_high_rate) + "/s");
    facts.emplace_back("P99 before", latency_text(inflection.before_ns, result.timeout_ns));
    facts.emplace_back("P99 after", std::isinf(inflection.after_ns)
                                        ? "> timeout"
                                        : latency_text(inflection.after_ns, result.timeout_ns));
  } else if (inflection.shape == Inflection::Shape::kSmooth && inflection.capacity_rate > 0) {
    facts.emplace_back("capacity",
                       "about " + format_number(std::round(inflection.capacity_rate)) + "/s");
  }
  return facts;
}

const char* css_of(const Verdict& verdict) {
  switch (verdict.kind) {
    case Verdict::Kind::kValid:
      return verdict.lossy ? "lossy" : "valid";
    case Verdict::Kind::kFailed:
      return "failed";
    case Verdict::Kind::kInvalid:
      return "invalid";
    case Verdict::Kind::kInterrupted:
      return "interrupted";
  }
  return "invalid";
}

// As a shell takes it.
std::string quoted(const std::string& word) {
  const char* const kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,+@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace

std::string verdict_card(const Result& result) {
  const Verdict verdict = verdict_of(result);
  std::string text = std::string("<section class=\"verdict ") + css_of(verdict) +
                     "\"><span class=\"word\">" + verdict.word + "</span><p class=\"sentence\">" +
                     escape(micro(verdict.sentence)) + ".</p>\n" +
                     bullets(verdict.reasons, "reasons");
  if (!result.measurements.empty()) {
    text += figures_list(result.kind == "ramp" ? ramp_facts(result) : run_facts(result));
  }
  return text + "</section>\n";
}

std::string losses_list(const Measurement& measurement) {
  std::vector<std::string> items = losses_of(measurement.counts());
  std::string text = bullets(items, "reasons");
  HtmlTable table;
  table.head = {"status or error", "requests"};
  for (const auto& [status, times] : measurement.statuses) {
    table.rows.push_back({std::to_string(status), format_count(times)});
  }
  std::vector<std::pair<std::uint64_t, std::string>> errors;
  for (const auto& [message, times] : measurement.errors) errors.emplace_back(times, message);
  std::stable_sort(errors.begin(), errors.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (std::size_t i = 0; i < errors.size() && i < kMostErrors; ++i) {
    table.rows.push_back({errors[i].second, format_count(errors[i].first)});
  }
  if (errors.size() > kMostErrors) {
    table.rows.push_back({"more kinds of errors", std::to_string(errors.size() - kMostErrors)});
  }
  return table.rows.empty() ? text : text + write_table(table);
}

std::string routes_table(const RunData& data) {
  if (data.measurement.routes.size() < 2) return "";
  HtmlTable table;
  table.head = {"route", "requests", "bad", "P50", "P90", "P99", "P99.9", "max"};
  for (std::size_t i = 0; i < data.measurement.routes.size() && i < kMostRoutes; ++i) {
    const RouteFigures& route = data.measurement.routes[i];
    const Latencies latencies = route.response.latencies();
    std::vector<std::string> row = {route.name, format_count(route.counts.planned),
                                    format_count(route.counts.bad())};
    for (const double percent : {50.0, 90.0, 99.0, 99.9, 100.0}) {
      row.push_back(latency_text(percentile_ns(latencies, percent), data.result.timeout_ns));
    }
    table.rows.push_back(std::move(row));
  }
  return write_table(table);
}

std::string server_table(const RunData& data) {
  const ServerRates& server = data.figures.server;
  const ServerFigures& raw = data.measurement.server;
  Facts facts;
  const auto add = [&facts](const char* name, double value, const std::string& text) {
    if (!std::isnan(value)) facts.emplace_back(name, text);
  };
  add("GC cycles/s", server.gc_cycles_per_second, format_number(server.gc_cycles_per_second));
  add("allocated a request", server.alloc_bytes_per_request,
      format_bytes(server.alloc_bytes_per_request));
  add("of these on the heap", server.heap_bytes_per_request,
      format_bytes(server.heap_bytes_per_request));
  add("allocated/s", server.alloc_bytes_per_second, format_bytes(server.alloc_bytes_per_second));
  add("CPU a request", server.cpu_ns_per_request,
      micro(format_duration(server.cpu_ns_per_request)));
  add("GC's part of the CPU", server.gc_cpu_share, format_percent(server.gc_cpu_share));
  add("held by GC in all", raw.gc_hold_seconds, micro(format_duration(raw.gc_hold_seconds * 1e9)));
  add("live heap", raw.heap_live_bytes, format_bytes(raw.heap_live_bytes));
  add("resident", raw.resident_bytes, format_bytes(raw.resident_bytes));
  if (facts.empty()) return "";
  return figures_list(facts) +
         "<p class=\"note\">From the server's own metrics, read at the edges of the measured "
         "part.</p>\n";
}

std::string trust_list(const Result& result) {
  std::vector<std::string> items = trust_items(result);
  for (std::string& item : items) item = micro(std::move(item));
  return bullets(items, "reasons");
}

std::string environment(const Result& result) {
  std::string command;
  // A line breaks between words only.
  for (const std::string& word : result.command) {
    command += (command.empty() ? "<span>" : " <span>") + escape(quoted(word)) + "</span>";
  }
  std::string text = "<pre>" + command + "</pre>\n";
  Facts facts = {
      {"target", result.target},
      {"scenario", result.scenario},
      {"arrivals", result.arrival},
      {"seed", std::to_string(result.seed)},
      {"workers", std::to_string(result.workers)},
      {"connections", result.connections == 0 ? std::string("as the rate needs")
                                              : format_count(result.connections)},
      {"timeout", micro(format_setting(result.timeout_ns))},
      {"in flight at most", result.in_flight_most == 0 ? std::string("4 x rate x timeout")
                                                       : format_count(result.in_flight_most)},
      {"started", result.started},
      {"tool", result.tool_version},
      {"generator's host", result.host.cpu_model},
      {"CPUs it may use", std::to_string(result.host.cpus_allowed)},
      {"memory", format_bytes(static_cast<double>(result.host.memory_bytes))},
      {"kernel", result.host.kernel},
      {"governor", result.host.governor},
      {"hypervisor", result.host.hypervisor}};
  if (result.selfcheck) {
    const Selfcheck& check = *result.selfcheck;
    facts.emplace_back("selfcheck", std::string("grade ") + check.grade + ": at most " +
                                        format_number(std::round(check.most_rate)) +
                                        " requests/s with " + std::to_string(check.workers) +
                                        " workers, lateness P50 " +
                                        micro(format_duration(check.lateness_p50_ns)) + ", P99 " +
                                        micro(format_duration(check.lateness_p99_ns)) + ", clock " +
                                        micro(format_duration(check.clock_cost_ns)) + ", steal " +
                                        format_percent(check.steal));
  }
  return text + facts_table(facts);
}

}  // namespace tailrace::loadtest
