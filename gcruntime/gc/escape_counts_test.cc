// The tables behind the escape report: bounds, merging, many threads; and when an alarm is due.
#include "gcruntime/gc/escape_counts.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/gc/escape_watch.h"

namespace tailrace::gc::internal {
namespace {

TEST(EscapeLabels, EqualTextsHaveOneNumber) {
  const auto labels = std::make_unique<EscapeLabels>();
  const std::string one = "GET /a";
  const std::string other = "GET /a";
  const unsigned number = labels->number_of(one.c_str());
  EXPECT_EQ(number, 1u);
  EXPECT_EQ(labels->number_of(other.c_str()), number);
  EXPECT_EQ(labels->number_of(one.c_str()), number);
  EXPECT_EQ(labels->number_of(""), 2u);
  EXPECT_EQ(labels->count(), 2u);
  EXPECT_STREQ(labels->text(number), "GET /a");
}

TEST(EscapeLabels, ThoseBeyondTheBoundAreNumberZero) {
  const auto labels = std::make_unique<EscapeLabels>();
  std::vector<std::string> texts;
  for (unsigned i = 0; i < EscapeLabels::kMost + 50; ++i)
    texts.push_back("label " + std::to_string(i));
  for (int round = 0; round < 2; ++round) {
    for (unsigned i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(labels->number_of(texts[i].c_str()), i < EscapeLabels::kMost ? i + 1 : 0);
    }
  }
  // More addresses than the table has room for: their texts are still known.
  std::vector<std::unique_ptr<std::string>> copies;
  for (unsigned i = 0; i < 4000; ++i) {
    copies.push_back(std::make_unique<std::string>(texts[i % 10]));
    EXPECT_EQ(labels->number_of(copies.back()->c_str()), i % 10 + 1);
  }
  EXPECT_EQ(labels->count(), EscapeLabels::kMost);
}

TEST(EscapeCounts, EveryThreadsArenasAreSummed) {
  const auto counts = std::make_unique<EscapeCounts>();
  constexpr unsigned kThreads = 70;  // more than there are shards
  constexpr unsigned kArenas = 200;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&counts, t] {
      for (unsigned i = 0; i < kArenas; ++i) {
        counts->add_arena(t % 2 + 1, {1, 1000, 10, t % 2 == 0 ? 0u : 100u, t % 2});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  constexpr std::uint64_t kEach = kThreads / 2 * kArenas;
  const ArenaSums clean = counts->sums(1);
  EXPECT_EQ(clean.arenas, kEach);
  EXPECT_EQ(clean.bytes, kEach * 1000);
  EXPECT_EQ(clean.objects, kEach * 10);
  EXPECT_EQ(clean.faded_bytes, 0u);
  EXPECT_EQ(clean.faded_objects, 0u);
  const ArenaSums leaky = counts->sums(2);
  EXPECT_EQ(leaky.arenas, kEach);
  EXPECT_EQ(leaky.faded_bytes, kEach * 100);
  EXPECT_EQ(leaky.faded_objects, kEach);
  EXPECT_EQ(counts->sums(3).arenas, 0u);
}

TEST(EscapeCounts, WhoLosesMuchIsToldToLook) {
  const auto counts = std::make_unique<EscapeCounts>();
  int looks = 0;
  for (std::uint64_t faded = 0; faded < 10 * EscapeCounts::kLookBytes; faded += 1024) {
    looks += counts->add_arena(1, {1, 100'000, 1, 1024, 1}) ? 1 : 0;
    EXPECT_FALSE(counts->add_arena(2, {1, 100'000, 1, 0, 0}));
  }
  EXPECT_EQ(looks, 10);
  EXPECT_TRUE(counts->add_arena(3, {1, 100'000, 1, EscapeCounts::kLookBytes, 1}));
}

using Key = std::pair<std::pair<unsigned, std::uint16_t>, const void*>;
std::map<Key, EscapeSums> places_of(const EscapeCounts& counts) {
  std::map<Key, EscapeSums> places;
  counts.for_each_place([&](const EscapePlace& place, const EscapeSums& sums) {
    EscapeSums& all = places[{{place.label, place.type}, place.site}];
    all.stores += sums.stores;
    all.bytes += sums.bytes;
    all.objects += sums.objects;
  });
  return places;
}
const void* code(std::uintptr_t address) { return reinterpret_cast<const void*>(address); }

TEST(EscapeCounts, EscapesOfManyThreadsAreSummedByPlace) {
  const auto counts = std::make_unique<EscapeCounts>();
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&counts] {
      for (unsigned i = 0; i < 6000; ++i) {
        // 60 places that differ by one part of the key each.
        counts->add_escape(
            {1 + i % 3, static_cast<std::uint16_t>(i % 5), code(0x1000 + i % 4 * 16)}, i % 7, 2);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto places = places_of(*counts);
  ASSERT_EQ(places.size(), 60u);
  EscapeSums all;
  for (const auto& [key, sums] : places) {
    EXPECT_EQ(sums.stores, 400u);
    EXPECT_EQ(sums.objects, 800u);
    all.bytes += sums.bytes;
  }
  std::uint64_t expected = 0;
  for (unsigned i = 0; i < 6000; ++i) expected += i % 7;
  EXPECT_EQ(all.bytes, 4 * expected);
  EXPECT_EQ(counts->others().stores, 0u);
}

TEST(EscapeCounts, WhatFindsNoRoomIsCountedTogether) {
  const auto counts = std::make_unique<EscapeCounts>();
  constexpr unsigned kPlaces = 3 * EscapeCounts::kMostPlaces;
  for (int round = 0; round < 2; ++round) {
    for (unsigned i = 0; i < kPlaces; ++i)
      counts->add_escape({1, 7, code(0x400000 + i * 5)}, 10, 1);
  }
  const auto places = places_of(*counts);
  EXPECT_LE(places.size(), EscapeCounts::kMostPlaces);
  EXPECT_GE(places.size(), EscapeCounts::kMostPlaces * 9 / 10);
  const EscapeSums others = counts->others();
  EXPECT_EQ(others.stores, 2 * (kPlaces - places.size()));
  EXPECT_EQ(others.bytes, 10 * others.stores);
  for (const auto& [key, sums] : places) EXPECT_EQ(sums.stores, 2u);
}

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::int64_t kSecond = 1'000'000'000;

class EscapeWatchTest : public testing::Test {
 protected:
  // More arenas come to their end; the alarm's share, or 0.
  double after(std::uint64_t bytes, std::uint64_t faded_bytes, std::int64_t seconds) {
    sums_.bytes += bytes;
    sums_.faded_bytes += faded_bytes;
    now_ns_ += seconds * kSecond;
    return watch_.judge(sums_, now_ns_).value_or(0);
  }

  EscapeWatch watch_;
  ArenaSums sums_;
  std::int64_t now_ns_ = 5 * kSecond;
};

TEST_F(EscapeWatchTest, AlarmsOverAQuarterOfAMebibyte) {
  EXPECT_EQ(after(kMiB - 1, kMiB - 1, 1), 0);
  EXPECT_EQ(after(1, 1, 1), 1);
}
TEST_F(EscapeWatchTest, AQuarterIsNotTooMuch) {
  EXPECT_EQ(after(4 * kMiB, kMiB, 1), 0);
  EXPECT_NEAR(after(4 * kMiB, kMiB + 4096, 1), 0.25, 0.001);
}
TEST_F(EscapeWatchTest, OnceAMinuteWithTheShareSinceTheLast) {
  EXPECT_DOUBLE_EQ(after(2 * kMiB, kMiB, 1), 0.5);
  EXPECT_EQ(after(2 * kMiB, 2 * kMiB, 30), 0);
  EXPECT_EQ(after(2 * kMiB, 2 * kMiB, 29), 0);
  EXPECT_DOUBLE_EQ(after(4 * kMiB, 0, 1), 0.5);
  EXPECT_EQ(after(4 * kMiB, 4 * kMiB, 1), 0);
}
TEST_F(EscapeWatchTest, AfterAGoodMinuteABadOneIsSeen) {
  EXPECT_DOUBLE_EQ(after(2 * kMiB, kMiB, 1), 0.5);
  EXPECT_EQ(after(1000 * kMiB, kMiB, 60), 0);
  EXPECT_EQ(after(1000 * kMiB, kMiB, 59), 0);
  EXPECT_EQ(after(1000 * kMiB, kMiB, 1), 0);  // the span begins anew
  EXPECT_DOUBLE_EQ(after(4 * kMiB, 2 * kMiB, 1), 0.5);
}
TEST_F(EscapeWatchTest, ARareLabelIsJudgedOverALongerTime) {
  double share = 0;
  for (int minute = 0; minute < 10 && share == 0; ++minute) {
    share = after(kMiB / 4, kMiB / 8, 60);
    EXPECT_EQ(share != 0, minute == 3);
  }
  EXPECT_DOUBLE_EQ(share, 0.5);
}

}  // namespace
}  // namespace tailrace::gc::internal
