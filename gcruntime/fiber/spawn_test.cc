// Stacks of a size of one's own: from the smallest to the largest, under code that needs them.
#if defined(__GNUC__) && !defined(__clang__)
// In <regex>, where sanitizers' code keeps g++ 12 from seeing what is initialised.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <gtest/gtest.h>

#include <numeric>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

#include "gcruntime/base/annotations.h"
#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/fiber/stack_pool.h"

namespace tailrace::fiber {
namespace {

using SpawnTest = FiberTest;
TAILRACE_FIBER_TESTS(SpawnTest);

// Uses about 1 KiB of stack per level.
TAILRACE_NOINLINE std::uint64_t descend(int levels) {
  volatile char bytes[1024];
  for (volatile char& byte : bytes) byte = static_cast<char>(levels);
  if (levels == 0) return 0;
  return descend(levels - 1) + static_cast<unsigned char>(bytes[levels % 1024]);
}

std::size_t stack_bytes_of(Scheduler& scheduler, const std::string& name) {
  for (const FiberInfo& info : scheduler.dump(1000)) {
    if (info.name == name) return info.stack_bytes;
  }
  return 0;
}

TEST_P(SpawnTest, EachSizeHoldsWhatItSays) {
  run([&] {
    std::vector<JoinHandle> handles;
    std::atomic<unsigned> ran{0};
    for (unsigned size_class = 0; size_class < StackPool::kClasses; ++size_class) {
      SpawnOptions options;
      // Not a power of two: rounded up.
      options.stack_bytes = StackPool::class_bytes(size_class) - 100;
      options.name = "sized";
      JoinHandle handle = spawn(options, [&, size_class] {
        EXPECT_EQ(stack_bytes_of(scheduler(), "sized"), StackPool::class_bytes(size_class));
        // Half of it; sanitizers' frames are several times as large.
        const auto kib = static_cast<int>(StackPool::class_bytes(size_class) / 1024);
        const std::uint64_t before = descend(TAILRACE_ASAN || TAILRACE_TSAN ? kib / 16 : kib / 2);
        yield();
        EXPECT_EQ(descend(TAILRACE_ASAN || TAILRACE_TSAN ? kib / 16 : kib / 2), before);
        ++ran;
      });
      EXPECT_TRUE(handle.joinable());
      handle.join();
      EXPECT_FALSE(handle.joinable());
    }
    EXPECT_EQ(ran, StackPool::kClasses);
  });
}

TEST_P(SpawnTest, RegularExpressionsNeedALargeStack) {
  // std::regex recurses for each character: megabytes for a long text.
  run([&] {
    SpawnOptions options;
    options.stack_bytes = 8 << 20;
    const std::string text(TAILRACE_ASAN || TAILRACE_TSAN ? 2'000 : 4'000, 'a');
    bool matched = false;
    std::vector<JoinHandle> handles;
    for (int i = 0; i < 3; ++i) {
      handles.push_back(spawn(options, [&] {
        const bool found = std::regex_match(text, std::regex("(a|b)*"));
        yield();
        if (found) matched = true;
      }));
      handles.back().join();
    }
    EXPECT_TRUE(matched);
  });
}

TEST_P(SpawnTest, LargeCapturesLieOnLargeStacks) {
  struct Block {
    std::uint32_t words[64 * 1024];
  };
  run([&] {
    SpawnOptions options;
    options.stack_bytes = 4 << 20;
    spawn(options, [&] {
      Block block;
      std::iota(std::begin(block.words), std::end(block.words), 3u);
      std::uint64_t sum = 0;
      spawn(options, [block, &sum] {
        yield();
        sum = std::accumulate(std::begin(block.words), std::end(block.words), std::uint64_t{0});
      }).join();
      EXPECT_EQ(sum, std::uint64_t{64 * 1024} * (64 * 1024 - 1) / 2 + 3 * 64 * 1024);
    }).join();
  });
}

using SpawnDeathTest = FiberTest;
INSTANTIATE_TEST_SUITE_P(Workers, SpawnDeathTest, testing::Values(1u), worker_name);

TEST_P(SpawnDeathTest, OverTheLargestIsAMistake) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  SpawnOptions options;
  options.stack_bytes = (8 << 20) + 1;
  EXPECT_DEATH(scheduler().spawn(options, [] {}).join(), "at most 8 MiB");
}

TEST_P(SpawnDeathTest, AMoveToTheStackThatThrowsIsAMistake) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  struct SecondMoveThrows {
    SecondMoveThrows() = default;
    // NOLINTNEXTLINE(bugprone-exception-escape,performance-noexcept-move-constructor): the point
    SecondMoveThrows(SecondMoveThrows&& other) : moves(other.moves + 1) {
      if (moves == 2) throw std::runtime_error("moved");
    }
    void operator()() const {}
    int moves = 0;
  };
  EXPECT_DEATH(scheduler().spawn(SecondMoveThrows{}).join(), "move that does not throw");
}

}  // namespace
}  // namespace tailrace::fiber
