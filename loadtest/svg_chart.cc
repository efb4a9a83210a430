// Draws charts. Coordinates have one decimal: finer than a screen shows, and a third of the bytes.
#include "loadtest/svg_chart.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "loadtest/markup.h"

namespace tailrace::loadtest {
namespace {

constexpr double kLaneHeight = 26;
constexpr double kMarkRadius = 3.6;
constexpr double kCharWidth = 6.4;  // of tick labels, about
constexpr std::size_t kSpectrumTicks = 12;

// Where the plot lies in the drawing.
class Frame {
 public:
  Frame(const Chart& chart, const ChartSize& size) : chart_(chart) {
    height = chart.low ? std::round(size.height * 0.42) : size.height;
    left = 66;
    right = size.width - 22;
    top = 26 + (chart.lane ? kLaneHeight : 0);
    bottom = height - 42;
  }
  double x(double value) const { return left + chart_.x.position(value) * (right - left); }
  double y(double value) const {
    if (std::isinf(value)) return lane();
    return bottom - chart_.y.position(value) * (bottom - top);
  }
  double lane() const { return top - kLaneHeight / 2 - 2; }

  double height = 0;
  double left = 0;
  double right = 0;
  double top = 0;
  double bottom = 0;

 private:
  const Chart& chart_;
};

std::string at(const char* name, double value) {
  return std::string(" ") + name + "=\"" + coordinate(value) + "\"";
}

std::string text_element(double x, double y, const char* anchor, const char* css,
                         const std::string& text) {
  return "<text" + at("x", x) + at("y", y) + " text-anchor=\"" + anchor + "\" class=\"" + css +
         "\">" + escape(text) + "</text>";
}

std::string line_element(double x1, double y1, double x2, double y2, const char* css) {
  return "<path class=\"" + std::string(css) + "\" d=\"M" + coordinate(x1) + " " + coordinate(y1) +
         "L" + coordinate(x2) + " " + coordinate(y2) + "\"/>";
}

// A label at either end of the axis stays within the drawing.
const char* anchor_of(double x, const Frame& frame, double width) {
  return x > width - 30 ? "end" : x < frame.left - 30 ? "start" : "middle";
}

std::string axes(const Chart& chart, const Frame& frame, const ChartSize& size) {
  std::string text;
  // In a low chart as many as its labels have room for.
  constexpr double kLabelHeight = 14;
  const auto room = static_cast<std::size_t>((frame.bottom - frame.top) / kLabelHeight);
  const std::size_t y_ticks = chart.low ? std::max<std::size_t>(room + 1, 3) : size.y_ticks;
  for (const Tick& tick : ticks_of(chart.y, y_ticks)) {
    const double y = frame.y(tick.value);
    text += line_element(frame.left, y, frame.right, y, "grid");
    text += text_element(frame.left - 8, y + 4, "end", "tick", tick.label);
  }
  const bool spectrum = chart.x.kind == Axis::Kind::kSpectrum;
  double taken = -100;  // up to here there is a label
  for (const Tick& tick : ticks_of(chart.x, spectrum ? kSpectrumTicks : size.x_ticks)) {
    const double x = frame.x(tick.value);
    const double half = static_cast<double>(tick.label.size()) * kCharWidth / 2;
    if (x - half < taken + 6) continue;
    taken = x + half;
    text += line_element(x, frame.bottom, x, frame.bottom + 5, "axis");
    text += text_element(x, frame.bottom + 18, anchor_of(x, frame, size.width), "tick", tick.label);
  }
  text += line_element(frame.left, frame.bottom, frame.right, frame.bottom, "axis");
  if (chart.lane) {
    text += line_element(frame.left, frame.top, frame.right, frame.top, "lane");
    text += text_element(frame.left - 8, frame.lane() + 4, "end", "tick", "> timeout");
  }
  text += text_element(0, 12, "start", "title", chart.y.title);
  text += text_element((frame.left + frame.right) / 2, frame.height - 6, "middle", "title",
                       chart.x.title);
  return text + "\n";
}

std::string bands(const Chart& chart, const Frame& frame, const std::string& pattern) {
  std::string text;
  for (const Band& band : chart.bands) {
    const double left = frame.x(band.from);
    const double width = std::max(frame.x(band.to) - left, 1.5);
    const double top = chart.lane ? frame.top - kLaneHeight : frame.top;
    text += "<rect class=\"" + band.css + "\"" + at("x", left) + at("y", top) + at("width", width) +
            at("height", frame.bottom - top);
    if (band.css == "voided") text += " fill=\"url(#" + pattern + ")\"";
    text += "/>";
    if (!band.label.empty()) {
      const double middle = left + width / 2;
      // On the side with more room.
      const bool leftwards = middle > (frame.left + frame.right) / 2;
      text += text_element(leftwards ? left - 6 : left + width + 6, frame.top + 14,
                           leftwards ? "end" : "start", "label", band.label);
    }
  }
  return text;
}

// All rectangles of one level are one path.
std::string cells(const Chart& chart, const Frame& frame) {
  std::array<std::string, kHeatLevels + 1> paths;
  for (const Cell& cell : chart.cells) {
    const double left = frame.x(cell.x_low);
    const bool in_lane = std::isinf(cell.y_high);
    const double top = in_lane ? frame.top - kLaneHeight + 2 : frame.y(cell.y_high);
    const double bottom = in_lane ? frame.top - 4 : frame.y(cell.y_low);
    const std::string width = coordinate(frame.x(cell.x_high) - left);
    const auto level = static_cast<std::size_t>(std::clamp(cell.level, 1, kHeatLevels));
    paths[level] += "M" + coordinate(left) + " " + coordinate(top) + "h" + width + "v" +
                    coordinate(bottom - top) + "h-" + width + "z";
  }
  std::string text;
  for (std::size_t level = 1; level < paths.size(); ++level) {
    if (paths[level].empty()) continue;
    text += "<path class=\"h" + std::to_string(level) + "\" d=\"" + paths[level] + "\"/>\n";
  }
  return text;
}

std::string arrow(double x, double y, const std::string& css) {
  return "<path class=\"arrow " + css + "\" d=\"M" + coordinate(x) + " " + coordinate(y - 6) +
         "l4.5 8h-9z\"/>";
}

std::string bars(const Chart& chart, const Series& series, const Frame& frame) {
  std::string path;
  std::string hollow;
  for (const Point& point : series.points) {
    if (!std::isfinite(point.y) || point.y <= 0) continue;
    const double left = frame.x(point.x);
    // A gap between bars where there is room for one.
    const double end =
        chart.x.logarithmic() ? point.x * series.bar_width : point.x + series.bar_width;
    const double whole = frame.x(end) - left;
    const double width = std::max(whole > 4 ? whole - 1 : whole, 0.5);
    const double top = std::min(frame.y(point.y), frame.bottom - 1);
    (point.hollow ? hollow : path) += "M" + coordinate(left) + " " + coordinate(frame.bottom) +
                                      "V" + coordinate(top) + "h" + coordinate(width) + "V" +
                                      coordinate(frame.bottom) + "z";
  }
  std::string text;
  if (!path.empty()) text += "<path class=\"bar " + series.css + "\" d=\"" + path + "\"/>";
  if (!hollow.empty())
    text += "<path class=\"bar hollow " + series.css + "\" d=\"" + hollow + "\"/>";
  return text;
}

bool on_line(const Point& point) { return std::isfinite(point.y) && !point.hollow; }

std::string marks(const Series& series, const Frame& frame, double shift) {
  const bool all = series.form == Series::Form::kLineAndMarks;
  std::string text;
  double last_arrow = -100;
  for (std::size_t i = 0; i < series.points.size(); ++i) {
    const Point& point = series.points[i];
    if (std::isnan(point.y)) continue;
    const double x = frame.x(point.x);
    if (std::isinf(point.y)) {
      // As many as can be told apart.
      if (x - last_arrow < (all ? 10 : 26)) continue;
      text += arrow(x + shift, frame.lane(), series.css);
      last_arrow = x;
      continue;
    }
    const bool alone = (i == 0 || !on_line(series.points[i - 1])) &&
                       (i + 1 == series.points.size() || !on_line(series.points[i + 1]));
    if (!all && !alone && !point.hollow) continue;
    text += "<circle class=\"mark " + series.css + (point.hollow ? " hollow" : "") + "\"" +
            at("cx", x) + at("cy", frame.y(point.y)) + at("r", all ? kMarkRadius : 2.6) + "/>";
  }
  return text;
}

std::string line(const Series& series, const Frame& frame) {
  std::string path;
  bool drawing = false;
  for (const Point& point : series.points) {
    if (on_line(point)) {
      path +=
          (drawing ? "L" : "M") + coordinate(frame.x(point.x)) + " " + coordinate(frame.y(point.y));
    }
    drawing = on_line(point);
  }
  return path.empty() ? "" : "<path class=\"line " + series.css + "\" d=\"" + path + "\"/>";
}

std::string hover_points(const Chart& chart, const Frame& frame) {
  if (chart.hover.empty()) return "";
  std::string text = " data-x=\"";
  for (std::size_t i = 0; i < chart.hover.size(); ++i) {
    text += (i == 0 ? "" : ",") + coordinate(frame.x(chart.hover[i]));
  }
  return text + "\"";
}

}  // namespace

std::string draw(const Chart& chart, const ChartSize& size) {
  const Frame frame(chart, size);
  const std::string id = chart.id + "-" + size.name;
  const std::string pattern = id + "-hatch";
  std::string text = "<svg class=\"" + size.name + "\" viewBox=\"0 0 " + coordinate(size.width) +
                     " " + coordinate(frame.height) + "\" role=\"img\" aria-labelledby=\"" + id +
                     "-t " + id + "-d\"" + hover_points(chart, frame) + ">\n<title id=\"" + id +
                     "-t\">" + escape(chart.title) + "</title><desc id=\"" + id + "-d\">" +
                     escape(chart.description) + "</desc>\n";
  const bool hatched = std::any_of(chart.bands.begin(), chart.bands.end(),
                                   [](const Band& band) { return band.css == "voided"; });
  if (hatched) {
    text += "<defs><pattern id=\"" + pattern +
            "\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><path class=\"hatch\" "
            "d=\"M-1 1l2 -2M0 6l6 -6M5 7l2 -2\"/></pattern></defs>\n";
  }
  text += bands(chart, frame, pattern) + axes(chart, frame, size) + cells(chart, frame);
  for (const Series& series : chart.series) {
    if (series.form == Series::Form::kBars) text += bars(chart, series, frame) + "\n";
  }
  // The first series is drawn last: it lies on top.
  for (std::size_t i = chart.series.size(); i-- > 0;) {
    const Series& series = chart.series[i];
    if (series.form == Series::Form::kBars) continue;
    const double shift =
        (static_cast<double>(i) - (static_cast<double>(chart.series.size()) - 1) / 2) * 9;
    text += line(series, frame) + marks(series, frame, shift) + "\n";
  }
  if (!chart.hover.empty()) {
    text += "<path class=\"cross\" d=\"M0 " + coordinate(frame.top) + "V" +
            coordinate(frame.bottom) + "\" visibility=\"hidden\"/>\n";
  }
  return text + "</svg>\n";
}

std::string draw(const Chart& chart) { return draw(chart, kWide) + draw(chart, kNarrow); }

}  // namespace tailrace::loadtest
