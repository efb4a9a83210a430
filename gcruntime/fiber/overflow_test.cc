// What a stack overflow says, with each kind of guard; and labels.
#include "gcruntime/fiber/overflow.h"

#include <gtest/gtest.h>

#include <cstring>

#include "gcruntime/base/annotations.h"
#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/fiber/stack_pool.h"

namespace tailrace::fiber {
namespace {

using OverflowTest = FiberTest;
using OverflowDeathTest = FiberTest;
INSTANTIATE_TEST_SUITE_P(Workers, OverflowTest, testing::Values(1u, 2u), worker_name);
INSTANTIATE_TEST_SUITE_P(Workers, OverflowDeathTest, testing::Values(1u), worker_name);

// Uses about 1 KiB of stack per level and touches all of it.
TAILRACE_NOINLINE std::uint64_t descend(int levels) {
  volatile char bytes[1024];
  for (volatile char& byte : bytes) byte = static_cast<char>(levels);
  if (levels == 0) return 0;
  return descend(levels - 1) + static_cast<unsigned char>(bytes[levels % 1024]);
}

void overflow(Scheduler& scheduler, const char* label) {
  SpawnOptions options;
  options.name = "too-deep";
  options.stack_bytes = 64 * 1024;
  scheduler
      .spawn(options,
             [label] {
               set_label(label);
               descend(100'000);
             })
      .join();
}

TEST_P(OverflowDeathTest, NamesTheFiberItsLabelAndItsStack) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(overflow(scheduler(), "GET /api/users/{id}"),
               "fiber too-deep \\(GET /api/users/.id.\\) overflowed its stack of 64 KiB, "
               "\\[0x[0-9a-f]+000, 0x[0-9a-f]+0000\\), at 0x[0-9a-f]+: spawn it with a larger");
}

TEST_P(OverflowDeathTest, PrintsInnermostAndOutermostFrames) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  // The number of frames in 64 KiB differs; the first lines, the gap and the close do not.
  EXPECT_DEATH(overflow(scheduler(), "deep"),
               "#0 0x[0-9a-f]+ /[^\n]*\\+0x[0-9a-f]+\n"
               "  #1 0x[0-9a-f]+ /[^\n]*\\+0x[0-9a-f]+\n"
               "(.|\n)*  #23 (.|\n)*addr2line");
}

TEST_P(OverflowDeathTest, ProtectedGuardsSayTheSame) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        StackPoolOptions options;
        options.best = StackPoolOptions::Guards::kProtected;
        StackPool::configure(options);
        overflow(scheduler(), "old kernel");
      },
      "fiber too-deep \\(old kernel\\) overflowed its stack of 64 KiB");
}

TEST_P(OverflowDeathTest, ConfigureComesFirst) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        StackPool::instance();
        StackPool::configure({});
      },
      "before the first scheduler");
}

std::string label_of(Scheduler& scheduler, const std::string& name) {
  for (const FiberInfo& info : scheduler.dump(1000)) {
    if (info.name == name) return info.label;
  }
  return "(not found)";
}

TEST_P(OverflowTest, LabelsAreCutAndEndWithTheFiber) {
  set_label("no fiber here");  // does nothing
  SpawnOptions options;
  options.name = "labelled";
  run([&] {
    for (int turn = 0; turn < 3; ++turn) {
      spawn(options, [&] {
        // A warm record brings no label along.
        EXPECT_EQ(label_of(scheduler(), "labelled"), "");
        set_label("GET /short");
        EXPECT_EQ(label_of(scheduler(), "labelled"), "GET /short");
        set_label("");
        EXPECT_EQ(label_of(scheduler(), "labelled"), "");
        set_label(LabelText("PUT /cut-beforehand"));
        EXPECT_EQ(label_of(scheduler(), "labelled"), "PUT /cut-beforehand");
        clear_label();
        EXPECT_EQ(label_of(scheduler(), "labelled"), "");
        set_label("0123456789012345678901234567890123456789");
        EXPECT_EQ(label_of(scheduler(), "labelled"), "0123456789012345678901234567890");
      }).join();
    }
  });
}

}  // namespace
}  // namespace tailrace::fiber
