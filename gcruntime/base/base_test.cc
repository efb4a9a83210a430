// Checks abort with their text and values; the spin lock excludes; the thread-local words are each thread's
// own.
#include <gtest/gtest.h>

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/base/check.h"
#include "gcruntime/base/spin_lock.h"
#include "gcruntime/base/thread_state.h"

namespace tailrace::base {
namespace {

TEST(CheckDeathTest, AFailedCheckNamesPlaceConditionAndMessage) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const int one = 1;
  EXPECT_DEATH(TAILRACE_CHECK(one == 2, "arithmetic is broken"),
               "base_test.cc:[0-9]+: check failed: one == 2 \\(arithmetic is broken\\)");
  EXPECT_DEATH(TAILRACE_CHECK_VALUE(one == 2, "arithmetic is broken", 255),
               "\\(arithmetic is broken\\) value 255 = 0xff");
  EXPECT_DEATH(check_failed_object("a word", 0x1000, 3, 0xabc),
               "heap check failed: a word; slot 0x1000 word 3 value 0xabc");
  TAILRACE_CHECK(one == 1, "a check that holds does nothing");
}

TEST(CheckDeathTest, LongTextsAreCutAndNotWrittenBeyondTheLine) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const std::string text(5000, 'x');
  EXPECT_DEATH(check_failed("file", 1, text.c_str(), "message"), "file:1: check failed: xxxx");
}

#if TAILRACE_DCHECKS
TEST(CheckDeathTest, DebugChecksAreOnInThisBuild) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(TAILRACE_DCHECK(false, "debug"), "check failed: false \\(debug\\)");
}
#endif

TEST(SpinLock, Excludes) {
  SpinLock lock;
  std::int64_t counter = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        const std::lock_guard guard(lock);
        counter = counter + 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, 60'000);
  EXPECT_TRUE(lock.try_lock());
  EXPECT_FALSE(lock.try_lock());
  lock.unlock();
  EXPECT_TRUE(lock.try_lock());
}

TEST(ThreadState, IsEachThreadsOwn) {
  ASSERT_FALSE(in_section());
  set_section();
  set_pending(true);
  std::thread([] {
    EXPECT_FALSE(in_section());
    EXPECT_FALSE(pending());
    EXPECT_EQ(current_mutator(), nullptr);
    set_pending(true);
  }).join();
  EXPECT_TRUE(in_section());
  EXPECT_TRUE(pending());
  clear_section();
  set_pending(false);
  EXPECT_FALSE(in_section());
  EXPECT_FALSE(pending());
}

}  // namespace
}  // namespace tailrace::base
