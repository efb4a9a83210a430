#include "loadtest/html_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "loadtest/markup.h"
#include "loadtest/report_parts.h"
#include "loadtest/result_json.h"
#include "loadtest/test_results.h"
#include "loadtest/xml_check.h"

namespace tailrace::loadtest {
namespace {

using test_results::check_xml;
using test_results::svgs_of;

struct Named {
  const char* name;
  Result result;
};
const std::vector<Named>& all_results() {
  static const std::vector<Named> kResults = [] {
    Result trace = test_results::one_second();
    trace.measurements.front().rate_per_second = 0;
    Result voided = test_results::one_second();
    voided.measurements.front().seconds.front().voided = "steal 9 %";
    Result no_metrics = test_results::smooth_ramp();
    for (Measurement& measurement : no_metrics.measurements) measurement.server = {};
    return std::vector<Named>{{"quiet", test_results::quiet()},
                              {"stalled", test_results::stalled()},
                              {"overloaded", test_results::overloaded()},
                              {"step", test_results::step_ramp()},
                              {"smooth", test_results::smooth_ramp()},
                              {"no metrics", no_metrics},
                              {"empty", test_results::empty()},
                              {"one second", test_results::one_second()},
                              {"trace", trace},
                              {"voided", voided},
                              {"hour", test_results::hour()},
                              {"hostile", test_results::hostile()},
                              {"nothing", Result()}};
  }();
  return kResults;
}

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

// Between the tags of the table in the figure that has this heading.
std::size_t rows_under(const std::string& page, const std::string& heading) {
  const std::size_t at = page.find("<h3>" + heading);
  if (at == std::string::npos) return 0;
  const std::size_t begin = page.find("<tbody>", at);
  return times(page.substr(begin, page.find("</tbody>", begin) - begin), "<tr");
}

TEST(HtmlReport, EveryPageAndEachChartIsWellFormed) {
  for (const Named& named : all_results()) {
    const std::string page = write_html(named.result);
    EXPECT_EQ(check_xml(page).error, "") << named.name;
    for (const std::string& svg : svgs_of(page)) {
      EXPECT_EQ(check_xml(svg).error, "") << named.name;
      EXPECT_NE(svg.find("role=\"img\"") == std::string::npos,
                svg.find("aria-hidden") == std::string::npos)
          << svg.substr(0, 100);
    }
    EXPECT_EQ(page.find("nan"), std::string::npos)
        << named.name << page.substr(page.find("nan") - 40, 80);
  }
}

TEST(HtmlReport, IsSmallAndLoadsNothing) {
  for (const Named& named : all_results()) {
    const std::string page = write_html(named.result);
    EXPECT_LT(page.size(), 500U * 1024) << named.name;
    for (const std::string& attribute : check_xml(page).attributes) {
      for (const char* loads : {"src=", "href=", "data=", "action=", "srcset=", "on", "style="}) {
        EXPECT_FALSE(attribute.starts_with(loads)) << named.name << ": " << attribute;
      }
      if (attribute.find("url(") != std::string::npos) {
        EXPECT_TRUE(attribute.starts_with("fill=url(#")) << attribute;
      }
    }
  }
}

TEST(HtmlReport, NothingFromOutsideBecomesMarkup) {
  const std::string page = write_html(test_results::hostile());
  EXPECT_EQ(page.find("<img"), std::string::npos);
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
  EXPECT_EQ(times(page, "<script"), 2U) << "the JSON and the crosshair";
  EXPECT_EQ(times(page, "</script"), 2U);
  EXPECT_NE(page.find("&lt;img src=x onerror=alert(1)&gt;&amp;"), std::string::npos);
}

TEST(HtmlReport, EscapesAndKeepsText) {
  EXPECT_EQ(escape("<a href=\"x\" b='y'>&amp;"),
            "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;");
  EXPECT_EQ(escape("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\n"),
            "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\n");
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(escape(std::string("a\0b\x1f", 4)), "a" + bad + "b" + bad);
  EXPECT_EQ(escape("\xff"), bad);
  EXPECT_EQ(escape("\xc3"), bad) << "cut off";
  EXPECT_EQ(escape("\xc0\xbc"), bad + bad) << "overlong <";
  EXPECT_EQ(escape("\xed\xa0\x80"), bad + bad + bad) << "surrogate";
  EXPECT_EQ(escape_script("</script><!--"), "\\u003c/script>\\u003c!--");
  EXPECT_EQ(micro("12.3 us"), "12.3 \xc2\xb5s");
  EXPECT_EQ(micro("P50 9 us, then 8 us"), "P50 9 \xc2\xb5s, then 8 \xc2\xb5s");
  EXPECT_EQ(micro("call us, 3 users"), "call us, 3 users");
  EXPECT_EQ(coordinate(-0.04), "0");
  EXPECT_EQ(coordinate(12.34), "12.3");
  EXPECT_EQ(coordinate(1e300 * 1e300), "0");
}

TEST(HtmlReport, LongCellsAreCut) {
  const std::string text = write_table({"", {"a"}, {{std::string(5000, 'x')}}, {}, false});
  EXPECT_LT(text.size(), 1000U);
  EXPECT_EQ(check_xml(text).error, "");
}

TEST(HtmlReport, TheEmbeddedJsonIsTheResult) {
  const Result result = test_results::hostile();
  const std::string page = write_html(result);
  const std::string tag = "id=\"result\">";
  const std::size_t begin = page.find(tag) + tag.size();
  const std::string json = page.substr(begin, page.find("</script>", begin) - begin);
  const std::variant<Result, std::string> read = read_json(json);
  ASSERT_TRUE(std::holds_alternative<Result>(read)) << std::get<std::string>(read);
  EXPECT_EQ(write_json(std::get<Result>(read)), write_json(result));
  // An hour is too long for that: what is left still is JSON.
  const std::string hour = write_html(test_results::hour());
  const std::size_t at = hour.find(tag) + tag.size();
  EXPECT_TRUE(nlohmann::json::accept(hour.substr(at, hour.find("</script>", at) - at)));
}

TEST(HtmlReport, EachChartHasItsData) {
  for (const Named& named : all_results()) {
    const std::string page = write_html(named.result);
    const std::size_t figures = times(page, "<figure>");
    const std::size_t without_details = times(page, "<h3>Where the time goes");
    EXPECT_EQ(times(page, "<summary>Data table: ") + without_details, figures) << named.name;
  }
  const std::string run = write_html(test_results::stalled());
  EXPECT_EQ(rows_under(run, "Response time of each second"), 60U);
  EXPECT_EQ(rows_under(run, "Rates of each second"), 60U);
  EXPECT_EQ(rows_under(run, "What kept the generator busy"), 60U);
  EXPECT_EQ(rows_under(run, "Percentile spectrum"), 7U);
  EXPECT_EQ(rows_under(write_html(test_results::step_ramp()), "Response time against rate"), 12U);
  EXPECT_EQ(rows_under(write_html(test_results::hour()), "Response time of each stretch of 12 s"),
            300U);
}

TEST(HtmlReport, RunTellsItsStory) {
  const std::string page = write_html(test_results::overloaded());
  for (const char* part :
       {"INVALID", "threshold failed: p99&lt;10ms", "&gt; 10 s", "never answered in time",
        "Heat map", "connection reset by peer", "asked for more than 70 %"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
  const std::string stalled = write_html(test_results::stalled());
  EXPECT_NE(stalled.find("-hatch"), std::string::npos);
  EXPECT_NE(stalled.find("class=\"mark c2 hollow\""), std::string::npos);
  EXPECT_NE(stalled.find("GC cycles/s"), std::string::npos);
}

TEST(HtmlReport, RampShowsWhereItInflects) {
  const std::string step = write_html(test_results::step_ramp());
  EXPECT_NE(step.find("class=\"inflection\""), std::string::npos);
  EXPECT_NE(
      step.find("P99 inflects between 4,500 and 5,000 requests/s: 1.20 ms before, 31.0 ms after"),
      std::string::npos);
  EXPECT_NE(step.find("bytes/request against rate"), std::string::npos);
  const std::string smooth = write_html(test_results::smooth_ramp());
  EXPECT_EQ(smooth.find("class=\"inflection\""), std::string::npos);
  EXPECT_NE(smooth.find("smooth, no step"), std::string::npos);
}

TEST(HtmlReport, HollowMarksAndWideTablesAreExplained) {
  const std::string step = write_html(test_results::step_ramp());
  EXPECT_NE(step.find("left out: the generator or its host disturbed it"), std::string::npos);
  EXPECT_NE(step.find("<div class=\"scroll many\""), std::string::npos);
  const std::string smooth = write_html(test_results::smooth_ramp());
  EXPECT_EQ(smooth.find("left out: the generator or its host disturbed it"), std::string::npos);
  EXPECT_NE(smooth.find("<p>Smooth, no step"), std::string::npos) << "a sentence begins so";
  // Hatching says it already.
  const std::string stalled = write_html(test_results::stalled());
  EXPECT_EQ(stalled.find("left out: the generator or its host disturbed it"), std::string::npos);
  EXPECT_EQ(write_table({"", {"a", "b"}, {{"1", "2"}}, {}, false}).find("many"), std::string::npos);
}

TEST(HtmlReport, AValidMeasurementOfFailuresIsNotGreen) {
  Result result = test_results::quiet();
  EXPECT_NE(write_html(result).find("class=\"verdict valid\""), std::string::npos);
  result.measurements.front().seconds.front().counts.succeeded = 0;
  EXPECT_NE(write_html(result).find("class=\"verdict lossy\""), std::string::npos);
}

TEST(HtmlReport, WhatWasNotGivenIsNotToldAsZero) {
  Result result = test_results::quiet();
  result.connections = 0;
  result.in_flight_most = 0;
  const std::string page = write_html(result);
  EXPECT_NE(page.find("connections</th><td>as the rate needs"), std::string::npos);
  EXPECT_NE(page.find("in flight at most</th><td>4 x rate x timeout"), std::string::npos);
  result.connections = 1'024;
  EXPECT_NE(write_html(result).find("connections</th><td>1,024"), std::string::npos);
}

TEST(HtmlReport, HeatMapHasFewCellsAndLosesNoTime) {
  Result noisy = test_results::hour();
  const std::vector<Stretch> stretches = stretches_of(noisy.measurements.front(), kMostStretches);
  const std::vector<Cell> cells = heat_cells(stretches, 2000);
  EXPECT_LE(cells.size(), 2000U);
  EXPECT_GT(cells.size(), 100U);
  double first = 1e9;
  double last = 0;
  for (const Cell& cell : cells) {
    first = std::min(first, cell.x_low);
    last = std::max(last, cell.x_high);
    EXPECT_GE(cell.level, 1);
    EXPECT_LE(cell.level, kHeatLevels);
  }
  EXPECT_EQ(first, 0);
  EXPECT_EQ(last, 3600);
  EXPECT_LE(heat_cells(stretches, 300).size(), 300U);
  EXPECT_TRUE(heat_cells({}, 10).empty());
}

}  // namespace
}  // namespace tailrace::loadtest
