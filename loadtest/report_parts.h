// The parts of the page: what each of its sections shows, as HTML. A part that has nothing to show is empty.
//
// Split over report_figure.cc (frame of a figure), report_time.cc (charts over time), report_spread.cc
// (charts of distributions), report_spans.cc (response and its parts), report_ramp.cc, report_facts.cc (verdict, tables, environment).
#pragma once

#include <string>
#include <vector>

#include "loadtest/figures.h"
#include "loadtest/markup.h"
#include "loadtest/result.h"
#include "loadtest/svg_chart.h"

namespace tailrace::loadtest {

// Stretches of time in a chart and rows in its table, at most.
inline constexpr std::size_t kMostStretches = 300;

// A heading, a sentence, a legend, charts with one x axis beneath each other, their data.
struct Figure {
  std::string title;
  std::string sentence;
  std::vector<Chart> charts;
  HtmlTable table;
};
std::string write_figure(const Figure& figure);
// Empty if there is no body.
std::string write_section(const std::string& title, const std::string& body);
// "12.3 us" with a micro sign; infinity as "> 10 s".
std::string latency_text(double ns, std::int64_t timeout_ns);

// What the parts of one measurement are made of, computed once.
struct RunData {
  const Result& result;
  const Measurement& measurement;
  MeasurementFigures figures;
  std::vector<Stretch> stretches;
};
RunData run_data(const Result& result, const Measurement& measurement);

// report_time.cc
std::string latency_over_time(const RunData& data);
std::string rates_over_time(const RunData& data);
std::string honesty_over_time(const RunData& data);
// report_spread.cc
std::string spectrum(const RunData& data);
std::string heat_map(const RunData& data);
std::string lateness_histogram(const RunData& data);
// The heat map's rectangles, at most `most`.
std::vector<Cell> heat_cells(const std::vector<Stretch>& stretches, std::size_t most);
// report_spans.cc
std::string spans_table(const RunData& data);
std::string span_bars(const RunData& data);
// report_ramp.cc
std::string ramp_charts(const Result& result);
std::string ramp_details(const Result& result);
// report_facts.cc
std::string verdict_card(const Result& result);
std::string losses_list(const Measurement& measurement);
std::string routes_table(const RunData& data);
std::string server_table(const RunData& data);
std::string trust_list(const Result& result);
std::string environment(const Result& result);

}  // namespace tailrace::loadtest
