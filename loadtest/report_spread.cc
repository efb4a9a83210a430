// Charts of distributions: the percentile spectrum, latency over time as a heat map, the generator's own
// lateness.
#include <algorithm>
#include <cmath>
#include <map>

#include "loadtest/report_format.h"
#include "loadtest/report_parts.h"

namespace tailrace::loadtest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::size_t kMostCells = 2000;
constexpr double kBucketsPerDecade = 8;
// Values of 1 us and less are one: nothing in a network is faster.
constexpr double kLowestNs = 1000;

std::vector<Point> spectrum_points(const Latencies& latencies) {
  std::vector<Point> points;
  const auto count = static_cast<double>(latencies.count());
  for (double inverse = 1; inverse <= count; inverse *= std::pow(10, 1.0 / 16)) {
    points.push_back({inverse, latencies.percentile_ns(100 * (1 - 1 / inverse)), false});
  }
  if (count > 0) points.push_back({count, latencies.percentile_ns(100), false});
  return points;
}

int bucket_of(double ns) {
  return static_cast<int>(
      std::floor(std::log10(std::max(ns, kLowestNs)) * kBucketsPerDecade + 1e-9));
}
double bucket_begin(int bucket) { return std::pow(10, bucket / kBucketsPerDecade); }
constexpr int kInfiniteBucket = 1'000'000;

// Requests by bucket.
using Column = std::map<int, std::uint64_t>;

Column column_of(const Latencies& latencies) {
  Column column;
  latencies.finite().for_each([&](std::uint64_t low, std::uint64_t, std::uint64_t times) {
    column[bucket_of(static_cast<double>(low))] += times;
  });
  if (latencies.infinite() != 0) column[kInfiniteBucket] += latencies.infinite();
  return column;
}

// 1 for the rarest, kHeatLevels for what is most: by logarithm, or the tail would not be seen.
int level_of(double density, double most) {
  if (!(most > 1)) return kHeatLevels;
  const double part = std::log(std::max(density, 1.0)) / std::log(most);
  return 1 + static_cast<int>(std::clamp(part, 0.0, 1.0) * (kHeatLevels - 0.01));
}

Cell cell_of(const Stretch& first, const Stretch& last, int bucket, int level) {
  Cell cell;
  cell.x_low = static_cast<double>(first.begin_second);
  cell.x_high = static_cast<double>(last.begin_second + last.seconds);
  cell.level = level;
  const bool infinite = bucket == kInfiniteBucket;
  cell.y_low = infinite ? kInfinity : bucket_begin(bucket);
  cell.y_high = infinite ? kInfinity : bucket_begin(bucket + 1);
  return cell;
}

std::vector<Cell> cells_of(const std::vector<Stretch>& stretches) {
  std::vector<Column> columns;
  double most = 0;
  for (const Stretch& stretch : stretches) {
    columns.push_back(column_of(stretch.spans.response));
    for (const auto& [bucket, times] : columns.back())
      most = std::max(most, static_cast<double>(times));
  }
  // Runs of one level along a row are one rectangle.
  struct Run {
    std::size_t first;
    std::size_t last;
    int level;
  };
  std::map<int, Run> open;
  std::vector<Cell> cells;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    for (const auto& [bucket, times] : columns[i]) {
      const int level = level_of(static_cast<double>(times), most);
      const auto run = open.find(bucket);
      if (run != open.end() && run->second.last + 1 == i && run->second.level == level) {
        run->second.last = i;
        continue;
      }
      if (run != open.end()) {
        const Run& done = run->second;
        cells.push_back(cell_of(stretches[done.first], stretches[done.last], bucket, done.level));
      }
      open[bucket] = {i, i, level};
    }
  }
  for (const auto& [bucket, run] : open) {
    cells.push_back(cell_of(stretches[run.first], stretches[run.last], bucket, run.level));
  }
  return cells;
}

// Two neighbours are one.
std::vector<Stretch> halved(const std::vector<Stretch>& stretches) {
  std::vector<Stretch> half;
  for (std::size_t i = 0; i < stretches.size(); i += 2) {
    half.push_back(stretches[i]);
    if (i + 1 == stretches.size()) break;
    half.back().spans.response.merge(stretches[i + 1].spans.response);
    half.back().seconds += stretches[i + 1].seconds;
  }
  return half;
}

