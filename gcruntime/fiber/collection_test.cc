// Fibers and the collector: what a fiber holds in whatever state survives a collection, threads are
// stopped at any place between switches, and each fiber's allocations are counted as its own.
#include <gtest/gtest.h>

#include <vector>

#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/fiber/fiber_record.h"
#include "gcruntime/fiber/test_pattern.h"
#include "gcruntime/gc/allocate.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/heap/size_class.h"

namespace tailrace::fiber {
namespace {

using CollectionTest = FiberTest;
TAILRACE_FIBER_TESTS(CollectionTest);

bool publish_fiber(Fiber* fiber, void* place) {
  static_cast<std::atomic<Fiber*>*>(place)->store(fiber);
  return true;
}

TEST_P(CollectionTest, ParkedReadyAndNewFibersKeepWhatTheyHold) {
  run([&] {
    for (int round = 0; round < 5; ++round) {
      std::atomic<Fiber*> parked{nullptr};
      std::atomic<bool> collected{false};
      JoinHandle holds_parked = spawn([&] {
        unsigned char* object = make_pattern(1);
        park(WaitReason::kOther, publish_fiber, &parked);
        EXPECT_TRUE(has_pattern(object, 1));
      });
      JoinHandle holds_yielding = spawn([&] {
        unsigned char* object = make_pattern(2);
        EXPECT_TRUE(yield_until([&] { return collected.load(); }));
        EXPECT_TRUE(has_pattern(object, 2));
      });
      ASSERT_TRUE(yield_until([&] { return parked.load() != nullptr; }));
      // Held by nothing but the captures of fibers that have not begun.
      std::vector<JoinHandle> captured;
      for (unsigned char value = 10; value < 40; ++value) {
        captured.push_back(spawn(
            [object = make_pattern(value), value] { EXPECT_TRUE(has_pattern(object, value)); }));
      }
      gc::collect();
      reuse_freed_slots();
      collected = true;
      ready(parked.load());
      holds_parked.join();
      holds_yielding.join();
      for (JoinHandle& handle : captured) handle.join();
    }
  });
}

TEST_P(CollectionTest, ThreadsAreStoppedAnywhereBetweenSwitches) {
  // Fibers switch, spawn, park and sleep as fast as they can, each with one object of its own,
  // while a thread outside collects without pause.
  std::atomic<bool> done{false};
  std::atomic<int> cycles{0};
  scheduler();
  std::thread collector([&] {
    gc::ThreadScope attached;
    while (!done || cycles < 20) {
      gc::collect();
      ++cycles;
    }
  });
  run([&] {
    std::vector<JoinHandle> handles;
    for (unsigned char id = 1; id <= 24; ++id) {
      handles.push_back(spawn([&, id] {
        unsigned char* object = make_pattern(id);
        for (int turn = 0; turn < 150 || cycles < 20; ++turn) {
          yield();
          ASSERT_TRUE(has_pattern(object, id));
          object = make_pattern(id);
          if (turn % 16 == 0) {
            spawn([object, id] { EXPECT_TRUE(has_pattern(object, id)); }).join();
          }
          if (turn % 64 == 0) sleep_for_ns(1000);
          ASSERT_TRUE(has_pattern(object, id));
        }
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
  });
  done = true;
  collector.join();
}

// Spins with the stack pointer there until it is told to go on; nothing is written to that stack.
TAILRACE_NOINLINE void wait_at(const char* stack_pointer, std::atomic<int>& arrived,
                               const std::atomic<int>& go_on) {
  asm volatile(
      "movq %%rsp, %%rbx\n\t"
      "movq %0, %%rsp\n\t"
      "movl $1, (%1)\n"
      "1:\tpause\n\t"
      "cmpl $0, (%2)\n\t"
      "je 1b\n\t"
      "movq %%rbx, %%rsp"
      :
      : "r"(stack_pointer), "r"(&arrived), "r"(&go_on)
      : "rbx", "cc", "memory");
}

TEST_P(CollectionTest, AStackThatIsUsedToItsEndIsNotScannedBeyondIt) {
  TAILRACE_SKIP_WITHOUT_STOP_SIGNALS();
  scheduler();
  std::atomic<int> arrived{0};
  std::atomic<int> go_on{0};
  std::thread collector([&] {
    gc::ThreadScope attached;
    EXPECT_TRUE(spin_until([&] { return arrived.load() != 0; }));
    gc::collect();
    go_on = 1;
  });
  run([&] {
    unsigned char* object = make_pattern(7);
    // A red zone there would reach into the guard page.
    wait_at(current()->stack.low + 16, arrived, go_on);
    EXPECT_TRUE(has_pattern(object, 7));
  });
  collector.join();
}

#if TAILRACE_DCHECKS
using CollectionDeathTest = FiberTest;
INSTANTIATE_TEST_SUITE_P(Workers, CollectionDeathTest, testing::Values(1u), worker_name);

// The collector scans the frame that entered the scope until it returns.
TEST_P(CollectionDeathTest, AFiberDoesNotSuspendInANativeScope) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(run([] { gc::native([] { yield(); }); }), "suspends in a native scope");
}
#endif

TEST_P(CollectionTest, AllocationsAreCountedPerFiber) {
  const std::uint64_t slot = heap::kSizeClassTable[heap::size_class_of(kPatternBytes)].bytes;
  run([&] {
    std::vector<JoinHandle> handles;
    for (int id = 0; id < 10; ++id) {
      handles.push_back(spawn([&, id] {
        EXPECT_EQ(alloc_counts().objects, 0u);
        for (int i = 1; i <= 100; ++i) {
          for (int k = 0; k < id; ++k) make_pattern(0);
          yield();
          const gc::AllocCounts counts = alloc_counts();
          EXPECT_EQ(counts.objects, static_cast<std::uint64_t>(id * i));
          EXPECT_EQ(counts.bytes, slot * static_cast<std::uint64_t>(id * i));
        }
        gc::allocate_noscan(100'000);
        yield();
        EXPECT_EQ(alloc_counts().large_objects, 1u);
        EXPECT_GE(alloc_counts().large_bytes, 100'000u);
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
    EXPECT_EQ(alloc_counts().objects, 0u);
  });
  EXPECT_EQ(alloc_counts().objects, 0u);  // an unattached thread
  std::thread([&] {
    gc::ThreadScope attached;
    const gc::AllocCounts before = alloc_counts();
    make_pattern(1);
    EXPECT_EQ((alloc_counts() - before).objects, 1u);
  }).join();
}

}  // namespace
}  // namespace tailrace::fiber
