// Stacks at rest give back their pages, keep what their fibers hold, and lose nothing to a fiber
// that is resumed at the same moment.
#include "gcruntime/fiber/stack_trimmer.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

#include "gcruntime/base/annotations.h"
#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/collect.h"

namespace tailrace::fiber {
namespace {

using TrimTest = FiberTest;
TAILRACE_FIBER_TESTS(TrimTest);

constexpr std::size_t kPageBytes = 4096;

bool publish_fiber(Fiber* fiber, void* place) {
  static_cast<std::atomic<Fiber*>*>(place)->store(fiber);
  return true;
}

// Touches that much of the stack below the caller.
TAILRACE_NOINLINE void touch(std::size_t bytes) {
  volatile char page[kPageBytes];
  page[0] = 1;
  page[kPageBytes - 1] = 1;
  if (bytes > kPageBytes) touch(bytes - kPageBytes);
  asm volatile("" : : "r"(page) : "memory");
}

std::size_t resident_bytes(const Fiber* fiber) {
  return StackPool::resident_pages(fiber->stack.low, fiber->stack.high) * kPageBytes;
}
// What a parked fiber uses, in pages; a fiber that calls little below its base: 8 KiB.
std::size_t used_bytes(Fiber* fiber) {
  const auto sp = reinterpret_cast<std::uintptr_t>(fiber->saved_sp.load()) - 128;
  return reinterpret_cast<std::uintptr_t>(fiber->stack.high) - (sp & ~(kPageBytes - 1));
}

// Sanitizers' frames are several times as large, and so is the depth that recursion reaches.
constexpr std::size_t kDeep = TAILRACE_ASAN || TAILRACE_TSAN ? 96 * 1024 : 200 * 1024;

SchedulerOptions with_tick(std::int64_t every_ns) {
  SchedulerOptions options;
  options.trim_every_ns = every_ns;
  return options;
}

TEST_P(TrimTest, ADeepFiberIsBackToItsOwnAfterTwoParkedCycles) {
  start(with_tick(3'600'000'000'000));  // the cycles alone
  run([&] {
    std::atomic<Fiber*> place{nullptr};
    JoinHandle deep = spawn([&] {
      touch(kDeep);
      park(WaitReason::kOther, publish_fiber, &place);
      touch(kDeep);  // and it may grow again
    });
    ASSERT_TRUE(yield_until([&] { return place.load() != nullptr; }));
    Fiber* fiber = place;
    ASSERT_GE(resident_bytes(fiber), kDeep);
    gc::collect();
    gc::collect();
    // Cycles in a quick row count as one.
    EXPECT_TRUE(yield_until([&] {
      sleep_for_ns(20'000'000);
      gc::collect();
      return resident_bytes(fiber) <= used_bytes(fiber);
    }));
    if (!TAILRACE_ASAN && !TAILRACE_TSAN) {
      EXPECT_LE(resident_bytes(fiber), 8u * 1024);
    }
    // They are counted when they have gone.
    EXPECT_TRUE(
        yield_until([&] { return scheduler().stats().stack_bytes_trimmed >= kDeep - 8 * 1024; }));
    const SchedulerStats stats = scheduler().stats();
    EXPECT_GE(stats.stacks_trimmed, 1u);
    EXPECT_GE(stats.stack_faults, kDeep / kPageBytes);
    ready(fiber);
    deep.join();
  });
}

// A fiber that has used its stack and is parked then; null if it never was.
JoinHandle park_deep(std::atomic<Fiber*>& place) {
  JoinHandle deep = spawn([&place] {
    touch(kDeep);
    park(WaitReason::kOther, publish_fiber, &place);
  });
  static_cast<void>(yield_until([&] { return place.load() != nullptr; }));
  return deep;
}

TEST_P(TrimTest, WithoutCyclesTheTickDoesIt) {
  start(with_tick(1'000'000));
  run([&] {
    std::atomic<Fiber*> place{nullptr};
    JoinHandle deep = park_deep(place);
    ASSERT_NE(place.load(), nullptr);
    Fiber* fiber = place;
    EXPECT_TRUE(yield_until([&] { return resident_bytes(fiber) <= used_bytes(fiber); }));
    ready(fiber);
    deep.join();
  });
}

TEST_P(TrimTest, IdleWarmStacksAreTrimmedToo) {
  start(with_tick(1'000'000));
  const Fiber* fiber = nullptr;
  run([&] {
    spawn([&] {
      fiber = current();
      touch(kDeep);
    }).join();
  });
  // Its record stays in a warm pool.
  EXPECT_TRUE(spin_until([&] { return resident_bytes(fiber) <= 8 * 1024; }));
  run([&] {
    for (int i = 0; i < 10; ++i) spawn([] { touch(kDeep); }).join();
  });
}

TEST_P(TrimTest, WithoutATickNothingIsTrimmed) {
  start(with_tick(0));
  run([&] {
    std::atomic<Fiber*> place{nullptr};
    JoinHandle deep = park_deep(place);
    ASSERT_NE(place.load(), nullptr);
    gc::collect();
    gc::collect();
    EXPECT_GE(resident_bytes(place), kDeep);
    ready(place);
    deep.join();
  });
  EXPECT_EQ(scheduler().stats().stacks_trimmed, 0u);
}

// Frames of that many pages, each full of `value` until all have been looked at: what a trim takes
// from a stack that runs is missing here.
TAILRACE_NOINLINE bool fill_and_look(unsigned pages, unsigned value) {
  volatile unsigned words[kPageBytes / sizeof(unsigned)];
  for (volatile unsigned& word : words) word = value;
  bool right = pages == 0 || fill_and_look(pages - 1, value + 1);
  for (volatile unsigned& word : words) right &= word == value;
  return right;
}

// A tick so quick that fibers are resumed while their stacks are claimed and trimmed, and windows
// widened by the seed. They look at what lies above and below the pointer that was saved; captures
// come on stacks that were idle.
TEST_P(TrimTest, NothingIsLostToAFiberThatIsResumedMeanwhile) {
  SchedulerOptions options = with_tick(10'000);
  options.perturb_seed = 7;
  start(options);
  run([&] {
    std::vector<JoinHandle> handles;
    for (unsigned id = 0; id < 32; ++id) {
      handles.push_back(spawn([id] {
        std::array<unsigned, 700> kept;
        for (unsigned turn = 0; turn < 250; ++turn) {
          kept.fill(id * 1000 + turn);
          for (unsigned yields = (turn + id) % 8; yields > 0; --yields) yield();
          sleep_for_ns(turn % 8 == 0 ? 1'000'000 : 1000);
          ASSERT_TRUE(fill_and_look(turn % 8, turn));
          for (const unsigned word : kept) ASSERT_EQ(word, id * 1000 + turn);
          if (turn % 4 != 0) continue;
          std::array<unsigned, 3000> capture;
          capture.fill(turn);
          spawn([capture, turn] {
            for (const unsigned word : capture) ASSERT_EQ(word, turn);
            ASSERT_TRUE(fill_and_look(3, turn));
          }).join();
        }
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
  });
  EXPECT_GE(scheduler().stats().stacks_trimmed, 1u);
}

}  // namespace
}  // namespace tailrace::fiber