// Decades of latency as columns: a table of each cell would be one of thousands.
HtmlTable heat_table(std::vector<Stretch> stretches) {
  while (stretches.size() > 60) stretches = halved(stretches);
  constexpr double kDecades[] = {1e5, 1e6, 1e7, 1e8, 1e9};
  HtmlTable table;
  table.head = {"time",   "up to 100 \xc2\xb5s", "to 1 ms", "to 10 ms", "to 100 ms",
                "to 1 s", "above 1 s",           "never"};
  for (const Stretch& stretch : stretches) {
    const Latencies& response = stretch.spans.response;
    std::vector<std::string> row = {std::to_string(stretch.begin_second) + " s"};
    std::uint64_t before = 0;
    for (const double decade : kDecades) {
      const std::uint64_t below =
          response.finite().count_at_or_below(static_cast<std::uint64_t>(decade));
      row.push_back(format_count(below - before));
      before = below;
    }
    row.push_back(format_count(response.finite().count() - before));
    row.push_back(format_count(response.infinite()));
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

std::vector<Cell> heat_cells(const std::vector<Stretch>& stretches, std::size_t most) {
  std::vector<Stretch> columns = stretches;
  std::vector<Cell> cells = cells_of(columns);
  while (cells.size() > most && columns.size() > 1) {
    columns = halved(columns);
    cells = cells_of(columns);
  }
  return cells;
}

std::string spectrum(const RunData& data) {
  const Spans& spans = data.figures.spans;
  if (spans.response.count() == 0) return "";
  Chart chart;
  chart.id = "spectrum";
  chart.title = "Percentile spectrum";
  // The dotted line on top: where both are the same, both are seen.
  chart.series = {{"service time: from sent to last byte", "c4", Series::Form::kLine,
                   spectrum_points(spans.service), 1},
                  {"response time: from due to last byte", "c2", Series::Form::kLine,
                   spectrum_points(spans.response), 1}};
  std::vector<double> values;
  for (const Series& series : chart.series) {
    for (const Point& point : series.points) {
      values.push_back(point.y);
      chart.lane = chart.lane || std::isinf(point.y);
    }
  }
  chart.x = {Axis::Kind::kSpectrum, 1, std::max(10.0, static_cast<double>(spans.response.count())),
             "percentile"};
  chart.y = latency_axis(values, "time, log scale");
  Figure figure;
  figure.table.head = {"percentile", "response", "service", "requests beyond"};
  std::string summary;
  for (const Percentile& percentile : kPercentiles) {
    const double response = percentile_ns(spans.response, percentile.percent);
    const std::string name(percentile.name);
    figure.table.rows.push_back(
        {name, latency_text(response, data.result.timeout_ns),
         latency_text(percentile_ns(spans.service, percentile.percent), data.result.timeout_ns),
         format_count(static_cast<std::uint64_t>(
             beyond(spans.response.count(), percentile.percent) + 1e-9))});
    if (!std::isnan(response)) {
      summary += (summary.empty() ? "" : ", ") + name + " " +
                 latency_text(response, data.result.timeout_ns);
    }
    chart.hover.push_back(percentile.percent < 100 ? 100 / (100 - percentile.percent)
                                                   : chart.x.high);
  }
  chart.description = "Response time by percentile: " + summary + ".";
  figure.title = "Percentile spectrum";
  figure.sentence =
      "Where the two lines part, requests waited before they could be sent: a tool that counts "
      "from the "
      "sending shows the lower, dotted line and leaves that out.";
  figure.charts = {chart};
  return write_figure(figure);
}

std::string heat_map(const RunData& data) {
  if (data.stretches.size() < 2 || data.figures.counts.planned == 0) return "";
  Chart chart;
  chart.id = "heat";
  chart.title = "Response times over time";
  chart.description = "How many requests had which response time when; darker is more.";
  chart.cells = heat_cells(data.stretches, kMostCells);
  std::vector<double> values;
  for (const Cell& cell : chart.cells) {
    values.push_back(cell.y_low);
    values.push_back(cell.y_high);
    chart.lane = chart.lane || std::isinf(cell.y_high);
  }
  const Stretch& last = data.stretches.back();
  chart.x = {Axis::Kind::kSeconds, 0, static_cast<double>(last.begin_second + last.seconds),
             "time since the measured part began"};
  chart.y = latency_axis(values, "response time, log scale");
  for (const Stretch& stretch : data.stretches) {
    if (stretch.voided.empty()) continue;
    const auto begin = static_cast<double>(stretch.begin_second);
    chart.bands.push_back({begin, begin + static_cast<double>(stretch.seconds), "voided", ""});
  }
  Figure figure;
  figure.title = "Where the requests are";
  figure.sentence =
      "A second band above the first one is a second kind of request, such as those that help the "
      "collector; "
      "lines of percentiles hide it.";
  figure.charts = {chart};
  figure.table = heat_table(data.stretches);
  return write_figure(figure);
}

std::string lateness_histogram(const RunData& data) {
  const Latencies lateness = data.measurement.lateness(/*with_voided=*/true);
  if (lateness.count() == 0) return "";
  Column column = column_of(lateness);
  Chart chart;
  chart.id = "lateness";
  chart.title = "The generator's own lateness";
  chart.series = {{"requests", "c1", Series::Form::kBars, {}, bucket_begin(1)}};
  Figure figure;
  figure.table.head = {"lateness up to", "requests", "share"};
  std::vector<double> places;
  std::vector<double> values;
  for (int bucket = column.begin()->first; bucket <= column.rbegin()->first; ++bucket) {
    const auto times = static_cast<double>(column.count(bucket) != 0 ? column.at(bucket) : 0);
    places.push_back(bucket_begin(bucket));
    places.push_back(bucket_begin(bucket + 1));
    values.push_back(100 * times / static_cast<double>(lateness.count()));
    chart.series[0].points.push_back({bucket_begin(bucket), values.back(), false});
    chart.hover.push_back(std::sqrt(bucket_begin(bucket) * bucket_begin(bucket + 1)));
    figure.table.rows.push_back({micro(format_duration(bucket_begin(bucket + 1))),
                                 format_count(static_cast<std::uint64_t>(times)),
                                 format_percent(values.back() / 100)});
  }
  chart.x = latency_axis(places, "lateness, log scale");
  chart.y = from_zero_axis(Axis::Kind::kNumber, values, "% of the requests");
  chart.description = "Half of the requests were taken up at most " +
                      micro(format_duration(lateness.percentile_ns(50))) +
                      " after they were due, 99 % at most " +
                      micro(format_duration(lateness.percentile_ns(99))) + ".";
  figure.title = "How late requests were taken up";
  figure.sentence = chart.description + " This lateness is within every response time above.";
  figure.charts = {chart};
  return write_figure(figure);
}

}  // namespace tailrace::loadtest
