// A lock of a thread held over a suspension is named where locks are counted; what may be held, and
// what is released in time, is not.
#include "gcruntime/fiber/held_locks.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "gcruntime/fiber/fiber_fixture.h"

namespace tailrace::fiber {
namespace {

using HeldLocksTest = FiberTest;
INSTANTIATE_TEST_SUITE_P(Workers, HeldLocksTest, testing::Values(2u), worker_name);

// Locks by pthread_..._clock..., which GCC 12's ThreadSanitizer does not know: there by pthread_..._timed...
auto soon() {
  if constexpr (TAILRACE_TSAN) {
    return std::chrono::system_clock::now() + std::chrono::seconds(1);
  } else {
    return std::chrono::milliseconds(1);
  }
}

TEST_P(HeldLocksTest, ReleasedLocksAllocationAndOutputDoNotDisturb) {
  run([&] {
    std::mutex mutex;
    std::recursive_timed_mutex recursive;
    std::shared_mutex shared;
    std::shared_timed_mutex timed;
    for (int turn = 0; turn < 100; ++turn) {
      {
        std::lock_guard lock(mutex);
        bool taken = true;
        std::thread([&] { taken = mutex.try_lock(); }).join();
        EXPECT_FALSE(taken);
      }
      {
        std::unique_lock first(recursive, soon());
        std::lock_guard second(recursive);
      }
      {
        std::shared_lock read(shared);
        EXPECT_FALSE(shared.try_lock());
      }
      {
        std::unique_lock write(timed, soon());
        EXPECT_EQ(locks_held(), TAILRACE_COUNTS_LOCKS);
      }
      {
        std::shared_lock read(timed, std::chrono::system_clock::now() + std::chrono::seconds(1));
        EXPECT_EQ(locks_held(), TAILRACE_COUNTS_LOCKS);
      }
      std::unique_ptr<char[]> memory(new char[1 << (turn % 20)]);
      std::fputs("", stderr);
      EXPECT_EQ(locks_held(), 0);
      yield();
      spawn([] {}).join();
    }
  });
}

TEST_P(HeldLocksTest, AConditionsWaitKeepsTheCount) {
  std::mutex mutex;
  std::condition_variable condition;
  std::unique_lock lock(mutex);
  const int before = locks_held();
  condition.wait_for(lock, std::chrono::milliseconds(1));
  EXPECT_EQ(locks_held(), before);
  lock.unlock();
  EXPECT_EQ(locks_held(), 0);
  EXPECT_EQ(before, TAILRACE_COUNTS_LOCKS);
}

#if TAILRACE_COUNTS_LOCKS

// What a library finds that is opened later. Were our names not exported, its locks would go past.
TEST(HeldLocks, LibrariesFindOurFunctionsFirst) {
  void* const program = ::dlopen(nullptr, RTLD_NOW);
  ASSERT_NE(program, nullptr);
  for (const char* name : {"pthread_mutex_lock", "pthread_mutex_unlock", "pthread_mutex_trylock",
                           "pthread_rwlock_wrlock", "pthread_rwlock_unlock"}) {
    Dl_info found{};
    Dl_info ours{};
    ASSERT_NE(::dladdr(::dlsym(program, name), &found), 0) << name;
    ASSERT_NE(::dladdr(reinterpret_cast<void*>(&held_over_switch), &ours), 0);
    EXPECT_EQ(found.dli_fbase, ours.dli_fbase) << name << " is that of " << found.dli_fname;
  }
  ::dlclose(program);
}

using HeldLocksDeathTest = FiberTest;
INSTANTIATE_TEST_SUITE_P(Workers, HeldLocksDeathTest, testing::Values(1u), worker_name);

TEST_P(HeldLocksDeathTest, AParkedFiberIsNamedWithItsReason) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  std::mutex mutex;
  SpawnOptions options;
  options.name = "careless";
  EXPECT_DEATH(scheduler()
                   .spawn(options,
                          [&] {
                            set_label("GET /users");
                            std::lock_guard lock(mutex);
                            sleep_for_ns(1000);
                          })
                   .join(),
               "fiber careless \\(GET /users\\) waits for a timer while its thread holds 1 ");
}

TEST_P(HeldLocksDeathTest, YieldAndEndAreSuspensionsToo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  std::shared_mutex mutex;
  EXPECT_DEATH(run([&] {
                 std::shared_lock lock(mutex);
                 yield();
               }),
               "fiber fiber yields while its thread holds 1 ");
  EXPECT_DEATH(run([&] { mutex.lock(); }), "fiber fiber ends while its thread holds 1 ");
}

#endif

}  // namespace
}  // namespace tailrace::fiber
