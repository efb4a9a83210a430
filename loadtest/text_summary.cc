// A result in lines: verdict, rates, percentiles, routes, losses, server, trust, plan.
#include "loadtest/text_summary.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "loadtest/figures.h"
#include "loadtest/report_format.h"
#include "loadtest/text_table.h"
#include "loadtest/verdict.h"

namespace tailrace::loadtest {
namespace {

// Messages of errors that are told one by one; the rest is counted.
constexpr std::size_t kMostErrors = 8;
constexpr std::size_t kMostRoutes = 40;

std::string line(const char* word, const std::string& text) {
  std::string result(word);
  result.resize(9, ' ');
  return result + text + "\n";
}

// Over as many lines as the items need; none is broken.
std::string item_lines(const char* word, const std::vector<std::string>& items) {
  constexpr std::size_t kMostColumns = 100;
  std::string text;
  std::string row;
  const auto end_row = [&] {
    text += line(text.empty() ? word : "", row);
    row.clear();
  };
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string item = printable(items[i]) + (i + 1 < items.size() ? "," : "");
    if (!row.empty() && 9 + row.size() + 1 + item.size() > kMostColumns) end_row();
    row += (row.empty() ? "" : " ") + item;
  }
  if (!row.empty()) end_row();
  return text;
}

std::string colored(const std::string& text, const Verdict& verdict, const TextStyle& style) {
  if (!style.color) return text;
  const char* const code = verdict.kind != Verdict::Kind::kValid ? "\x1b[1;31m"
                           : verdict.lossy                       ? "\x1b[1;33m"
                                                                 : "\x1b[1;32m";
  return code + text + "\x1b[0m";
}

std::string verdict_lines(const Result& result, const TextStyle& style) {
  const Verdict verdict = verdict_of(result);
  std::string text = colored(verdict.word, verdict, style) +
                     std::string(9 - std::min<std::size_t>(verdict.word.size(), 8), ' ') +
                     printable(verdict.sentence) + "\n";
  for (const std::string& reason : verdict.reasons) text += line("", printable(reason));
  return text;
}

// One to twenty '#' on a log scale from `low` to `high`.
std::string bar(double ns, double low, double high) {
  if (std::isnan(ns) || !(high > low) || !(low > 0)) return "";
  const double part = std::isinf(ns) ? 1 : std::log(std::max(ns, low) / low) / std::log(high / low);
  return std::string(static_cast<std::size_t>(1 + std::lround(std::clamp(part, 0.0, 1.0) * 19)),
                     '#') +
         (std::isinf(ns) ? ">" : "");
}

std::string percentile_table(const Result& result, const Spans& spans, const TextStyle& style) {
  TextTable table({"", "response", "lateness", "client queue", "service"});
  const double low = spans.response.percentile_ns(50) / 2;
  const double high = static_cast<double>(spans.response.finite().max());
  for (const Percentile& percentile : kPercentiles) {
    // The note beneath the table tells how many requests it would need.
    if (std::isnan(percentile_ns(spans.response, percentile.percent))) continue;
    std::vector<std::string> cells = {std::string(percentile.name)};
    for (const Latencies* latencies :
         {&spans.response, &spans.lateness, &spans.client_queue, &spans.service}) {
      cells.push_back(
          format_latency(percentile_ns(*latencies, percentile.percent), result.timeout_ns));
    }
    if (style.terminal) {
      cells.push_back(bar(percentile_ns(spans.response, percentile.percent), low, high));
    }
    table.row(std::move(cells));
  }
  return table.str(2);
}

// A character a stretch: higher is later in the row, 'x' is voided, '!' infinite.
std::string p99_line(const Measurement& measurement, const TextStyle& style) {
  if (!style.terminal || measurement.seconds.size() < 2) return "";
  static constexpr char kLevels[] = "_.-=+*#@";
  const std::vector<Stretch> stretches = stretches_of(measurement, 60);
  double low = 0;
  double high = 0;
  for (const Stretch& stretch : stretches) {
    const double p99 = stretch.spans.response.percentile_ns(99);
    if (!stretch.voided.empty() || !std::isfinite(p99) || p99 <= 0) continue;
    low = low == 0 ? p99 : std::min(low, p99);
    high = std::max(high, p99);
  }
  const bool any_clean = std::any_of(stretches.begin(), stretches.end(),
                                     [](const Stretch& stretch) { return stretch.voided.empty(); });
  if (!any_clean) return "";
  std::string text;
  for (const Stretch& stretch : stretches) {
    const double p99 = stretch.spans.response.percentile_ns(99);
    if (!stretch.voided.empty()) {
      text += 'x';
    } else if (std::isinf(p99)) {
      text += '!';
    } else if (p99 <= 0) {
      text += ' ';
    } else {
      // At least a factor of ten from bottom to top, so that noise looks like noise.
      const double part = std::log(p99 / low) / std::log(std::max(high / low, 10.0));
      text += kLevels[static_cast<std::size_t>(std::clamp(part * 7.99, 0.0, 7.0))];
    }
  }
  const std::string range =
      high == 0 ? "" : "  " + format_duration(low) + " to " + format_duration(high);
  return "  P99 by time  [" + text + "]" + range + "\n";
}

std::string rate_line(const Measurement& measurement, const MeasurementFigures& figures) {
  std::string text;
  if (measurement.rate_per_second > 0) {
    text = format_number(measurement.rate_per_second) + "/s asked, ";
  }
  return text + format_number(std::round(figures.sent_per_second)) + "/s sent, " +
         format_number(std::round(figures.completed_per_second)) + "/s completed, at most " +
         format_count(figures.in_flight_most) + " in flight";
}

std::string losses_lines(const Measurement& measurement, const Counts& counts) {
  std::string text;
  const std::vector<std::string> losses = losses_of(counts);
  text += item_lines("LOST", losses);
  std::vector<std::string> statuses;
  for (const auto& [status, times] : measurement.statuses) {
    statuses.push_back(std::to_string(status) + " x " + format_count(times));
  }
  text += item_lines("STATUS", statuses);
  std::vector<std::pair<std::uint64_t, std::string>> errors;
  for (const auto& [message, times] : measurement.errors) errors.emplace_back(times, message);
  std::stable_sort(errors.begin(), errors.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (std::size_t i = 0; i < errors.size() && i < kMostErrors; ++i) {
    text += line(i == 0 ? "ERRORS" : "",
                 format_count(errors[i].first) + " x " + printable(errors[i].second));
  }
  if (errors.size() > kMostErrors) {
    text += line("", "and " + std::to_string(errors.size() - kMostErrors) + " more kinds");
  }
  return text;
}

std::string routes_table(const Result& result, const Measurement& measurement) {
  if (measurement.routes.size() < 2) return "";
  TextTable table({"route", "requests", "bad", "P50", "P99", "P99.9", "max"});
  for (std::size_t i = 0; i < measurement.routes.size() && i < kMostRoutes; ++i) {
    const RouteFigures& route = measurement.routes[i];
    const Latencies latencies = route.response.latencies();
    std::vector<std::string> cells = {route.name, format_count(route.counts.planned),
                                      format_count(route.counts.bad())};
    for (const double percent : {50.0, 99.0, 99.9, 100.0}) {
      cells.push_back(format_latency(percentile_ns(latencies, percent), result.timeout_ns));
    }
    table.row(std::move(cells));
  }
  std::string text = "\n" + table.str(2);
  if (measurement.routes.size() > kMostRoutes) {
    text += "  and " + std::to_string(measurement.routes.size() - kMostRoutes) + " more\n";
  }
  return text;
}

std::string server_line(const ServerRates& server) {
  if (!server.known()) return "";
  std::vector<std::string> items;
  const auto add = [&items](double value, const std::string& text) {
    if (!std::isnan(value)) items.push_back(text);
  };
  add(server.gc_cycles_per_second, format_number(server.gc_cycles_per_second) + " GC cycles/s");
  add(server.alloc_bytes_per_request,
      format_bytes(server.alloc_bytes_per_request) + " allocated a request");
  if (server.alloc_bytes_per_request > 0) {
    add(server.heap_bytes_per_request,
        server.heap_bytes_per_request == server.alloc_bytes_per_request
            ? std::string("all of it on the heap")
            : format_bytes(server.heap_bytes_per_request) + " of these on the heap");
  }
  add(server.cpu_ns_per_request, format_duration(server.cpu_ns_per_request) + " CPU a request");
  add(server.gc_cpu_share, format_percent(server.gc_cpu_share) + " of the CPU for GC");
  return item_lines("SERVER", items);
}

std::string run_text(const Result& result, const Measurement& measurement, const TextStyle& style) {
  const MeasurementFigures figures = figures_of(measurement);
  if (figures.counts.planned == 0) return "";
  std::string text = line("RATE", rate_line(measurement, figures)) + "\n";
  if (figures.all_voided)
    text += "  no second is clean: these are the figures of the voided ones\n";
  text += percentile_table(result, figures.spans, style);
  const std::string note = few_requests_note(figures.spans.response.count());
  if (!note.empty()) text += "  " + note + "\n";
  text += p99_line(measurement, style) + routes_table(result, measurement) + "\n";
  return text + losses_lines(measurement, figures.counts) + server_line(figures.server);
}

std::string ramp_text(const Result& result) {
  TextTable table({"rate/s", "completed/s", "P50", "P99", "P99.9", "GC cycles/s", "B/request",
                   "bad", "voided"});
  bool few = false;
  bool lost = false;
  for (const Measurement* step : by_rate(result)) {
    const MeasurementFigures figures = figures_of(*step);
    std::vector<std::string> cells = {format_number(step->rate_per_second),
                                      format_number(std::round(figures.completed_per_second))};
    for (const double percent : {50.0, 99.0, 99.9}) {
      const double ns = percentile_ns(figures.spans.response, percent);
      few = few || (std::isnan(ns) && figures.counts.planned != 0);
      lost = lost || std::isinf(ns);
      cells.push_back(std::isinf(ns) ? ">" + format_setting(result.timeout_ns)
                                     : format_duration(ns));
    }
    cells.push_back(format_number(figures.server.gc_cycles_per_second));
    cells.push_back(format_bytes(figures.server.alloc_bytes_per_request));
    cells.push_back(format_count(figures.counts.bad()));
    cells.push_back(std::to_string(step->voided_seconds()) + "/" +
                    std::to_string(step->seconds.size()));
    std::string marks = marks_of(*step);
    if (result.inflection && result.inflection->shape == Inflection::Shape::kStep &&
        step->rate_per_second == result.inflection->first_high_rate) {
      marks = "<- P99 inflects" + (marks.empty() ? "" : "; " + marks);
    }
    cells.push_back(marks);
    table.row(std::move(cells));
  }
  std::string text = "\n" + table.str(2);
  const std::string note = overload_note(result);
  if (!note.empty()) text += "  " + note + "\n";
  if (lost) text += "  > : dropped, failed or not answered before the timeout\n";
  if (few) text += "  - : too few requests for this percentile; hold each rate for longer\n";
  return text + "\n";
}

}  // namespace

TextStyle TextStyle::of(bool is_terminal, const char* no_color) {
  TextStyle style;
  style.terminal = is_terminal;
  style.color = is_terminal && (no_color == nullptr || *no_color == '\0');
  return style;
}

std::string text_summary(const Result& result, const TextStyle& style) {
  std::string text = verdict_lines(result, style);
  if (result.kind == "ramp" && !result.measurements.empty()) {
    text += ramp_text(result);
  } else {
    for (const Measurement& measurement : result.measurements) {
      text += run_text(result, measurement, style);
    }
  }
  text += item_lines("TRUST", trust_items(result));
  return text + item_lines("PLAN", plan_items(result));
}

}  // namespace tailrace::loadtest
