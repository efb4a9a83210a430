// The lines about limits that do not fit: when they come, what they say, and that they come once.
#include "server/limit_warnings.h"

#include <gtest/gtest.h>

namespace tailrace::http {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

std::string text_of(LimitWarning kind, const LimitFacts& facts) {
  return warning_of(kind, facts).value_or("");
}

TEST(LimitWarnings, TheDefaultsGiveNone) {
  LimitWarnings warnings;
  EXPECT_TRUE(warnings.look({}).empty());
  EXPECT_TRUE(warnings.look({.live_bytes = 5000 * kMiB}).empty());
  EXPECT_TRUE(warnings
                  .look({.memory_limit = 230 * kMiB,
                         .live_bytes = 60 * kMiB,
                         .max_procs = 2,
                         .group = {.cpus = 1.5, .memory_bytes = 256 * kMiB}})
                  .empty());
}

TEST(LimitWarnings, PercentOffNeedsALimit) {
  EXPECT_EQ(
      text_of(LimitWarning::kNoBound, {.gc_percent = -1}),
      "gc-percent is off and there is no memory limit, so nothing starts a cycle and the heap "
      "grows until the process is killed; give --memory-limit SIZE, or --gc-percent N");
  EXPECT_EQ(text_of(LimitWarning::kNoBound, {.gc_percent = -1, .memory_limit = kMiB}), "");
  EXPECT_EQ(text_of(LimitWarning::kNoBound, {.gc_percent = 0}), "");
}

TEST(LimitWarnings, ALimitAboveTheGroups) {
  const CgroupLimits group{.cpus = {}, .memory_bytes = 256 * kMiB};
  EXPECT_EQ(
      text_of(LimitWarning::kAboveGroup, {.memory_limit = 1024 * kMiB, .group = group}),
      "the memory limit of 1.0GiB is above the cgroup's 256.0MiB, so the kernel kills the process "
      "before the collector holds back; give --memory-limit 230MiB, or leave it out");
  EXPECT_EQ(text_of(LimitWarning::kAboveGroup, {.memory_limit = 256 * kMiB, .group = group}), "");
  EXPECT_EQ(text_of(LimitWarning::kAboveGroup, {.group = group}), "");
}

TEST(LimitWarnings, ALimitBelowWhatLives) {
  EXPECT_EQ(
      text_of(LimitWarning::kBelowLive, {.memory_limit = 100 * kMiB, .live_bytes = 95 * kMiB}),
      "the memory limit of 100.0MiB is below 1.1x the 95.0MiB that are live, so cycles follow each "
      "other and requests wait or are answered 503; raise --memory-limit to 105MiB at least, or "
      "keep less");
  EXPECT_EQ(
      text_of(LimitWarning::kBelowLive, {.memory_limit = 110 * kMiB, .live_bytes = 100 * kMiB}),
      "");
  EXPECT_NE(
      text_of(LimitWarning::kBelowLive, {.memory_limit = 110 * kMiB - 1, .live_bytes = 100 * kMiB}),
      "");
  EXPECT_EQ(text_of(LimitWarning::kBelowLive, {.live_bytes = 100 * kMiB}), "");
}

TEST(LimitWarnings, ATightLimitWithAHighPercent) {
  EXPECT_EQ(
      text_of(LimitWarning::kTight,
              {.gc_percent = 400, .memory_limit = 150 * kMiB, .live_bytes = 100 * kMiB}),
      "gc-percent 400 wants 400.0MiB between two cycles, but the memory limit of 150.0MiB leaves "
      "50.0MiB over the 100.0MiB that are live, so cycles come more often than at gc-percent 100; "
      "raise --memory-limit to 201MiB at least, or lower --gc-percent");
  for (const int percent : {-1, 0, 100, 199}) {
    EXPECT_EQ(
        text_of(LimitWarning::kTight,
                {.gc_percent = percent, .memory_limit = 150 * kMiB, .live_bytes = 100 * kMiB}),
        "");
  }
  EXPECT_EQ(text_of(LimitWarning::kTight,
                    {.gc_percent = 400, .memory_limit = 200 * kMiB, .live_bytes = 100 * kMiB}),
            "");
  // Below what lives there is no room at all, and no number below zero.
  EXPECT_NE(text_of(LimitWarning::kTight,
                    {.gc_percent = 400, .memory_limit = 50 * kMiB, .live_bytes = 100 * kMiB})
                .find("leaves 0B over"),
            std::string::npos);
}

TEST(LimitWarnings, MoreWorkersThanTheQuotaFeeds) {
  EXPECT_EQ(
      text_of(LimitWarning::kAboveQuota, {.max_procs = 64, .group = {.cpus = 0.5}}),
      "max-procs 64 is above the cgroup's CPU quota of 0.5, so the kernel stops every thread for a "
      "part of each period; give --max-procs 1, or leave it out");
  EXPECT_NE(text_of(LimitWarning::kAboveQuota, {.max_procs = 3, .group = {.cpus = 1.5}}), "");
  EXPECT_EQ(text_of(LimitWarning::kAboveQuota, {.max_procs = 2, .group = {.cpus = 1.5}}), "");
  EXPECT_EQ(text_of(LimitWarning::kAboveQuota, {.max_procs = 1, .group = {.cpus = 0.1}}), "");
  EXPECT_EQ(text_of(LimitWarning::kAboveQuota, {.max_procs = 64}), "");
}

TEST(LimitWarnings, EachComesOnceUntilItWasBetter) {
  LimitWarnings warnings;
  LimitFacts facts{.memory_limit = 110 * kMiB, .live_bytes = 100 * kMiB};
  EXPECT_EQ(warnings.look(facts).size(), 0u);
  facts.live_bytes = 101 * kMiB;
  EXPECT_EQ(warnings.look(facts).size(), 1u);
  EXPECT_EQ(warnings.look(facts).size(), 0u);
  // To and fro about the bound is not better.
  for (const std::uint64_t live : {100, 101, 99, 105}) {
    facts.live_bytes = live * kMiB;
    EXPECT_EQ(warnings.look(facts).size(), 0u) << live;
  }
  facts.live_bytes = 80 * kMiB;
  EXPECT_EQ(warnings.look(facts).size(), 0u);
  facts.live_bytes = 105 * kMiB;
  const std::vector<std::string> again = warnings.look(facts);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_NE(again[0].find("105.0MiB that are live"), std::string::npos);
}

TEST(LimitWarnings, SeveralAtOnce) {
  LimitWarnings warnings;
  const LimitFacts facts{.gc_percent = 1000,
                         .memory_limit = 300 * kMiB,
                         .live_bytes = 290 * kMiB,
                         .max_procs = 4,
                         .group = {.cpus = 2.0, .memory_bytes = 256 * kMiB}};
  EXPECT_EQ(warnings.look(facts).size(), 4u);
  EXPECT_EQ(warnings.look(facts).size(), 0u);
}

// Sums of sizes near the end of what 64 bits hold.
TEST(LimitWarnings, HugeFiguresDoNotOverflow) {
  const std::uint64_t huge = std::uint64_t{1} << 62;
  EXPECT_NE(text_of(LimitWarning::kBelowLive, {.memory_limit = huge, .live_bytes = huge}), "");
  EXPECT_EQ(text_of(LimitWarning::kBelowLive, {.memory_limit = huge, .live_bytes = huge / 2}), "");
}

}  // namespace
}  // namespace tailrace::http
