// Puts the page together.
#include "loadtest/html_report.h"

#include <algorithm>

#include "loadtest/report_parts.h"
#include "loadtest/report_style.h"
#include "loadtest/result_json.h"

namespace tailrace::loadtest {
namespace {

// With results.json in it as far as it fits.
constexpr std::size_t kMostPageBytes = 480 * 1024;

std::string run_sections(const Result& result) {
  if (result.measurements.empty()) return "";
  const RunData data = run_data(result, result.measurements.front());
  return write_section("Latency over time", latency_over_time(data)) +
         write_section("Percentiles", spans_table(data) + span_bars(data) + spectrum(data)) +
         write_section("Heat map", heat_map(data)) +
         write_section("Asked, sent, completed",
                       rates_over_time(data) + losses_list(data.measurement)) +
         write_section("Routes", routes_table(data)) + write_section("Server", server_table(data)) +
         write_section("Can these numbers be trusted?",
                       trust_list(result) + lateness_histogram(data) + honesty_over_time(data));
}

std::string ramp_sections(const Result& result) {
  return write_section("Rate and latency", ramp_charts(result)) +
         write_section("Steps", ramp_details(result)) +
         write_section("Can these numbers be trusted?", trust_list(result));
}

std::string json_section(const Result& result, std::size_t most_bytes) {
  std::string json = escape_script(write_json(result));
  std::string note =
      "The whole result stands in this page as JSON, in the element with the id \"result\".";
  if (json.size() > most_bytes) {
    json = escape_script(write_json(result, JsonDetail::kSummary));
    note =
        "The result without its seconds stands in this page as JSON, in the element with the id "
        "\"result\"; results.json has the seconds too.";
  }
  if (json.size() > most_bytes) return "<p class=\"note\">results.json has all the numbers.</p>\n";
  return "<p class=\"note\">" + escape(note) +
         "</p>\n<script type=\"application/json\" id=\"result\">\n" + json + "</script>\n";
}

}  // namespace

std::string write_html(const Result& result) {
  const std::string title = "tailrace-load " + result.kind + " of " + result.target;
  std::string text =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      // Should markup ever get past the escaping: it could load and send nothing.
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action "
      "'none'\"/>\n"
      "<title>" +
      escape(title) + "</title>\n<style>" + std::string(report_style()) +
      "</style>\n</head>\n<body>\n<main>\n<header><h1>" + escape(result.target) +
      "</h1><p>tailrace-load " + escape(result.kind) + ", " + escape(result.scenario) + ", " +
      escape(result.arrival) + " arrivals, " + escape(result.started) + "</p></header>\n";
  text += verdict_card(result);
  text += result.kind == "ramp" ? ramp_sections(result) : run_sections(result);
  const std::size_t left = kMostPageBytes - std::min(text.size(), kMostPageBytes);
  text += write_section("How it was measured", environment(result) + json_section(result, left));
  text += "<footer><p>tailrace-load " + escape(result.tool_version) +
          "</p></footer>\n</main>\n<script>" + std::string(report_script()) +
          "</script>\n</body>\n</html>\n";
  return text;
}

}  // namespace tailrace::loadtest
