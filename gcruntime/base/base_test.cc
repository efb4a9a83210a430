// Checks abort with their text and values; the spin lock excludes and lets its holder run; the
// thread-local words are each thread's own.
#include <gtest/gtest.h>

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/base/check.h"
#include "gcruntime/base/spin_lock.h"
#include "gcruntime/base/thread_state.h"

namespace {
thread_local std::atomic<int>* yields_of_this_thread = nullptr;
}

// In front of the C library's, for the whole test program: counts for the thread that asks for it.
extern "C" int sched_yield() noexcept {
  if (yields_of_this_thread != nullptr) {
    yields_of_this_thread->fetch_add(1, std::memory_order_relaxed);
  }
  return static_cast<int>(::syscall(SYS_sched_yield));
}

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

// The holder may wait for the very processor on which somebody waits for the lock.
TEST(SpinLock, WhoeverWaitsForLongGivesUpItsProcessor) {
  SpinLock lock;
  std::atomic<int> yields{0};
  lock.lock();
  std::thread waiting([&] {
    yields_of_this_thread = &yields;
    const std::lock_guard guard(lock);
    yields_of_this_thread = nullptr;
  });
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (yields == 0 && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
  lock.unlock();
  waiting.join();
  EXPECT_GT(yields, 0);
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
