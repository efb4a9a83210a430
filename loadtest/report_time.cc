// Charts over time: latency with the collector's cycles beneath, rates, what disturbed the generator.
#include <algorithm>
#include <cmath>

#include "loadtest/report_format.h"
#include "loadtest/report_parts.h"

namespace tailrace::loadtest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Axis time_axis(const RunData& data) {
  const Stretch& last = data.stretches.back();
  return {Axis::Kind::kSeconds, 0, static_cast<double>(last.begin_second + last.seconds),
          "time since the measured part began"};
}

double middle(const Stretch& stretch) {
  return static_cast<double>(stretch.begin_second) + static_cast<double>(stretch.seconds) / 2;
}

// A stretch may end early: the last second of a run is a part of one.
double length(const RunData& data, const Stretch& stretch) {
  const double left = data.figures.seconds - static_cast<double>(stretch.begin_second);
  const auto whole = static_cast<double>(stretch.seconds);
  return left > 0 ? std::min(whole, left) : whole;
}

std::string time_cell(const Stretch& stretch) {
  const std::string begin = std::to_string(stretch.begin_second);
  if (stretch.seconds == 1) return begin + " s";
  return begin + " to " + std::to_string(stretch.begin_second + stretch.seconds) + " s";
}

std::vector<Band> voided_bands(const RunData& data) {
  std::vector<Band> bands;
  for (const Stretch& stretch : data.stretches) {
    if (stretch.voided.empty()) continue;
    const auto begin = static_cast<double>(stretch.begin_second);
    const double end = begin + static_cast<double>(stretch.seconds);
    // Neighbours are one: hatching has no seams.
    if (!bands.empty() && bands.back().to == begin) {
      bands.back().to = end;
    } else {
      bands.push_back({begin, end, "voided", ""});
    }
  }
  return bands;
}

std::vector<double> hover(const RunData& data) {
  std::vector<double> places;
  for (const Stretch& stretch : data.stretches) places.push_back(middle(stretch));
  return places;
}

std::string each(const RunData& data) {
  const std::int64_t seconds = data.stretches.front().seconds;
  return seconds == 1 ? "each second" : "each stretch of " + std::to_string(seconds) + " s";
}

Chart cycles_strip(const RunData& data) {
  Chart chart;
  chart.id = "cycles";
  chart.title = "Collector cycles over time";
  chart.description = "GC cycles a second of the server, below the latencies of the same time.";
  chart.x = time_axis(data);
  Series series{"GC cycles/s", "c4", Series::Form::kBars, {}, 1};
  std::vector<double> values;
  series.bar_width = static_cast<double>(data.stretches.front().seconds);
  for (const Stretch& stretch : data.stretches) {
    values.push_back(server_rates(stretch.server, length(data, stretch)).gc_cycles_per_second);
    series.points.push_back({static_cast<double>(stretch.begin_second), values.back(), false});
  }
  chart.y = from_zero_axis(Axis::Kind::kNumber, values, "GC cycles/s");
  chart.series = {series};
  chart.low = true;
  chart.hover = hover(data);
  return chart;
}

bool cycles_known(const RunData& data) {
  return std::any_of(data.stretches.begin(), data.stretches.end(),
                     [](const Stretch& stretch) { return !std::isnan(stretch.server.gc_cycles); });
}

HtmlTable latency_table(const RunData& data, bool with_cycles) {
  HtmlTable table;
  table.head = {"time", "requests", "P50", "P90", "P99", "max"};
  if (with_cycles) table.head.emplace_back("GC cycles");
  table.head.emplace_back("voided");
  table.text_last = true;
  for (const Stretch& stretch : data.stretches) {
    const Latencies& response = stretch.spans.response;
    std::vector<std::string> row = {time_cell(stretch), format_count(response.count())};
    for (const double percent : {50.0, 90.0, 99.0, 100.0}) {
      row.push_back(latency_text(percentile_ns(response, percent), data.result.timeout_ns));
    }
    if (with_cycles) row.push_back(format_number(stretch.server.gc_cycles));
    row.push_back(stretch.voided);
    table.rows.push_back(std::move(row));
    table.marked.push_back(!stretch.voided.empty());
  }
  return table;
}

}  // namespace

