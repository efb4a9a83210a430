// The response time and its three parts, beside each other: as a table and as bars.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "loadtest/report_parts.h"
#include "loadtest/verdict.h"

namespace tailrace::loadtest {
namespace {

constexpr double kRowHeight = 30;
constexpr double kLabelWidth = 92;

using Rows = std::array<std::pair<const char*, const Latencies*>, 4>;

Rows rows_of(const Spans& spans) {
  return {{{"response", &spans.response},
           {"lateness", &spans.lateness},
           {"client queue", &spans.client_queue},
           {"service", &spans.service}}};
}

// Where a latency lies; what is infinite is at the right edge.
double place(const Axis& axis, double ns, double left, double right) {
  return std::isinf(ns) ? right : left + axis.position(ns) * (right - left);
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return "<text x=\"" + coordinate(x) + "\" y=\"" + coordinate(y) + "\" text-anchor=\"" + anchor +
         "\">" + escape(text) + "</text>";
}

std::string bar_row(const Axis& axis, const Latencies& latencies, double y, double left,
                    double right) {
  const double p50 = place(axis, latencies.percentile_ns(50), left, right);
  const double p99 = std::max(place(axis, latencies.percentile_ns(99), left, right), p50 + 2);
  const double most = std::max(place(axis, percentile_ns(latencies, 100), left, right), p99);
  const std::string middle = coordinate(y);
  std::string text = "<path class=\"line c1\" d=\"M" + coordinate(p99) + " " + middle + "H" +
                     coordinate(most) + "\"/><path class=\"bar c1\" d=\"M" + coordinate(p50) + " " +
                     coordinate(y - 7) + "H" + coordinate(p99) + "v14H" + coordinate(p50) + "z\"/>";
  if (latencies.infinite() != 0) {
    text +=
        "<path class=\"arrow c2\" d=\"M" + coordinate(right + 10) + " " + middle + "l-9 -5v10z\"/>";
  } else {
    text +=
        "<circle class=\"mark c1\" cx=\"" + coordinate(most) + "\" cy=\"" + middle + "\" r=\"3\"/>";
  }
  return text + "\n";
}

std::string bars(const Rows& rows, const Axis& axis, const ChartSize& size,
                 const std::string& description) {
  const double left = kLabelWidth;
  const double right = size.width - 24;
  const double bottom = kRowHeight * static_cast<double>(rows.size()) + 6;
  const std::string id = "spans-" + size.name;
  std::string text = "<svg class=\"" + size.name + "\" viewBox=\"0 0 " + coordinate(size.width) +
                     " " + coordinate(bottom + 26) + "\" role=\"img\" aria-labelledby=\"" + id +
                     "-t " + id + "-d\">\n<title id=\"" + id +
                     "-t\">Response time and its parts</title><desc id=\"" + id + "-d\">" +
                     escape(description) + "</desc>\n";
  for (const Tick& tick : ticks_of(axis, size.x_ticks)) {
    const double x = place(axis, tick.value, left, right);
    text += "<path class=\"grid\" d=\"M" + coordinate(x) + " 0V" + coordinate(bottom) + "\"/>" +
            text_at(x, bottom + 18, "middle", tick.label);
  }
  double y = kRowHeight / 2 + 2;
  for (const auto& [name, latencies] : rows) {
    text += text_at(left - 10, y + 4, "end", name);
    if (latencies->count() != 0) text += bar_row(axis, *latencies, y, left, right);
    y += kRowHeight;
  }
  return text + "</svg>\n";
}

}  // namespace

std::string spans_table(const RunData& data) {
  const Spans& spans = data.figures.spans;
  if (spans.response.count() == 0) return "";
  HtmlTable table;
  table.head = {""};
  for (const auto& [name, latencies] : rows_of(spans)) table.head.emplace_back(name);
  for (const Percentile& percentile : kPercentiles) {
    // The note beneath tells how many requests it would need.
    if (std::isnan(percentile_ns(spans.response, percentile.percent))) continue;
    std::vector<std::string> row = {std::string(percentile.name)};
    for (const auto& [name, latencies] : rows_of(spans)) {
      row.push_back(
          latency_text(percentile_ns(*latencies, percentile.percent), data.result.timeout_ns));
    }
    table.rows.push_back(std::move(row));
  }
  std::string text;
  if (data.figures.all_voided) {
    text += "<p class=\"note\">No second is clean: these are the voided ones.</p>\n";
  }
  text += write_table(table);
  const std::string note = few_requests_note(spans.response.count());
  if (!note.empty()) text += "<p class=\"note\">" + escape(note) + ".</p>\n";
  return text;
}

std::string span_bars(const RunData& data) {
  const Spans& spans = data.figures.spans;
  if (spans.response.count() == 0) return "";
  std::vector<double> values;
  std::string description = "P50 to P99: ";
  for (const auto& [name, latencies] : rows_of(spans)) {
    const double shown[] = {latencies->percentile_ns(50), latencies->percentile_ns(99),
                            percentile_ns(*latencies, 100)};
    values.insert(values.end(), std::begin(shown), std::end(shown));
    description += std::string(name) + " " + latency_text(shown[0], data.result.timeout_ns) +
                   " to " + latency_text(shown[1], data.result.timeout_ns) + "; ";
  }
  const Axis axis = latency_axis(values, "");
  return "<figure><figcaption><h3>Where the time goes</h3><p>A bar from P50 to P99, a line on to "
         "the largest. "
         "Response: from due to last byte, what a user waits. Lateness: until the generator took "
         "the "
         "request up, its own fault. Client queue: until a connection was free. Service: from "
         "writing to last "
         "byte. The parts of one request add up; their percentiles need not. The numbers stand in "
         "the "
         "table above.</p></figcaption>\n" +
         bars(rows_of(spans), axis, kWide, description) +
         bars(rows_of(spans), axis, kNarrow, description) + "</figure>\n";
}

}  // namespace tailrace::loadtest
