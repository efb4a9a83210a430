// Thresholds: what may be written, and when they fail.
#include "loadtest/slo.h"

#include <gtest/gtest.h>

namespace tailrace::loadtest {
namespace {

std::vector<Threshold> parsed(std::string_view text) {
  auto all = parse_thresholds(text);
  if (auto* message = std::get_if<std::string>(&all)) {
    ADD_FAILURE() << *message;
    return {};
  }
  return std::get<std::vector<Threshold>>(all);
}

// 1000 requests of one second: 985 of 1 ms, 10 of 20 ms, 5 lost.
Measurement measured() {
  Latencies response;
  for (int i = 0; i < 985; ++i) response.record(1'000'000);
  for (int i = 0; i < 10; ++i) response.record(20'000'000);
  response.record_infinite(5);
  Second second;
  second.counts.planned = 1000;
  second.counts.sent = 1000;
  second.counts.completed = second.counts.succeeded = 995;
  second.counts.timed_out = 5;
  second.response = SparseHistogram::of(response);
  Measurement measurement;
  measurement.rate_per_second = 1000;
  measurement.duration_ns = 1'000'000'000;
  measurement.seconds = {second};
  return measurement;
}

TEST(Thresholds, AreHeldAgainstTheResponse) {
  const Measurement measurement = measured();
  EXPECT_TRUE(failed(parsed("p50<2ms,p98<1.1ms,p99<21ms,err<0.5%"), measurement).empty());
  EXPECT_EQ(failed(parsed("p99<20ms"), measurement).size(), 1u);
  EXPECT_EQ(failed(parsed("p99<10ms,p50<1ms"), measurement).size(), 2u);
}

TEST(Thresholds, LostRequestsAreInfinite) {
  const Measurement measurement = measured();
  const auto sentences = failed(parsed("p99.9<1h,max<1h,mean<1h"), measurement);
  ASSERT_EQ(sentences.size(), 3u);
  EXPECT_EQ(sentences[0], "p99.9<1h: more than the timeout");
}

TEST(Thresholds, TheErrorShareMayBeReachedAndNotPassed) {
  const Measurement measurement = measured();
  EXPECT_TRUE(failed(parsed("err<0.5%"), measurement).empty());
  const auto sentences = failed(parsed("err<0.4%"), measurement);
  ASSERT_EQ(sentences.size(), 1u);
  EXPECT_EQ(sentences[0], "err<0.4%: 0.5 %");
  Measurement clean = measured();
  clean.seconds[0].counts.timed_out = 0;
  clean.seconds[0].counts.completed = clean.seconds[0].counts.succeeded = 1000;
  EXPECT_TRUE(failed(parsed("err<0%"), clean).empty());
}

TEST(Thresholds, WithoutACleanSecondNoneHolds) {
  Measurement voided = measured();
  voided.seconds[0].voided = "the generator was 5 ms late";
  const auto sentences = failed(parsed("p50<1h,err<100%"), voided);
  ASSERT_EQ(sentences.size(), 2u);
  EXPECT_NE(sentences[0].find("no clean second"), std::string::npos);
}

TEST(Thresholds, WithoutARequestNoneHolds) {
  Measurement empty = measured();
  empty.seconds[0].counts = {};
  empty.seconds[0].response = {};
  const auto sentences = failed(parsed("p50<1h,err<100%"), empty);
  ASSERT_EQ(sentences.size(), 2u);
  EXPECT_NE(sentences[0].find("no request"), std::string::npos);
}

TEST(Thresholds, WhatIsNoneIsRefusedWithTheRemedy) {
  for (const char* text :
       {"p99", "p99<", "p99<10", "q99<10ms", "p0<1ms", "p100<1ms", "pnan<1ms", "err<1ms", "err<-1%",
        "err<101%", "p99<10ms,", ",", "p99<10ms p50<1ms"}) {
    const auto all = parse_thresholds(text);
    ASSERT_TRUE(std::holds_alternative<std::string>(all)) << text;
    EXPECT_NE(std::get<std::string>(all).find("p99.9<20ms"), std::string::npos) << text;
  }
  EXPECT_TRUE(parsed("").empty());
  std::string many;
  for (int i = 0; i < 33; ++i) many += "p50<1ms,";
  many.pop_back();
  EXPECT_TRUE(std::holds_alternative<std::string>(parse_thresholds(many)));
}

}  // namespace
}  // namespace tailrace::loadtest
