#include "loadtest/result.h"

#include <gtest/gtest.h>

#include <cmath>

#include "loadtest/figures.h"
#include "loadtest/test_results.h"

namespace tailrace::loadtest {
namespace {

Second second_with(std::int64_t number, std::initializer_list<std::int64_t> response_ns,
                   std::uint64_t infinite = 0) {
  Second second;
  second.number = number;
  Latencies latencies;
  for (const std::int64_t ns : response_ns) latencies.record(ns);
  latencies.record_infinite(infinite);
  second.response = SparseHistogram::of(latencies);
  second.counts.planned = latencies.count();
  return second;
}

TEST(SparseHistogram, KeepsEverything) {
  Latencies latencies;
  for (std::int64_t ns = 1; ns < 1'000'000'000; ns = ns * 3 + 1) latencies.record(ns);
  latencies.record_infinite(5);
  const SparseHistogram sparse = SparseHistogram::of(latencies);
  EXPECT_EQ(sparse.latencies(), latencies);
  Latencies twice = latencies;
  EXPECT_TRUE(sparse.add_to(twice));
  EXPECT_EQ(twice.count(), 2 * latencies.count());
  EXPECT_EQ(twice.infinite(), 10U);
}

TEST(SparseHistogram, EmptyIsAnEmptyText) {
  EXPECT_EQ(SparseHistogram::of(Latencies()), SparseHistogram());
  EXPECT_EQ(SparseHistogram().latencies(), Latencies());
}

TEST(SparseHistogram, TamperedTextAddsNothing) {
  Latencies latencies;
  latencies.record(7);
  const Latencies before = latencies;
  SparseHistogram tampered = SparseHistogram::of(latencies);
  tampered.infinite = 3;
  tampered.text += "x";
  EXPECT_FALSE(tampered.add_to(latencies));
  EXPECT_EQ(latencies, before);
}

TEST(Measurement, LeavesVoidedSecondsOutUnlessAsked) {
  Measurement measurement;
  measurement.duration_ns = 2'500'000'000;
  measurement.seconds = {second_with(0, {10, 20}), second_with(1, {1000}, 4), second_with(2, {30})};
  measurement.seconds[1].voided = "steal";
  EXPECT_EQ(measurement.response().count(), 3U);
  EXPECT_EQ(measurement.response(true).count(), 8U);
  EXPECT_EQ(measurement.response(true).infinite(), 4U);
  EXPECT_EQ(measurement.counts().planned, 8U);
  EXPECT_EQ(measurement.voided_seconds(), 1U);
  EXPECT_DOUBLE_EQ(measurement.clean_seconds(), 1.5);
}

TEST(Measurement, MedianOfSecondsCountsCleanOnes) {
  Measurement measurement;
  EXPECT_TRUE(std::isnan(measurement.median_of_seconds_ns(99)));
  measurement.seconds = {second_with(0, {10}), second_with(1, {100}), second_with(2, {20})};
  EXPECT_EQ(measurement.median_of_seconds_ns(99), 20);
  measurement.seconds[1].voided = "steal";
  EXPECT_EQ(measurement.median_of_seconds_ns(99), 15);
  measurement.seconds = {second_with(0, {10}), second_with(1, {}, 9)};
  EXPECT_TRUE(std::isinf(measurement.median_of_seconds_ns(99)));
  // A second in which nothing was due says nothing.
  measurement.seconds = {second_with(0, {10}), second_with(1, {})};
  EXPECT_EQ(measurement.median_of_seconds_ns(50), 10);
}

TEST(Counts, BadIsWhatHadNoGoodAnswer) {
  Counts counts;
  counts.completed = 90;
  counts.succeeded = 80;
  counts.dropped = 1;
  counts.timed_out = 2;
  counts.failed = 4;
  EXPECT_EQ(counts.bad(), 17U);
  Counts sum = counts;
  sum += counts;
  EXPECT_EQ(sum.bad(), 34U);
}

TEST(Result, ARunIsValidIfNothingSpeaksAgainstItARampIfMostStepsAre) {
  EXPECT_FALSE(Result().valid());
  EXPECT_TRUE(test_results::quiet().valid());
  EXPECT_FALSE(test_results::overloaded().valid());
  EXPECT_TRUE(test_results::step_ramp().valid()) << "one of twelve steps is not";
  Result ramp = test_results::step_ramp();
  for (std::size_t i = 0; i < 6; ++i) ramp.measurements[i].invalid = {"late"};
  EXPECT_FALSE(ramp.valid());
}

TEST(Host, FingerprintForgivesALittleMemory) {
  Host host = test_results::quiet().host;
  const std::string fingerprint = host.fingerprint();
  host.memory_bytes -= std::uint64_t{100} << 20;
  EXPECT_EQ(host.fingerprint(), fingerprint);
  host.kernel = "another";
  EXPECT_NE(host.fingerprint(), fingerprint);
}

TEST(Figures, PercentileNeedsARequestBeyondIt) {
  Latencies latencies;
  for (int i = 0; i < 9'999; ++i) latencies.record(i);
  EXPECT_TRUE(std::isnan(percentile_ns(latencies, 99.99)));
  EXPECT_FALSE(std::isnan(percentile_ns(latencies, 99.9)));
  latencies.record(10'000);
  EXPECT_FALSE(std::isnan(percentile_ns(latencies, 99.99)));
  EXPECT_EQ(percentile_ns(latencies, 100), 10'000);
  EXPECT_TRUE(std::isnan(percentile_ns(Latencies(), 100)));
}

TEST(Figures, StretchesHaveThePercentilesOfAllTheirRequests) {
  Measurement measurement;
  for (int i = 0; i < 10; ++i) measurement.seconds.push_back(second_with(i, {i, i, i}));
  measurement.seconds[3].voided = "steal";
  measurement.seconds[8].voided = "late";
  measurement.seconds[9].voided = "steal";
  const std::vector<Stretch> stretches = stretches_of(measurement, 5);
  ASSERT_EQ(stretches.size(), 5U);
  EXPECT_EQ(stretches[0].spans.response.percentile_ns(100), 1);
  EXPECT_EQ(stretches[1].spans.response.count(), 3U) << "the voided second is left out";
  EXPECT_TRUE(stretches[1].voided.empty());
  EXPECT_EQ(stretches[4].voided, "late; steal");
  EXPECT_EQ(stretches[4].spans.response.count(), 6U) << "all there is";
  EXPECT_EQ(stretches[4].begin_second, 8);
  EXPECT_EQ(stretches[4].seconds, 2);
  EXPECT_TRUE(stretches_of(Measurement(), 5).empty());
}

TEST(Figures, ServerRatesAreUnknownWithoutMetrics) {
  EXPECT_FALSE(server_rates(ServerFigures(), 10).known());
  const MeasurementFigures figures = figures_of(test_results::quiet().measurements.front());
  ASSERT_TRUE(figures.server.known());
  EXPECT_NEAR(figures.server.alloc_bytes_per_request, 24'000, 1);
  EXPECT_NEAR(figures.server.cpu_ns_per_request, 60'000, 1);
  EXPECT_EQ(figures_of(test_results::step_ramp().measurements[6]).all_voided, true);
}

}  // namespace
}  // namespace tailrace::loadtest
