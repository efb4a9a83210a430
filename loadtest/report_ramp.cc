// A ramp: latency against rate with the band in which P99 inflects, the collector's work against rate, each
// step's figures.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <utility>

#include "loadtest/report_format.h"
#include "loadtest/report_parts.h"
#include "loadtest/verdict.h"

namespace tailrace::loadtest {
namespace {

constexpr std::size_t kMostDetails = 40;

struct Step {
  const Measurement* measurement;
  MeasurementFigures figures;
};

std::vector<Step> steps_of(const Result& result) {
  std::vector<Step> steps;
  for (const Measurement* measurement : by_rate(result)) {
    steps.push_back({measurement, figures_of(*measurement)});
  }
  return steps;
}

Axis rate_axis(const std::vector<Step>& steps) {
  std::vector<double> rates;
  for (const Step& step : steps) rates.push_back(step.measurement->rate_per_second);
  return from_zero_axis(Axis::Kind::kNumber, rates, "requests/s asked");
}

std::vector<double> hover(const std::vector<Step>& steps) {
  std::vector<double> places;
  for (const Step& step : steps) places.push_back(step.measurement->rate_per_second);
  return places;
}

bool hollow(const Step& step) {
  return step.figures.all_voided || !step.measurement->invalid.empty();
}

std::string as_sentence(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return micro(std::move(text)) + ".";
}

std::string rate_name(const Step& step) {
  return format_number(step.measurement->rate_per_second) + " requests/s";
}

Chart latency_chart(const Result& result, const std::vector<Step>& steps) {
  Chart chart;
  chart.id = "ramp";
  chart.title = "Response time against rate";
  chart.description = as_sentence(inflection_sentence(result));
  const auto form = Series::Form::kLineAndMarks;
  chart.series = {
      {"P50", "c1", form, {}, 1}, {"P99", "c2", form, {}, 1}, {"P99.9", "c3", form, {}, 1}};
  constexpr double kShown[] = {50, 99, 99.9};
  std::vector<double> values;
  for (const Step& step : steps) {
    for (std::size_t i = 0; i < 3; ++i) {
      const double ns = percentile_ns(step.figures.spans.response, kShown[i]);
      chart.series[i].points.push_back({step.measurement->rate_per_second, ns, hollow(step)});
      values.push_back(ns);
      chart.lane = chart.lane || std::isinf(ns);
    }
  }
  chart.x = rate_axis(steps);
  chart.y = latency_axis(values, "response time, log scale");
  if (result.inflection && result.inflection->shape == Inflection::Shape::kStep) {
    chart.bands.push_back({result.inflection->last_low_rate, result.inflection->first_high_rate,
                           "inflection", "P99 inflects"});
  }
  chart.hover = hover(steps);
  return chart;
}

HtmlTable steps_table(const Result& result, const std::vector<Step>& steps) {
  HtmlTable table;
  table.head = {"rate/s",      "completed/s",   "P50", "P99",    "P99.9",
                "GC cycles/s", "bytes/request", "bad", "voided", "marks"};
  table.text_last = true;
  for (const Step& step : steps) {
    std::vector<std::string> row = {format_number(step.measurement->rate_per_second),
                                    format_number(std::round(step.figures.completed_per_second))};
    for (const double percent : {50.0, 99.0, 99.9}) {
      row.push_back(
          latency_text(percentile_ns(step.figures.spans.response, percent), result.timeout_ns));
    }
    row.push_back(format_number(step.figures.server.gc_cycles_per_second));
    row.push_back(format_bytes(step.figures.server.alloc_bytes_per_request));
    row.push_back(format_count(step.figures.counts.bad()));
    row.push_back(std::to_string(step.measurement->voided_seconds()) + " of " +
                  std::to_string(step.measurement->seconds.size()) + " s");
    row.push_back(marks_of(*step.measurement));
    table.rows.push_back(std::move(row));
    table.marked.push_back(hollow(step));
  }
  return table;
}

// Empty if no step knows it.
std::string small_chart(const std::vector<Step>& steps, const std::string& id,
                        const std::string& title, Axis::Kind kind, double ServerRates::*figure,
                        const std::string& css) {
  Chart chart;
  chart.id = id;
  chart.title = title + " against rate";
  Series series{title, css, Series::Form::kLineAndMarks, {}, 1};
  std::vector<double> values;
  HtmlTable table;
  table.head = {"rate/s", title};
  for (const Step& step : steps) {
    const double value = step.figures.server.*figure;
    values.push_back(value);
    series.points.push_back({step.measurement->rate_per_second, value, hollow(step)});
    table.rows.push_back({format_number(step.measurement->rate_per_second),
                          kind == Axis::Kind::kBytes ? format_bytes(value) : format_number(value)});
  }
  if (std::all_of(values.begin(), values.end(), [](double value) { return std::isnan(value); }))
    return "";
  chart.description = "From " + table.rows.front()[1] + " at " + rate_name(steps.front()) + " to " +
                      table.rows.back()[1] + " at " + rate_name(steps.back()) + ".";
  chart.x = rate_axis(steps);
  chart.y = from_zero_axis(kind, values, title);
  chart.series = {series};
  chart.low = true;
  chart.hover = hover(steps);
  return write_figure({"The server's " + title + " against rate", "", {chart}, table});
}

std::string step_details(const Result& result, const Step& step) {
  const RunData data{result, *step.measurement, step.figures, {}};
  std::string text =
      "<details><summary>" + escape(rate_name(step)) + ": P99 " +
      escape(latency_text(percentile_ns(step.figures.spans.response, 99), result.timeout_ns));
  const std::string marks = marks_of(*step.measurement);
  if (!marks.empty()) text += ", " + escape(marks);
  return text + "</summary>\n" + spans_table(data) + losses_list(*step.measurement) +
         routes_table(data) + server_table(data) + "</details>\n";
}

}  // namespace

std::string ramp_charts(const Result& result) {
  const std::vector<Step> steps = steps_of(result);
  if (steps.empty()) return "";
  Figure figure;
  figure.title = "Response time against rate";
  figure.sentence = as_sentence(inflection_sentence(result));
  figure.charts = {latency_chart(result, steps)};
  figure.table = steps_table(result, steps);
  return write_figure(figure) +
         small_chart(steps, "ramp-cycles", "GC cycles/s", Axis::Kind::kNumber,
                     &ServerRates::gc_cycles_per_second, "c4") +
         small_chart(steps, "ramp-bytes", "bytes/request", Axis::Kind::kBytes,
                     &ServerRates::alloc_bytes_per_request, "c1");
}

std::string ramp_details(const Result& result) {
  const std::vector<Step> steps = steps_of(result);
  if (steps.empty()) return "";
  std::string text = write_table(steps_table(result, steps));
  text +=
      "<p class=\"note\">A dash: too few requests for this percentile. Open a step for its "
      "parts.</p>\n";
  const std::string note = overload_note(result);
  if (!note.empty()) text += "<p class=\"note\">" + escape(note) + ".</p>\n";
  for (std::size_t i = 0; i < steps.size() && i < kMostDetails; ++i) {
    text += step_details(result, steps[i]);
  }
  if (steps.size() > kMostDetails) {
    text += "<p class=\"note\">The parts of the others stand in results.json.</p>\n";
  }
  return text;
}

}  // namespace tailrace::loadtest
