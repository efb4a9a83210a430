// Charts as SVG, from data to elements: lines, bars, points, cells, bands.
//
// Colours are CSS classes (report_style.h), so that one drawing serves light and dark. Each chart is drawn
// in two sizes; the page shows the one that fits. An infinite value is an arrow in a lane of its own above
// the plot; a hollow point is a voided one and no line goes through it.
#pragma once

#include <string>
#include <vector>

#include "loadtest/axis.h"

namespace tailrace::loadtest {

struct Point {
  double x = 0;
  double y = 0;  // NaN: nothing there; infinite: in the lane
  bool hollow = false;
};

struct Series {
  enum class Form { kLine, kLineAndMarks, kBars };
  std::string name;
  std::string css;  // c1 to c4
  Form form = Form::kLine;
  std::vector<Point> points;
  double bar_width = 1;  // from the point on, in units of x; on a logarithmic axis a factor
};

struct Band {
  double from = 0;
  double to = 0;
  std::string css;    // voided, inflection
  std::string label;  // in the chart; may be empty
};

// A rectangle of a heat map. Above the plot, in the lane, if `y_high` is infinite.
struct Cell {
  double x_low = 0;
  double x_high = 0;
  double y_low = 0;
  double y_high = 0;
  int level = 1;  // 1 to 6
};
inline constexpr int kHeatLevels = 6;

struct Chart {
  std::string id;
  std::string title;
  std::string description;
  Axis x;
  Axis y;
  std::vector<Series> series;
  std::vector<Band> bands = {};
  std::vector<Cell> cells = {};
  bool lane = false;               // there are infinite values
  bool low = false;                // a strip beneath another chart
  std::vector<double> hover = {};  // x of each row of the data table
};

struct ChartSize {
  std::string name;  // of the CSS class
  double width;
  double height;
  std::size_t x_ticks;
  std::size_t y_ticks;
};
inline const ChartSize kWide = {"wide", 960, 320, 11, 12};
inline const ChartSize kNarrow = {"narrow", 360, 260, 5, 9};

// One <svg>.
std::string draw(const Chart& chart, const ChartSize& size);
// Both sizes.
std::string draw(const Chart& chart);

}  // namespace tailrace::loadtest
