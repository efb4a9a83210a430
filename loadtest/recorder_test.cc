// The books of a worker are right to the request and to the nanosecond.
#include "loadtest/recorder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <thread>

namespace tailrace::loadtest {
namespace {

Request request(std::int64_t due_ns, std::int64_t taken_up_ns, std::int64_t written_ns,
                std::uint32_t route = 0) {
  Request result;
  result.due.due_ns = due_ns;
  result.due.route = route;
  result.second = second_of(due_ns, 0);
  result.taken_up_ns = taken_up_ns;
  result.written_ns = written_ns;
  return result;
}

struct Taken {
  Handover handover;
  std::vector<std::unique_ptr<RecordedSecond>> from(Recorder& recorder) {
    EXPECT_TRUE(recorder.hand_over(handover, 0));
    return std::exchange(handover.ended, {});
  }
};

TEST(RecorderTest, SpansAddUpToTheResponse) {
  Recorder recorder(1);
  recorder.begin_second(0);
  std::int64_t seed = 1;
  for (int i = 0; i < 1000; ++i) {
    const auto next = [&seed] { return (seed = seed * 48271 % 2147483647) % 5'000'000; };
    const std::int64_t due = 1 + next();
    const std::int64_t up = due + next();
    const std::int64_t written = up + next();
    const Request each = request(due, up, written);
    recorder.planned(each);
    recorder.completed(each, written + next(), 200, true, 10, 20);
  }
  recorder.end_seconds();
  const auto seconds = Taken().from(recorder);
  ASSERT_EQ(seconds.size(), 1U);
  const RecordedSecond& second = *seconds[0];
  EXPECT_EQ(second.response.finite().sum(), second.lateness.finite().sum() +
                                                second.client_queue.finite().sum() +
                                                second.service.finite().sum());
  EXPECT_EQ(second.response.count(), 1000U);
  EXPECT_EQ(second.counts.bytes_sent, 10'000U);
  EXPECT_EQ(second.counts.bytes_received, 20'000U);
}

TEST(RecorderTest, WhatDidNotEndWellIsInfiniteFromWhereItStopped) {
  Recorder recorder(1);
  recorder.begin_second(0);
  const Request unsent = request(100, 130, 0);
  const Request sent = request(100, 130, 150);
  for (int i = 0; i < 4; ++i) recorder.planned(i < 2 ? unsent : sent);
  recorder.dropped(unsent);
  recorder.timed_out(unsent, 0, 0, /*overdue=*/true);
  recorder.timed_out(sent, 5, 1);
  recorder.failed(sent, 5, 2);
  recorder.end_seconds();
  const auto seconds = Taken().from(recorder);
  ASSERT_EQ(seconds.size(), 1U);
  const RecordedSecond& second = *seconds[0];
  EXPECT_EQ(second.counts, (Counts{.planned = 4,
                                   .sent = 2,
                                   .completed = 0,
                                   .succeeded = 0,
                                   .dropped = 1,
                                   .timed_out = 2,
                                   .failed = 1,
                                   .bytes_sent = 10,
                                   .bytes_received = 3}));
  EXPECT_EQ(second.overdue, 1U);
  EXPECT_EQ(second.response.infinite(), 4U);
  EXPECT_EQ(second.response.finite().count(), 0U);
  EXPECT_EQ(second.lateness.finite().count(), 4U);
  EXPECT_EQ(second.lateness.finite().max(), 30U);
  EXPECT_EQ(second.client_queue.infinite(), 2U);
  EXPECT_EQ(second.client_queue.finite().count(), 2U);
  EXPECT_EQ(second.service.infinite(), 2U);
  EXPECT_EQ(second.service.finite().count(), 0U);
}

TEST(RecorderTest, MoreThanOnePercentInfiniteMakesP99Infinite) {
  for (const int bad : {1, 2}) {
    Recorder recorder(1);
    recorder.begin_second(0);
    for (int i = 0; i < 100; ++i) {
      const Request each = request(i, i, i < bad ? 0 : i);
      recorder.planned(each);
      i < bad ? recorder.dropped(each) : recorder.completed(each, i + 50, 200, true, 1, 1);
    }
    recorder.end_seconds();
    const auto seconds = Taken().from(recorder);
    EXPECT_EQ(std::isinf(seconds.at(0)->response.percentile_ns(99)), bad == 2);
    EXPECT_EQ(seconds.at(0)->response.percentile_ns(98), 50);
  }
}

TEST(RecorderTest, HandsASecondOverWhenItsLastRequestHasEnded) {
  Recorder recorder(1);
  Taken taken;
  recorder.begin_second(0);
  const Request slow = request(5, 5, 5);
  recorder.planned(slow);
  EXPECT_TRUE(taken.from(recorder).empty());
  recorder.begin_second(1);
  const Request quick = request(kSecondNs + 5, kSecondNs + 5, kSecondNs + 5);
  recorder.planned(quick);
  recorder.completed(quick, kSecondNs + 9, 200, true, 1, 1);
  recorder.begin_second(2);
  EXPECT_TRUE(taken.from(recorder).empty()) << "second 0 has not ended, and 1 comes after it";
  EXPECT_EQ(taken.handover.so_far.planned, 2U);
  EXPECT_EQ(taken.handover.so_far.completed, 1U);
  recorder.completed(slow, 2 * kSecondNs, 200, true, 1, 1);
  const auto seconds = taken.from(recorder);
  ASSERT_EQ(seconds.size(), 2U);
  EXPECT_EQ(seconds[0]->number, 0);
  EXPECT_EQ(seconds[1]->number, 1);
  EXPECT_EQ(seconds[0]->counts.completed, 1U);
  EXPECT_EQ(taken.handover.so_far.completed, 2U);
  recorder.end_seconds();
  EXPECT_EQ(taken.from(recorder).size(), 1U);
}

TEST(RecorderTest, OpenedAheadIsNotEnded) {
  Recorder recorder(1);
  Taken taken;
  recorder.open_until(3);
  EXPECT_TRUE(taken.from(recorder).empty());
  recorder.busy(2, 0.5);
  recorder.begin_second(3);
  const auto seconds = taken.from(recorder);
  ASSERT_EQ(seconds.size(), 3U);
  EXPECT_EQ(seconds[2]->busy, 0.5);
}

TEST(RecorderTest, UsesClearedSecondsAgain) {
  Recorder recorder(1);
  Handover handover;
  std::vector<const RecordedSecond*> seen;
  for (int i = 0; i < 20; ++i) {
    recorder.begin_second(i);
    ASSERT_TRUE(recorder.hand_over(handover, 0));
    for (auto& second : handover.ended) {
      seen.push_back(second.get());
      second->clear();
      handover.blank.push_back(std::move(second));
    }
    handover.ended.clear();
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_LE(std::unique(seen.begin(), seen.end()) - seen.begin(), 4);
}

TEST(RecorderTest, TheWarmUpIsNotRecorded) {
  Recorder recorder(1);
  recorder.begin_second(-1);
  const Request early = request(-5, -5, -5);
  EXPECT_EQ(early.second, -1);
  recorder.planned(early);
  recorder.begin_second(0);
  recorder.completed(early, 10, 200, true, 1, 1);
  recorder.end_seconds();
  const auto seconds = Taken().from(recorder);
  ASSERT_EQ(seconds.size(), 1U);
  EXPECT_EQ(seconds[0]->counts, Counts{});
  EXPECT_EQ(recorder.routes()[0]->counts, Counts{});
  EXPECT_TRUE(recorder.statuses().empty());
}

TEST(RecorderTest, WhatIsLeftOutWasNeverPlanned) {
  Recorder recorder(2);
  recorder.begin_second(0);
  const Request each = request(1, 2, 3, 1);
  recorder.planned(each);
  recorder.planned(each);
  recorder.left_out(each);
  recorder.completed(each, 9, 404, false, 1, 1);
  recorder.end_seconds();
  const auto seconds = Taken().from(recorder);
  ASSERT_EQ(seconds.size(), 1U);
  EXPECT_EQ(seconds[0]->counts.planned, 1U);
  EXPECT_EQ(seconds[0]->counts.completed, 1U);
  EXPECT_EQ(seconds[0]->counts.succeeded, 0U);
  EXPECT_EQ(recorder.routes()[0]->counts, Counts{});
  EXPECT_EQ(recorder.routes()[1]->counts, seconds[0]->counts);
  EXPECT_EQ(recorder.statuses(), (std::map<int, std::uint64_t>{{404, 1}}));
}

TEST(RecorderTest, ErrorsAreBounded) {
  Recorder recorder(1);
  for (int i = 0; i < 1000; ++i) recorder.error("error " + std::to_string(i % 500));
  EXPECT_EQ(recorder.errors().size(), Recorder::kErrorsMost);
  EXPECT_EQ(recorder.errors().at("error 0"), 2U);
  std::uint64_t all = 0;
  for (const auto& [message, times] : recorder.errors()) all += times;
  EXPECT_EQ(all, 1000U);
}

TEST(RecorderTest, DoesNotWaitForTheOtherSide) {
  Recorder recorder(1);
  Handover handover;
  const std::lock_guard held(handover.mutex);
  bool handed_over = true;
  std::thread([&] { handed_over = recorder.hand_over(handover, 0); }).join();
  EXPECT_FALSE(handed_over);
}

TEST(RequestTest, SecondsAreCountedFromTheOrigin) {
  EXPECT_EQ(second_of(100, 100), 0);
  EXPECT_EQ(second_of(99, 100), -1);
  EXPECT_EQ(second_of(100 - kSecondNs, 100), -1);
  EXPECT_EQ(second_of(99 - kSecondNs, 100), -2);
  EXPECT_EQ(second_of(99 + kSecondNs, 100), 0);
  EXPECT_EQ(second_of(100 + kSecondNs, 100), 1);
}

}  // namespace
}  // namespace tailrace::loadtest
