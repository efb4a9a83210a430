#include "loadtest/text_summary.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "loadtest/report_format.h"
#include "loadtest/test_results.h"
#include "loadtest/text_table.h"
#include "loadtest/verdict.h"

namespace tailrace::loadtest {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
std::string plain(const Result& result) { return text_summary(result, {}); }

// The line that begins with `begin`.
std::string line_of(const std::string& text, const std::string& begin) {
  const std::size_t at = ("\n" + text).find("\n" + begin);
  if (at == std::string::npos) return "";
  return text.substr(at, text.find('\n', at) - at);
}

TEST(ReportFormat, Durations) {
  EXPECT_EQ(format_duration(0), "0 ns");
  EXPECT_EQ(format_duration(870), "870 ns");
  EXPECT_EQ(format_duration(999), "999 ns");
  EXPECT_EQ(format_duration(12'345), "12.3 us");
  EXPECT_EQ(format_duration(1'240'000), "1.24 ms");
  EXPECT_EQ(format_duration(999'600), "1.00 ms");
  EXPECT_EQ(format_duration(9'996'000), "10.0 ms");
  EXPECT_EQ(format_duration(3e9), "3.00 s");
  EXPECT_EQ(format_duration(99.97e9), "100 s");
  EXPECT_EQ(format_duration(1200e9), "20.0 min");
  EXPECT_EQ(format_duration(ServerFigures::kNone), "-");
}

TEST(ReportFormat, InfiniteIsTheTimeout) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(format_latency(infinity, 10'000'000'000), ">10 s timeout");
  EXPECT_EQ(format_latency(infinity, 2'500'000'000), ">2.5 s timeout");
  EXPECT_EQ(format_latency(infinity, 100'000'000), ">100 ms timeout");
  EXPECT_EQ(format_latency(infinity, 0), ">timeout");
  EXPECT_EQ(format_latency(5e6, 1), "5.00 ms");
  EXPECT_EQ(format_setting(10'000'000'000), "10 s");
  EXPECT_EQ(format_setting(1'500'000'000), "1.5 s");
  EXPECT_EQ(format_setting(100'000'000), "100 ms");
}

TEST(ReportFormat, CountsBytesShares) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1'000), "1,000");
  EXPECT_EQ(format_count(1'234'567), "1,234,567");
  EXPECT_EQ(format_number(4'500), "4,500");
  EXPECT_EQ(format_number(4.5), "4.50");
  EXPECT_EQ(format_bytes(512), "512 B");
  EXPECT_EQ(format_bytes(24'896), "24.3 KiB");
  EXPECT_EQ(format_bytes(1024 * 1024), "1.00 MiB");
  EXPECT_EQ(format_percent(0), "0 %");
  EXPECT_EQ(format_percent(0.125), "12.5 %");
  EXPECT_EQ(format_percent(0.0001), "0.010 %");
  EXPECT_EQ(format_percent(1), "100 %");
}

TEST(TextTable, AlignsAndShowsNoControls) {
  TextTable table({"a", "b"});
  EXPECT_EQ(table.str(0), "");
  table.row({"long", "1", "beyond"});
  table.row({"x\x1b[31m", "22"});
  EXPECT_EQ(table.str(1), " a        b\n long     1  beyond\n x?[31m  22\n");
  EXPECT_EQ(printable("a\nb\x7f\xc2\x9b\xc3\xa9"), "a?b???\xc3\xa9");
}

TEST(TextSummary, VerdictStandsFirst) {
  EXPECT_EQ(plain(test_results::quiet()).find("VALID    2,000 requests/s asked, "), 0U);
  EXPECT_EQ(plain(test_results::overloaded()).find("INVALID  9,000 requests/s asked"), 0U);
  EXPECT_EQ(plain(test_results::empty()).find("PARTIAL  nothing was sent"), 0U);
  Result result = test_results::quiet();
  result.thresholds_failed = {"p99<1ms: 1.90 ms"};
  const std::string text = plain(result);
  EXPECT_EQ(text.find("FAILED "), 0U);
  EXPECT_TRUE(contains(text, "threshold failed: p99<1ms: 1.90 ms"));
}

TEST(TextSummary, TableHasEveryPercentileOfTheSpans) {
  const std::string text = plain(test_results::quiet());
  for (const char* name : {"P50 ", "P75 ", "P90 ", "P99 ", "P99.9 ", "P99.99 ", "max "}) {
    const std::string line = line_of(text, std::string("  ") + name);
    EXPECT_EQ(std::count(line.begin(), line.end(), 's'), 4) << name << ": " << line;
  }
  EXPECT_TRUE(contains(text, "GET /api/users/{id}"));
  EXPECT_TRUE(contains(line_of(text, "SERVER"), "23.4 KiB allocated a request"));
  EXPECT_TRUE(contains(text, "voided 0 of 60 s, host grade B"));
  const Result result = test_results::quiet();
  EXPECT_TRUE(contains(line_of(text, "PLAN"), "seed " + std::to_string(result.seed)));
  EXPECT_TRUE(contains(line_of(text, "STATUS"), "200 x "));
}

TEST(TextSummary, InfiniteTailIsToldAsTheTimeout) {
  const std::string text = plain(test_results::overloaded());
  EXPECT_TRUE(contains(line_of(text, "  P99 "), ">10 s timeout")) << text;
  EXPECT_TRUE(contains(line_of(text, "LOST"), "timed out")) << text;
  EXPECT_TRUE(contains(line_of(text, "LOST"), "never sent")) << text;
  EXPECT_TRUE(contains(text, "12 x connection reset by peer"));
  EXPECT_TRUE(contains(text.substr(text.find("TRUST")), "ABOVE THE CEILING"));
}

TEST(TextSummary, SaysWhenThereAreTooFewRequests) {
  const std::string text = plain(test_results::one_second());
  // A row of dashes says nothing that the note does not.
  EXPECT_FALSE(contains(text, "\n  P99.99  ")) << text;
  EXPECT_TRUE(contains(text, "P99.99 needs 10,000 requests and there were ")) << text;
  EXPECT_EQ(few_requests_note(3'000),
            "P99.9 rests on 3 requests: another run may well give another; P99.99 needs 10,000 "
            "requests and there were 3,000");
  EXPECT_EQ(few_requests_note(100'000), "");
  EXPECT_EQ(few_requests_note(0), "");
}

TEST(TextSummary, BarsOnlyOnATerminal) {
  const Result result = test_results::stalled();
  const std::string text = plain(result);
  EXPECT_FALSE(contains(text, "##"));
  EXPECT_FALSE(contains(text, "\x1b"));
  const std::string terminal = text_summary(result, TextStyle::of(true, nullptr));
  EXPECT_TRUE(contains(terminal, "##"));
  EXPECT_TRUE(contains(terminal, "P99 by time"));
  EXPECT_TRUE(contains(terminal, "xx")) << "the voided seconds";
  EXPECT_TRUE(contains(terminal, "\x1b[1;32mVALID"));
  EXPECT_FALSE(contains(text_summary(result, TextStyle::of(true, "1")), "\x1b"));
  EXPECT_TRUE(TextStyle::of(true, "").color);
  EXPECT_FALSE(TextStyle::of(false, nullptr).color);
}

TEST(TextSummary, RampHasARowAStepAndTheInflection) {
  const std::string text = plain(test_results::step_ramp());
  EXPECT_TRUE(contains(text,
                       "P99 inflects between 4,500 and 5,000 requests/s: 1.20 ms before, "
                       "31.0 ms after"))
      << text;
  EXPECT_TRUE(contains(line_of(text, "  5,000 "), "<- P99 inflects")) << text;
  EXPECT_TRUE(contains(line_of(text, "  3,500 "), "5/5  invalid: no clean second")) << text;
  EXPECT_TRUE(contains(text, "step of 3,500 requests/s left out: no clean second")) << text;
  EXPECT_TRUE(contains(line_of(text, "  6,000 "), "  >10 s  ")) << text;
  EXPECT_TRUE(contains(text, "\n  > : dropped, failed or not answered before the timeout\n"))
      << text;
  EXPECT_TRUE(
      contains(plain(test_results::smooth_ramp()),
               "smooth, no step: P99 follows a queue's curve with a capacity of about 6,120"));
  Result result = test_results::smooth_ramp();
  result.inflection->shape = Inflection::Shape::kFlat;
  EXPECT_TRUE(contains(plain(result), "flat: "));
  result.inflection->shape = Inflection::Shape::kTooFew;
  EXPECT_TRUE(contains(plain(result), "too few steps"));
  result.inflection.reset();
  EXPECT_FALSE(contains(plain(result), "inflects between"));
}

TEST(TextSummary, ManyStepsLeftOutAreOneSentence) {
  Result result = test_results::step_ramp();
  for (std::size_t i = 0; i < 8; ++i) {
    result.measurements[i].invalid = {"4 of 5 seconds are voided: use a quieter host"};
  }
  result.inflection = Inflection();
  const std::string text = plain(result);
  EXPECT_TRUE(contains(text,
                       "8 of 12 steps left out (500, 1,000, 1,500, 2,000, 2,500, 3,000, "
                       "3,500, 4,000): use a quieter host\n"))
      << text;
  EXPECT_FALSE(contains(text, "step of ")) << text;
  EXPECT_TRUE(contains(line_of(text, "  4,000 "), "invalid: 4 of 5 seconds are voided\n") ||
              line_of(text, "  4,000 ").ends_with("invalid: 4 of 5 seconds are voided"))
      << text;
  EXPECT_TRUE(contains(text, "it takes 5, and 4 of 12 can be used")) << text;
}

TEST(TextSummary, CompletedBeyondTheEndIsTold) {
  const std::string note = "answers after the step's end";
  EXPECT_FALSE(contains(plain(test_results::smooth_ramp()), note));
  Result result = test_results::smooth_ramp();
  Measurement& last = result.measurements.back();
  for (Second& second : last.seconds) {
    Latencies late;
    for (int i = 0; i < 100; ++i) late.record(last.duration_ns / 10);
    second.response = SparseHistogram::of(late);
  }
  EXPECT_TRUE(contains(plain(result), note)) << plain(result);
}

TEST(TextSummary, LossesStandBesideTheVerdict) {
  const std::string text = plain(test_results::overloaded());
  const std::size_t at = text.find(" of the requests were not served: ");
  EXPECT_LT(at, text.find("RATE")) << text;
  EXPECT_FALSE(contains(plain(test_results::quiet()), "were not served"));
  // Valid, and yet not green.
  Result result = test_results::quiet();
  Counts& counts = result.measurements.front().seconds.front().counts;
  counts.succeeded = 0;
  EXPECT_TRUE(contains(text_summary(result, TextStyle::of(true, nullptr)), "\x1b[1;33mVALID"));
}

TEST(TextSummary, NoLineOverTimeWithoutACleanSecond) {
  Result result = test_results::stalled();
  for (Second& second : result.measurements.front().seconds) second.voided = "steal 9 %";
  EXPECT_FALSE(contains(text_summary(result, TextStyle::of(true, nullptr)), "P99 by time"));
}

TEST(TextSummary, OneStepIsNoRange) {
  Result result = test_results::smooth_ramp();
  result.measurements.resize(1);
  EXPECT_EQ(verdict_of(result).sentence.find("1 step at 500 requests/s: "), 0U);
}

TEST(TextSummary, SessionsAreNotCalledRequests) {
  Result result = test_results::quiet();
  Measurement& measurement = result.measurements.front();
  EXPECT_TRUE(contains(verdict_of(result).sentence, "2,000 requests/s asked, "));
  measurement.rate_per_second /= 3;
  EXPECT_TRUE(contains(verdict_of(result).sentence, " sessions/s asked, "));
  EXPECT_TRUE(contains(verdict_of(result).sentence, " requests/s completed for 60 s"));
  measurement.rate_per_second = 0;
  EXPECT_EQ(verdict_of(result).sentence.find("a trace, "), 0U);
}

TEST(TextSummary, TellsTheWorstVoidedSecond) {
  EXPECT_FALSE(contains(plain(test_results::quiet()), "the worst"));
  Result result = test_results::stalled();
  Latencies late;
  late.record(900'000'000);
  result.measurements.front().seconds[35].lateness = SparseHistogram::of(late);
  EXPECT_TRUE(contains(plain(result), "voided 2 of 60 s (the worst: steal 6 %)")) << plain(result);
}

TEST(TextSummary, HeapIsToldOnlyWhereItSaysSomething) {
  Result result = test_results::quiet();
  ServerFigures& server = result.measurements.front().server;
  server.requests = 100;
  server.alloc_bytes = server.heap_alloc_bytes = 0;
  EXPECT_FALSE(contains(plain(result), "on the heap"));
  server.alloc_bytes = server.heap_alloc_bytes = 51200;
  EXPECT_TRUE(contains(plain(result), "512 B allocated a request, all of it on the heap"));
  server.heap_alloc_bytes = 25600;
  EXPECT_TRUE(contains(plain(result), "256 B of these on the heap"));
}

TEST(TextSummary, NothingFromOutsideSteersTheTerminal) {
  const std::string text = plain(test_results::hostile());
  for (const char c : text) {
    EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << static_cast<int>(c);
  }
  EXPECT_FALSE(plain(Result()).empty());
}

TEST(TextSummary, FitsInAHundredColumns) {
  const std::string text = plain(test_results::overloaded()) + plain(test_results::smooth_ramp());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    // All but the verdict's sentence and reasons, which a terminal wraps.
    const bool table = text.compare(at, 2, "  ") == 0 && text[at + 2] != ' ';
    const bool items = text.compare(at, 6, "SERVER") == 0 || text.compare(at, 5, "TRUST") == 0 ||
                       text.compare(at, 4, "PLAN") == 0 || text.compare(at, 4, "LOST") == 0;
    if (table || items) {
      EXPECT_LE(end - at, 100U) << text.substr(at, end - at);
    }
    at = end + 1;
  }
}

}  // namespace
}  // namespace tailrace::loadtest
