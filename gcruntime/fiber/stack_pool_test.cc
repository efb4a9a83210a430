#include "gcruntime/fiber/stack_pool.h"

#include <gtest/gtest.h>

#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "gcruntime/fiber/overflow.h"

namespace tailrace::fiber {
namespace {

TEST(StackPool, ClassesArePowersOfTwo) {
  EXPECT_EQ(StackPool::class_bytes(StackPool::class_of(1)), 16u * 1024);
  EXPECT_EQ(StackPool::class_bytes(StackPool::class_of(16 * 1024)), 16u * 1024);
  EXPECT_EQ(StackPool::class_bytes(StackPool::class_of(16 * 1024 + 1)), 32u * 1024);
  EXPECT_EQ(StackPool::class_bytes(StackPool::class_of(256 * 1024)), 256u * 1024);
  EXPECT_EQ(StackPool::class_of(StackPool::kLargestBytes), StackPool::kClasses - 1);
}

TEST(StackPool, StacksAreWritableAlignedAndApart) {
  StackPool& pool = StackPool::instance();
  std::vector<Stack> stacks;
  for (unsigned size_class = 0; size_class < StackPool::kClasses; ++size_class) {
    for (int i = 0; i < 5; ++i) stacks.push_back(pool.acquire(size_class));
  }
  for (const Stack& stack : stacks) {
    EXPECT_EQ(stack.bytes(), StackPool::class_bytes(stack.size_class) - StackPool::kGuardBytes);
    EXPECT_EQ(
        reinterpret_cast<std::uintptr_t>(stack.high) % StackPool::class_bytes(stack.size_class),
        0u);
    stack.low[0] = 1;
    stack.high[-1] = 2;
  }
  std::sort(stacks.begin(), stacks.end(),
            [](const Stack& a, const Stack& b) { return a.low < b.low; });
  for (std::size_t i = 1; i < stacks.size(); ++i) {
    EXPECT_GE(stacks[i].low - StackPool::kGuardBytes, stacks[i - 1].high);
  }
  for (const Stack& stack : stacks) pool.release(stack);
}

TEST(StackPool, ReleasedStacksComeBackEmpty) {
  StackPool& pool = StackPool::instance();
  const Stack first = pool.acquire(2);
  std::memset(first.low, 0xAB, first.bytes());
  pool.release(first);
  const Stack second = pool.acquire(2);
  EXPECT_EQ(second.low, first.low);  // last in, first out
  EXPECT_TRUE(std::all_of(second.low, second.high, [](char byte) { return byte == 0; }));
  pool.release(second);
}

TEST(StackPool, FindsGuardsAndNothingElse) {
  StackPool& pool = StackPool::instance();
  const Stack stack = pool.acquire(4);
  Stack found;
  EXPECT_TRUE(pool.find_guard(stack.low - 1, found));
  EXPECT_EQ(found.low, stack.low);
  EXPECT_EQ(found.high, stack.high);
  EXPECT_EQ(found.size_class, stack.size_class);
  EXPECT_TRUE(pool.find_guard(stack.low - StackPool::kGuardBytes, found));
  EXPECT_FALSE(pool.find_guard(stack.low, found));
  EXPECT_FALSE(pool.find_guard(stack.high - 1, found));
  EXPECT_FALSE(pool.find_guard(&pool, found));
  EXPECT_TRUE(pool.contains(stack.low));
  EXPECT_FALSE(pool.contains(&found));
  pool.release(stack);
}

// The kernel looks at the byte for us: writing it to a pipe fails if it is a guard.
bool readable(const char* byte) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const bool written = ::write(ends[1], byte, 1) == 1;
  ::close(ends[0]);
  ::close(ends[1]);
  return written;
}

StackPoolOptions small_pool(StackPoolOptions::Guards best) {
  StackPoolOptions options;
  options.best = best;
  options.most_reserved = 64 << 20;
  return options;
}

TEST(StackPool, GuardMarkersAndProtectionGuardAlike) {
  for (const auto best :
       {StackPoolOptions::Guards::kMarkers, StackPoolOptions::Guards::kProtected}) {
    StackPool pool(small_pool(best));
    EXPECT_EQ(pool.bytes_reserved(), std::size_t{64} << 20);
    for (unsigned size_class = 0; size_class < StackPool::kClasses; size_class += 3) {
      const Stack stack = pool.acquire(size_class);
      EXPECT_FALSE(readable(stack.low - 1));
      EXPECT_FALSE(readable(stack.low - StackPool::kGuardBytes));
      EXPECT_TRUE(readable(stack.low));
      EXPECT_TRUE(readable(stack.high - 1));
      pool.release(stack);
      // The guard stays with the slot.
      const Stack again = pool.acquire(size_class);
      EXPECT_EQ(again.low, stack.low);
      EXPECT_FALSE(readable(again.low - 1));
      again.low[0] = 1;
    }
    EXPECT_EQ(pool.unguarded(), 0u);
  }
}

TEST(StackPool, WithoutMappingsLeftStacksGoWithoutGuardAndAreCounted) {
  StackPoolOptions options = small_pool(StackPoolOptions::Guards::kProtected);
  options.max_protected = 3;
  StackPool pool(options);
  testing::internal::CaptureStderr();
  for (int i = 0; i < 5; ++i) {
    const Stack stack = pool.acquire(0);
    EXPECT_EQ(readable(stack.low - 1), i >= 3);
    stack.low[0] = 1;
  }
  EXPECT_EQ(pool.unguarded(), 2u);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("beyond the first 3 have no guard page"), std::string::npos) << said;
  EXPECT_NE(said.find("vm.max_map_count"), std::string::npos);
  EXPECT_EQ(said.find('\n'), said.size() - 1) << "said once";
}

TEST(StackPool, CountsResidentPages) {
  StackPool pool(small_pool(StackPoolOptions::Guards::kMarkers));
  const Stack stack = pool.acquire(9);
  EXPECT_EQ(StackPool::resident_pages(stack.low, stack.high), 0u);
  stack.low[0] = 1;
  stack.high[-1] = 1;
  stack.high[-4097] = 1;
  EXPECT_EQ(StackPool::resident_pages(stack.low, stack.high), 3u);
  EXPECT_EQ(StackPool::resident_pages(stack.low + 4096, stack.high), 2u);
  pool.release(stack);
  EXPECT_EQ(StackPool::resident_pages(stack.low, stack.high), 0u);
}

TEST(StackPoolDeathTest, GuardsFault) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const Stack stack = StackPool::instance().acquire(0);
        *static_cast<volatile char*>(stack.low - 1) = 1;
      },
      "overflowed its stack of 16 KiB");
}

TEST(StackPoolDeathTest, OtherFaultsKeepTheirFormerHandler) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        StackPool::instance();
        // After ours was installed there is no way to tell; so ours is installed behind it again.
        struct sigaction action {};
        action.sa_handler = [](int) {
          static_cast<void>(!::write(2, "former handler\n", 15));
          ::_exit(3);
        };
        ::sigaction(SIGSEGV, &action, nullptr);
        install_overflow_handler();
        volatile std::uintptr_t nowhere = 8;
        *reinterpret_cast<volatile char*>(nowhere) = 1;
      },
      "former handler");
}

}  // namespace
}  // namespace tailrace::fiber
