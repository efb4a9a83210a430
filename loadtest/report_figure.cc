// The frame of a figure: heading, legend, charts, readings for those who do not see them.
#include <algorithm>
#include <cmath>

#include "loadtest/report_format.h"
#include "loadtest/report_parts.h"

namespace tailrace::loadtest {
namespace {

// The same stroke as in the chart; its name stands beside it.
std::string swatch(const Series& series) {
  std::string text = "<svg viewBox=\"0 0 26 12\" aria-hidden=\"true\">";
  if (series.form == Series::Form::kBars) {
    text += "<path class=\"bar " + series.css + "\" d=\"M4 1h18v10h-18z\"/>";
  } else {
    text += "<path class=\"line " + series.css + "\" d=\"M0 6L26 6\"/>";
    if (series.form == Series::Form::kLineAndMarks) {
      text += "<circle class=\"mark " + series.css + "\" cx=\"13\" cy=\"6\" r=\"3.6\"/>";
    }
  }
  return text + "</svg>";
}

std::string item(const std::string& swatch, const std::string& name) {
  return "<li>" + swatch + "<span>" + escape(name) + "</span></li>";
}

std::string heat_swatch() {
  std::string text = "<svg viewBox=\"0 0 26 12\" aria-hidden=\"true\">";
  for (int level = 1; level <= kHeatLevels; ++level) {
    text += "<path class=\"h" + std::to_string(level) + "\" d=\"M" + coordinate((level - 1) * 4.3) +
            " 0h4.3v12h-4.3z\"/>";
  }
  return text + "</svg>";
}

std::string legend(const Figure& figure) {
  std::string items;
  bool hatched = false;
  std::string hollow;  // its colour
  bool lane = false;
  for (const Chart& chart : figure.charts) {
    for (const Series& series : chart.series) items += item(swatch(series), series.name);
    for (const Series& series : chart.series) {
      const bool any = std::any_of(series.points.begin(), series.points.end(),
                                   [](const Point& point) { return point.hollow; });
      if (any && hollow.empty()) hollow = series.css;
    }
    hatched = hatched || std::any_of(chart.bands.begin(), chart.bands.end(),
                                     [](const Band& band) { return band.css == "voided"; });
    lane = lane || chart.lane;
    if (!chart.cells.empty()) items += item(heat_swatch(), "few to many requests");
  }
  // Where there are bands, these say it already.
  if (!hollow.empty() && !hatched) {
    items += item("<svg viewBox=\"0 0 26 12\" aria-hidden=\"true\"><circle class=\"mark hollow " +
                      hollow + "\" cx=\"13\" cy=\"6\" r=\"3.6\"/></svg>",
                  "left out: the generator or its host disturbed it");
  }
  if (hatched) {
    items += item(
        "<svg viewBox=\"0 0 26 12\" aria-hidden=\"true\"><path class=\"hatch\" "
        "d=\"M0 12l12 -12M7 12l12 -12M14 12l12 -12\"/></svg>",
        "voided: the generator or its host disturbed it");
  }
  if (lane) {
    items += item(
        "<svg viewBox=\"0 0 26 12\" aria-hidden=\"true\"><path class=\"arrow c2\" "
        "d=\"M13 1l5 9h-10z\"/></svg>",
        "never answered in time");
  }
  return items.empty() ? "" : "<ul class=\"legend\">" + items + "</ul>\n";
}

}  // namespace

std::string write_figure(const Figure& figure) {
  std::string text = "<figure><figcaption><h3>" + escape(figure.title) + "</h3>";
  if (!figure.sentence.empty()) text += "<p>" + escape(figure.sentence) + "</p>";
  text += "</figcaption>\n" + legend(figure);
  for (const Chart& chart : figure.charts) text += draw(chart);
  return text + "<details><summary>Data table: " + std::to_string(figure.table.rows.size()) +
         (figure.table.rows.size() == 1 ? " row" : " rows") + "</summary>\n" +
         write_table(figure.table) + "</details></figure>\n";
}

std::string write_section(const std::string& title, const std::string& body) {
  if (body.empty()) return "";
  return "<section><h2>" + escape(title) + "</h2>\n" + body + "</section>\n";
}

std::string latency_text(double ns, std::int64_t timeout_ns) {
  std::string text = micro(format_latency(ns, timeout_ns));
  if (std::isinf(ns) && text.ends_with(" timeout")) text = "> " + text.substr(1, text.size() - 9);
  return text;
}

RunData run_data(const Result& result, const Measurement& measurement) {
  return {result, measurement, figures_of(measurement), stretches_of(measurement, kMostStretches)};
}

}  // namespace tailrace::loadtest
