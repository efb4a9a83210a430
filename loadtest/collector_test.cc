// Workers' seconds become a measurement, voided and invalid where it must be.
#include "loadtest/collector.h"

#include <gtest/gtest.h>

namespace tailrace::loadtest {
namespace {

constexpr std::int64_t kTimeoutNs = 1'000'000'000;

std::unique_ptr<RecordedSecond> second(std::int64_t number, std::int64_t lateness_ns = 10'000,
                                       std::int64_t response_ns = 5'000'000,
                                       std::uint64_t requests = 100) {
  auto result = std::make_unique<RecordedSecond>();
  result->number = number;
  result->counts.planned = result->counts.sent = requests;
  result->counts.completed = result->counts.succeeded = requests;
  for (std::uint64_t i = 0; i < requests; ++i) {
    result->response.record(response_ns);
    result->lateness.record(lateness_ns);
    result->client_queue.record(0);
    result->service.record(response_ns - lateness_ns);
  }
  result->in_flight_most = 3;
  result->busy = 0.2;
  return result;
}

// One worker's seconds, put through.
Measurement collect(std::vector<std::unique_ptr<RecordedSecond>> seconds, double steal = 0) {
  Collector collector(1, kTimeoutNs);
  Handover handover;
  for (std::size_t i = 0; i < seconds.size(); ++i) collector.add_steal(steal);
  handover.ended = std::move(seconds);
  collector.take(handover);
  return collector.finish();
}
template <typename... Seconds>
std::vector<std::unique_ptr<RecordedSecond>> list(Seconds... seconds) {
  std::vector<std::unique_ptr<RecordedSecond>> result;
  (result.push_back(std::move(seconds)), ...);
  return result;
}

TEST(CollectorTest, AddsWorkersUpWhenAllHaveHandedOver) {
  Collector collector(2, kTimeoutNs);
  Handover first;
  Handover other;
  collector.add_steal(0.001);
  collector.add_steal(0);
  first.ended = list(second(0, 10'000, 5'000'000), second(1));
  collector.take(first);
  EXPECT_TRUE(collector.seconds().empty());
  auto busy = second(0, 20'000, 7'000'000);
  busy->busy = 0.6;
  other.ended = list(std::move(busy));
  collector.take(other);
  ASSERT_EQ(collector.seconds().size(), 1U);
  const Second& sum = collector.seconds()[0];
  EXPECT_EQ(sum.counts.planned, 200U);
  EXPECT_EQ(sum.in_flight_most, 6U);
  EXPECT_EQ(sum.generator_busy, 0.6);
  EXPECT_EQ(sum.steal, 0.001);
  EXPECT_EQ(sum.voided, "");
  EXPECT_EQ(sum.response.latencies().finite().min(), 5'000'000U);
  EXPECT_EQ(sum.response.latencies().finite().max(), 7'000'000U);
  EXPECT_EQ(collector.p99_ns(), 7'000'000);
  // What came is given back, cleared.
  ASSERT_EQ(first.blank.size(), 2U);
  ASSERT_EQ(other.blank.size(), 1U);
  for (const auto& blank : first.blank) EXPECT_EQ(blank->response.count(), 0U);
  EXPECT_EQ(other.blank[0]->response.count(), 0U);
}

TEST(CollectorTest, WaitsForTheStealOfASecond) {
  Collector collector(1, kTimeoutNs);
  Handover handover;
  handover.ended = list(second(0));
  collector.take(handover);
  EXPECT_TRUE(collector.seconds().empty());
  EXPECT_EQ(collector.finish().seconds.size(), 1U);
}

TEST(CollectorTest, VoidsASecondForEachReason) {
  EXPECT_EQ(void_reason({.lateness_most_ns = kLatenessMostNs,
                         .held_most_ns = kLatenessMostNs,
                         .steal = kStealMost,
                         .busy = kBusyMost}),
            "");
  EXPECT_NE(void_reason({.lateness_most_ns = kLatenessMostNs + 1}).find("late"), std::string::npos);
  EXPECT_NE(void_reason({.steal = kStealMost * 1.1}).find("hypervisor"), std::string::npos);
  EXPECT_NE(void_reason({.held_most_ns = kLatenessMostNs + 1}).find("held up"), std::string::npos);
  EXPECT_NE(void_reason({.busy = kBusyMost * 1.01}).find("busy"), std::string::npos);
  EXPECT_EQ(void_reason({.lateness_most_ns = 3'000'000, .steal = 0.05}),
            "the generator was 3 ms late; the hypervisor took 5 % of the CPU time");
  // One late request among many.
  auto late = second(1);
  late->lateness.record(kLatenessMostNs + 1'000'000);
  const Measurement measurement = collect(list(second(0), std::move(late), second(2)));
  EXPECT_EQ(measurement.voided_seconds(), 1U);
  EXPECT_NE(measurement.seconds.at(1).voided, "");
  EXPECT_EQ(measurement.response().count(), 200U);
  EXPECT_EQ(measurement.response(true).count(), 300U) << "voided seconds stay";
  EXPECT_TRUE(measurement.invalid.empty());
}

std::string only_reason(const Measurement& measurement) {
  EXPECT_EQ(measurement.invalid.size(), 1U);
  return measurement.invalid.empty() ? "" : measurement.invalid[0];
}

// A stop of the server ends in a burst of answers, which makes its neighbours late for a moment.
TEST(CollectorTest, DoesNotVoidWhatTheGeneratorCannotHaveMade) {
  constexpr double kStop = 200e6;
  EXPECT_EQ(
      void_reason({.lateness_most_ns = 4'000'000, .held_most_ns = 5'000'000, .p99_ns = kStop}), "");
  EXPECT_NE(void_reason({.lateness_most_ns = 21'000'000, .p99_ns = kStop}), "");
  EXPECT_NE(void_reason({.held_most_ns = 21'000'000, .p99_ns = kStop}), "");
  // Late by so much that nothing came in time is the generator's fault: infinite is the timeout here.
  auto lost = second(0, 2 * kTimeoutNs, 3 * kTimeoutNs);
  lost->response.record_infinite(1000);
  EXPECT_EQ(collect(list(std::move(lost))).voided_seconds(), 1U);
  auto slow = second(0, 5'000'000, 6'000'000);
  slow->response.record_infinite(1000);
  EXPECT_EQ(collect(list(std::move(slow))).voided_seconds(), 0U);
}

TEST(CollectorTest, IsInvalidForEachReason) {
  EXPECT_TRUE(collect(list(second(0))).invalid.empty());
  EXPECT_NE(only_reason(collect(list(second(0), second(1)), 0.2)).find("voided"),
            std::string::npos);
  // Half is not more than half.
  auto late = second(1, kLatenessMostNs + 1);
  EXPECT_TRUE(collect(list(second(0), std::move(late))).invalid.empty());

  EXPECT_NE(only_reason(collect(list(second(0, 600'000, 5'000'000)))).find("lateness"),
            std::string::npos);
  // A tenth of next to nothing is nothing.
  EXPECT_TRUE(collect(list(second(0, 20'000, 100'000))).invalid.empty());

  auto overdue = second(0);
  overdue->overdue = 1;
  EXPECT_NE(only_reason(collect(list(std::move(overdue)))).find("offered 99 %"), std::string::npos);

  auto busy = second(0);
  busy->busy = 0.9;
  EXPECT_NE(only_reason(collect(list(std::move(busy)))).find("busy"), std::string::npos);
}

TEST(CollectorTest, TotalsOfWorkersAddUp) {
  Recorder recorder(2);
  recorder.begin_second(0);
  Request request;
  request.due.route = 1;
  request.written_ns = 1;
  recorder.planned(request);
  recorder.completed(request, 1000, 201, true, 7, 8);
  for (int i = 0; i < 300; ++i) recorder.error("error " + std::to_string(i));
  recorder.connected(5000);
  Collector collector(2, kTimeoutNs);
  collector.add_totals(recorder);
  collector.add_totals(recorder);
  const Measurement measurement = collector.finish();
  ASSERT_EQ(measurement.routes.size(), 2U);
  EXPECT_EQ(measurement.routes[0].counts.planned, 0U);
  EXPECT_EQ(measurement.routes[1].counts.completed, 2U);
  EXPECT_EQ(measurement.routes[1].response.latencies().finite().count(), 2U);
  EXPECT_EQ(measurement.statuses, (std::map<int, std::uint64_t>{{201, 2}}));
  EXPECT_EQ(measurement.errors.size(), Recorder::kErrorsMost);
  EXPECT_EQ(measurement.errors.at("error 5"), 2U);
  EXPECT_EQ(measurement.connect.latencies().count(), 2U);
}

}  // namespace
}  // namespace tailrace::loadtest