std::string latency_over_time(const RunData& data) {
  if (data.stretches.empty() || data.figures.counts.planned == 0) return "";
  Chart chart;
  chart.id = "latency";
  chart.title = "Response time over time";
  chart.series = {{"P50", "c1", Series::Form::kLine, {}, 1},
                  {"P99", "c2", Series::Form::kLine, {}, 1},
                  {"max", "c3", Series::Form::kLine, {}, 1}};
  std::vector<double> values;
  for (const Stretch& stretch : data.stretches) {
    const Latencies& response = stretch.spans.response;
    if (response.count() == 0) continue;
    const double shown[] = {response.percentile_ns(50), percentile_ns(response, 99),
                            percentile_ns(response, 100)};
    for (std::size_t i = 0; i < 3; ++i) {
      chart.series[i].points.push_back({middle(stretch), shown[i], !stretch.voided.empty()});
      values.push_back(shown[i]);
      chart.lane = chart.lane || shown[i] == kInfinity;
    }
  }
  chart.x = time_axis(data);
  chart.y = latency_axis(values, "response time, log scale");
  chart.bands = voided_bands(data);
  chart.hover = hover(data);
  chart.description =
      "P50, P99 and largest response time of " + each(data) + ". Over the whole run: P50 " +
      latency_text(percentile_ns(data.figures.spans.response, 50), data.result.timeout_ns) +
      ", P99 " +
      latency_text(percentile_ns(data.figures.spans.response, 99), data.result.timeout_ns) + ".";
  Figure figure;
  figure.title = "Response time of " + each(data);
  figure.sentence =
      "From the moment a request was due until its last byte, whatever the server did before.";
  figure.charts = {chart};
  const bool cycles = cycles_known(data);
  if (cycles) figure.charts.push_back(cycles_strip(data));
  figure.table = latency_table(data, cycles);
  return write_figure(figure);
}

std::string rates_over_time(const RunData& data) {
  if (data.stretches.empty() || data.figures.counts.planned == 0) return "";
  Chart chart;
  chart.id = "rates";
  chart.title = "Requests over time";
  chart.description = "Requests due, sent, completed and lost a second.";
  // Broken lines on top, so that what lies beneath shows through.
  chart.series = {{"due", "c3", Series::Form::kLine, {}, 1},
                  {"sent", "c4", Series::Form::kLine, {}, 1},
                  {"completed", "c1", Series::Form::kLine, {}, 1},
                  {"dropped, timed out or failed", "c2", Series::Form::kBars, {}, 1}};
  chart.series[3].bar_width = static_cast<double>(data.stretches.front().seconds);
  Figure figure;
  figure.table.head = {"time",    "due",       "sent",   "completed",
                       "dropped", "timed out", "failed", "voided"};
  figure.table.text_last = true;
  std::vector<double> values;
  for (const Stretch& stretch : data.stretches) {
    const Counts& counts = stretch.counts;
    const double seconds = length(data, stretch);
    const std::uint64_t shown[] = {counts.planned, counts.sent, counts.completed,
                                   counts.dropped + counts.timed_out + counts.failed};
    for (std::size_t i = 0; i < 4; ++i) {
      values.push_back(static_cast<double>(shown[i]) / seconds);
      const double x = i == 3 ? static_cast<double>(stretch.begin_second) : middle(stretch);
      chart.series[i].points.push_back({x, values.back(), false});
    }
    figure.table.rows.push_back({time_cell(stretch), format_count(counts.planned),
                                 format_count(counts.sent), format_count(counts.completed),
                                 format_count(counts.dropped), format_count(counts.timed_out),
                                 format_count(counts.failed), stretch.voided});
    figure.table.marked.push_back(!stretch.voided.empty());
  }
  chart.x = time_axis(data);
  chart.y = from_zero_axis(Axis::Kind::kNumber, values, "requests/s");
  chart.bands = voided_bands(data);
  chart.hover = hover(data);
  figure.title = "Rates of " + each(data);
  figure.sentence = "A request belongs to the second in which it was due, whenever it ended.";
  figure.charts = {chart};
  return write_figure(figure);
}

std::string honesty_over_time(const RunData& data) {
  if (data.stretches.empty() || data.figures.counts.planned == 0) return "";
  Chart chart;
  chart.id = "honesty";
  chart.title = "Load of the generator and steal over time";
  chart.description =
      "How busy the busiest worker was and how much CPU time the hypervisor took, in percent.";
  chart.series = {{"busiest worker, % of a core", "c1", Series::Form::kLine, {}, 1},
                  {"steal, % of this host", "c2", Series::Form::kLine, {}, 1}};
  Figure figure;
  figure.table.head = {"time", "lateness P50", "lateness P99", "lateness max",
                       "busy", "steal",        "voided"};
  figure.table.text_last = true;
  for (const Stretch& stretch : data.stretches) {
    chart.series[0].points.push_back({middle(stretch), stretch.generator_busy * 100, false});
    chart.series[1].points.push_back({middle(stretch), stretch.steal * 100, false});
    const Latencies& lateness = stretch.spans.lateness;
    figure.table.rows.push_back(
        {time_cell(stretch), micro(format_duration(percentile_ns(lateness, 50))),
         micro(format_duration(percentile_ns(lateness, 99))),
         micro(format_duration(percentile_ns(lateness, 100))),
         format_percent(stretch.generator_busy), format_percent(stretch.steal), stretch.voided});
    figure.table.marked.push_back(!stretch.voided.empty());
  }
  chart.x = time_axis(data);
  chart.y = {Axis::Kind::kNumber, 0, 100, "%"};
  chart.bands = voided_bands(data);
  chart.hover = hover(data);
  figure.title = "What kept the generator busy";
  figure.sentence =
      "Near 100 % the generator itself is late, and its lateness is part of the response time.";
  figure.charts = {chart};
  return write_figure(figure);
}

}  // namespace tailrace::loadtest
