// The gctrace line against lines that Go printed, and its parts at the borders of the format.
#include "gcruntime/gc/gctrace.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <iterator>
#include <string>

namespace tailrace::gc {
namespace {

// As printed by a program of Go 1.26 under GODEBUG=gctrace=1; the last one is made up, for large numbers.
constexpr const char* kGoLines[] = {
    "gc 1 @0.003s 4%: 0.054+0.79+0.056 ms clock, 0.21+0.054/0.52/0.97+0.22 ms cpu, 3->4->2 MB, "
    "4 MB goal, 0 MB stacks, 0 MB globals, 4 P\n",
    "gc 4 @0.014s 8%: 0.024+1.7+0.041 ms clock, 0.097+0/1.5/2.9+0.16 ms cpu, 9->10->7 MB, 11 MB "
    "goal, 0 MB stacks, 0 MB globals, 4 P\n",
    "gc 6 @0.026s 9%: 0.034+2.8+0.003 ms clock, 0.13+0/2.8/2.7+0.014 ms cpu, 17->17->12 MB, 21 MB "
    "goal, 0 MB stacks, 0 MB globals, 4 P (forced)\n",
    "gc 9 @0.071s 9%: 0.030+7.3+0.071 ms clock, 0.12+0.43/7.0/13+0.28 ms cpu, 46->52->38 MB, "
    "54 MB goal, 0 MB stacks, 0 MB globals, 4 P\n",
    "gc 11 @0.117s 8%: 0.036+10+0.051 ms clock, 0.14+0.052/10/20+0.20 ms cpu, 71->77->61 MB, "
    "84 MB goal, 0 MB stacks, 0 MB globals, 4 P\n",
    "gc 1204 @3725.018s 0%: 0+145+0.001 ms clock, 0.010+0/1234/0+0 ms cpu, 2047->2100->1024 MB, "
    "2048 MB goal, 3 MB stacks, 1 MB globals, 16 P\n",
};

// One pattern for every line, and nothing after it but " (forced)".
CycleTrace parse(const char* line) {
  CycleTrace cycle;
  double since_start = 0;
  unsigned percent = 0;
  double ms[8] = {};
  unsigned long long mb[6] = {};
  unsigned long long number = 0;
  int end = 0;
  const int fields = std::sscanf(
      line,
      "gc %llu @%lfs %u%%: %lf+%lf+%lf ms clock, %lf+%lf/%lf/%lf+%lf ms cpu, %llu->%llu->%llu MB, "
      "%llu MB goal, %llu MB stacks, %llu MB globals, %u P%n",
      &number, &since_start, &percent, &ms[0], &ms[1], &ms[2], &ms[3], &ms[4], &ms[5], &ms[6],
      &ms[7], &mb[0], &mb[1], &mb[2], &mb[3], &mb[4], &mb[5], &cycle.procs, &end);
  EXPECT_EQ(fields, 18) << line;
  const std::string rest(line + end);
  cycle.forced = rest == " (forced)\n";
  EXPECT_TRUE(cycle.forced || rest == "\n") << line;
  cycle.number = number;
  cycle.since_start_ns = std::llround(since_start * 1e9);
  cycle.gc_cpu_fraction = percent / 100.0 + 0.001;
  std::int64_t* const times[] = {
      &cycle.begin_ns,      &cycle.mark_ns,           &cycle.end_ns,      &cycle.begin_cpu_ns,
      &cycle.assist_cpu_ns, &cycle.background_cpu_ns, &cycle.idle_cpu_ns, &cycle.end_cpu_ns};
  for (std::size_t i = 0; i < std::size(times); ++i) *times[i] = std::llround(ms[i] * 1e6);
  std::uint64_t* const sizes[] = {&cycle.heap_at_begin, &cycle.heap_at_end, &cycle.heap_live,
                                  &cycle.goal,          &cycle.stacks,      &cycle.globals};
  for (std::size_t i = 0; i < std::size(sizes); ++i) *sizes[i] = std::uint64_t{mb[i]} << 20;
  return cycle;
}

TEST(Gctrace, WritesTheNumbersOfGosLinesAsGoDid) {
  for (const char* line : kGoLines) EXPECT_EQ(format_gctrace(parse(line)), line);
}

TEST(Gctrace, MillisecondsHaveTwoDigitsThatCount) {
  const struct {
    std::int64_t ns;
    const char* text;
  } kCases[] = {{0, "0"},
                {999, "0"},
                {1000, "0.001"},
                {18'999, "0.018"},
                {99'999, "0.099"},
                {100'000, "0.10"},
                {999'999, "0.99"},
                {1'000'000, "1.0"},
                {1'399'999, "1.3"},
                {9'999'999, "9.9"},
                {10'000'000, "10"},
                {12'900'000, "12"},
                {123'456'789'000, "123456"},
                {-5, "0"}};
  for (const auto& each : kCases) {
    CycleTrace cycle;
    cycle.mark_ns = each.ns;
    EXPECT_EQ(format_gctrace(cycle),
              "gc 0 @0.000s 0%: 0+" + std::string(each.text) +
                  "+0 ms clock, 0+0/0/0+0 ms cpu, 0->0->0 MB, 0 MB goal, 0 MB stacks, 0 MB "
                  "globals, 1 P\n");
  }
}

TEST(Gctrace, PercentAndMegabytesAreCutOff) {
  CycleTrace cycle;
  cycle.number = 7;
  cycle.since_start_ns = 1'999'999'999;
  cycle.gc_cpu_fraction = 0.0799;
  cycle.heap_at_begin = (std::uint64_t{5} << 20) - 1;
  cycle.goal = UINT64_MAX;
  EXPECT_EQ(format_gctrace(cycle),
            "gc 7 @1.999s 7%: 0+0+0 ms clock, 0+0/0/0+0 ms cpu, 4->0->0 MB, 17592186044415 MB "
            "goal, 0 MB stacks, 0 MB globals, 1 P\n");
}

TEST(Gctrace, PrintsOneLine) {
  CycleTrace cycle;
  cycle.number = 3;
  ::testing::internal::CaptureStderr();
  print_gctrace(cycle);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), format_gctrace(cycle));
}

}  // namespace
}  // namespace tailrace::gc
