#include "loadtest/svg_chart.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "loadtest/xml_check.h"

namespace tailrace::loadtest {
namespace {

using test_results::check_xml;
using test_results::XmlCheck;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

Chart chart_of(std::vector<Point> points, Series::Form form = Series::Form::kLine) {
  Chart chart;
  chart.id = "test";
  chart.title = "A <title> & \"more\"";
  chart.description = "What it shows";
  chart.x = {Axis::Kind::kSeconds, 0, 10, "time"};
  chart.y = latency_axis({1e6, 1e8}, "latency");
  chart.series = {{"one", "c1", form, std::move(points), 1}};
  return chart;
}

TEST(SvgChart, IsWellFormedAndTellsWhatItIs) {
  const std::string svg = draw(chart_of({{0, 1e6}, {5, 1e7}}), kWide);
  const XmlCheck check = check_xml(svg);
  EXPECT_EQ(check.error, "");
  EXPECT_EQ(check.names[0], "svg");
  EXPECT_EQ(check.names[1], "title");
  EXPECT_EQ(check.names[2], "desc");
  EXPECT_NE(svg.find("role=\"img\""), std::string::npos);
  EXPECT_NE(svg.find("A &lt;title&gt; &amp; &quot;more&quot;"), std::string::npos);
  // Both sizes in one page have ids of their own.
  EXPECT_EQ(check_xml(draw(chart_of({{0, 1e6}}))).error, "");
}

TEST(SvgChart, ALineBreaksWhereNothingIsToBeJoined) {
  const auto line = [](const std::string& svg) {
    const std::size_t at = svg.find("class=\"line c1\" d=\"");
    return at == std::string::npos ? "" : svg.substr(at, svg.find("/>", at) - at);
  };
  const std::string whole = line(draw(chart_of({{0, 1e6}, {1, 1e6}, {2, 1e6}}), kWide));
  EXPECT_EQ(times(whole, "M"), 1U);
  EXPECT_EQ(times(whole, "L"), 2U);
  for (const Point& gap : {Point{2, kNone}, Point{2, kInfinity}, Point{2, 1e6, true}}) {
    const std::string broken =
        line(draw(chart_of({{0, 1e6}, {1, 1e6}, gap, {3, 1e6}, {4, 1e6}}), kWide));
    EXPECT_EQ(times(broken, "M"), 2U);
    EXPECT_EQ(times(broken, "L"), 2U);
  }
  EXPECT_EQ(line(draw(chart_of({}), kWide)), "");
}

TEST(SvgChart, InfinitePointsAreArrowsInTheLane) {
  Chart chart = chart_of({{0, 1e6}, {2, kInfinity}, {8, kInfinity}});
  chart.lane = true;
  const std::string svg = draw(chart, kWide);
  EXPECT_EQ(times(svg, "class=\"arrow c1\""), 2U);
  EXPECT_NE(svg.find("&gt; timeout"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  // So many that they would be a smear are thinned.
  std::vector<Point> many;
  for (int i = 0; i < 1000; ++i) many.push_back({i / 100.0, kInfinity});
  chart.series[0].points = many;
  EXPECT_LT(times(draw(chart, kWide), "class=\"arrow c1\""), 60U);
}

TEST(SvgChart, ALowChartHasAsManyTicksAsItHasRoomFor) {
  Chart chart = chart_of({{0, 3}, {5, 2}}, Series::Form::kBars);
  chart.y = from_zero_axis(Axis::Kind::kNumber, {3, 2}, "cycles");
  chart.low = true;
  const auto labels = [&](const ChartSize& size) {
    return times(draw(chart, size), "text-anchor=\"end\" class=\"tick\"");
  };
  EXPECT_GE(labels(kWide), 4U) << "0 1 2 3";
  EXPECT_LE(labels(kNarrow), 4U);
}

TEST(SvgChart, HollowAndLonelyPointsAreMarked) {
  const std::string svg = draw(chart_of({{0, 1e6}, {1, 1e6}, {2, 1e6, true}, {4, 1e6}}), kWide);
  EXPECT_EQ(times(svg, "class=\"mark c1 hollow\""), 1U);
  EXPECT_EQ(times(svg, "class=\"mark c1\""), 1U) << "the last one has no neighbour to be joined to";
  const auto marks = Series::Form::kLineAndMarks;
  EXPECT_EQ(times(draw(chart_of({{0, 1e6}, {1, 1e6}}, marks), kWide), "class=\"mark c1\""), 2U);
}

TEST(SvgChart, BarsStandOnTheAxis) {
  Chart chart = chart_of({{0, 3}, {1, 0}, {2, kNone}, {3, 5}}, Series::Form::kBars);
  chart.y = from_zero_axis(Axis::Kind::kNumber, {3, 5}, "n");
  const std::string svg = draw(chart, kWide);
  const std::size_t at = svg.find("class=\"bar c1\"");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(times(svg.substr(at, svg.find("/>", at) - at), "z"), 2U);
}

TEST(SvgChart, VoidedBandsAreHatched) {
  Chart chart = chart_of({{0, 1e6}});
  EXPECT_EQ(draw(chart, kWide).find("<pattern"), std::string::npos);
  chart.bands.push_back({2, 4, "voided", ""});
  chart.bands.push_back({5, 6, "inflection", "here"});
  const std::string svg = draw(chart, kNarrow);
  EXPECT_EQ(check_xml(svg).error, "");
  EXPECT_NE(svg.find("fill=\"url(#test-narrow-hatch)\""), std::string::npos);
  EXPECT_NE(svg.find(">here</text>"), std::string::npos);
}

TEST(SvgChart, NothingLeavesTheDrawing) {
  Chart chart = chart_of({{-50, 1}, {500, 1e15}, {3, -7}, {4, 0}});
  chart.lane = true;
  chart.cells = {{0, 20, 1, kInfinity, 99}, {-3, 4, 1e6, 1e7, -1}};
  chart.hover = {1, 2, 3};
  for (const ChartSize& size : {kWide, kNarrow}) {
    const std::string svg = draw(chart, size);
    EXPECT_EQ(check_xml(svg).error, "");
    for (const std::string& attribute : check_xml(svg).attributes) {
      for (const std::string name : {"cx=", "x=", "cy=", "y="}) {
        if (!attribute.starts_with(name)) continue;
        const double value = std::stod(attribute.substr(name.size()));
        EXPECT_GE(value, 0) << attribute;
        EXPECT_LE(value, size.width) << attribute;
      }
    }
  }
}

TEST(SvgChart, LabelsOfTheXAxisDoNotTouch) {
  Chart chart = chart_of({});
  for (double high = 1; high < 1e6; high *= 1.7) {
    chart.x = {Axis::Kind::kSpectrum, 1, high + 1, ""};
    for (const ChartSize& size : {kWide, kNarrow}) {
      const std::string svg = draw(chart, size);
      double end = -10;
      for (std::size_t at = svg.find(" %</text>"); at != std::string::npos;
           at = svg.find(" %</text>", at + 1)) {
        const std::size_t begin = svg.rfind("<text x=\"", at);
        const double width = 6 * static_cast<double>(at + 2 - svg.rfind('>', at) - 1);
        const double x = std::stod(svg.substr(begin + 9));
        const bool to_the_left = svg.substr(begin, at - begin).find("\"end\"") != std::string::npos;
        const double left = to_the_left ? x - width : x - width / 2;
        EXPECT_GT(left, end) << high << " " << size.name;
        end = left + width;
      }
    }
  }
}

TEST(XmlCheck, FindsWhatIsBroken) {
  for (const char* broken : {"<a>", "<a></b>", "</a>", "<a b=c></a>", "<a b=\"1\" b=\"2\"/>",
                             "<a>&nbsp;</a>", "<a>&</a>", "a>b", "<a id=\"x\"/><b id=\"x\"/>",
                             "<a b=\"<\"/>", "<a", "<a b=\"", "<a>\x01</a>"}) {
    EXPECT_NE(check_xml(broken).error, "") << broken;
  }
  EXPECT_EQ(check_xml("<a b=\"&lt;\"><c/>text &amp; more</a><script>a<b</script>").error, "");
}

}  // namespace
}  // namespace tailrace::loadtest
