// Spawning, joining, yielding, parking; what a fiber keeps over a switch and what it must not.
#include "gcruntime/fiber/fiber.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <exception>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "gcruntime/base/annotations.h"
#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/fiber/stack_pool.h"

namespace tailrace::fiber {
namespace {

TAILRACE_FIBER_TESTS(FiberTest);

TEST_P(FiberTest, RunsAndJoinsFromThreadAndFromFiber) {
  int value = 0;
  run([&] {
    EXPECT_NE(current(), nullptr);
    JoinHandle child = spawn([&] { value = 7; });
    EXPECT_TRUE(child.joinable());
    child.join();
    EXPECT_FALSE(child.joinable());
    EXPECT_EQ(value, 7);
    value = 8;
  });
  EXPECT_EQ(value, 8);
  EXPECT_EQ(current(), nullptr);
}

TEST_P(FiberTest, JoinAfterTheEndReturnsAtOnce) {
  run([] {
    std::atomic<bool> ended{false};
    JoinHandle child = spawn([&] { ended = true; });
    ASSERT_TRUE(yield_until([&] { return ended.load(); }));
    child.join();
  });
}

TEST_P(FiberTest, DroppedAndMovedHandlesLeaveTheFiberRunning) {
  std::atomic<int> ran{0};
  run([&] {
    spawn([&] { ++ran; });
    JoinHandle first = spawn([&] { ++ran; });
    JoinHandle second = std::move(first);
    EXPECT_FALSE(first.joinable());  // NOLINT(bugprone-use-after-move): it is defined, and tested
    first = spawn([&] { ++ran; });
    second = std::move(first);  // drops the one it had
    second.join();
    EXPECT_TRUE(yield_until([&] { return ran == 3; }));
  });
}

TEST_P(FiberTest, CountsWhatIsAlive) {
  run([] {
    EXPECT_EQ(count(), 1u);
    std::atomic<bool> go{false};
    JoinHandle child = spawn([&] { yield_until([&] { return go.load(); }); });
    EXPECT_EQ(count(), 2u);
    go = true;
    child.join();
    EXPECT_EQ(count(), 1u);
  });
}

TEST_P(FiberTest, HundredThousandSpawns) {
  std::atomic<std::uint64_t> sum{0};
  // ThreadSanitizer needs most of a millisecond for each.
  constexpr int kTotal = TAILRACE_TSAN ? 5'000 : 100'000;
  constexpr int kAlive = 1000;
  run([&] {
    std::vector<JoinHandle> handles;
    for (int i = 0; i < kTotal; ++i) {
      handles.push_back(spawn([&sum, i] { sum += static_cast<std::uint64_t>(i); }));
      if (handles.size() == kAlive) {
        for (JoinHandle& handle : handles) handle.join();
        handles.clear();
      }
    }
    for (JoinHandle& handle : handles) handle.join();
  });
  EXPECT_EQ(sum, std::uint64_t{kTotal} * (kTotal - 1) / 2);
  EXPECT_EQ(scheduler().stats().fibers_created, kTotal + 1u);
}

TEST_P(FiberTest, CapturesAreMovedAlignedAndDestroyedOnce) {
  struct alignas(64) Wide {
    std::array<std::uint64_t, 100> words{};
  };
  auto counted = std::make_shared<int>(1);
  std::weak_ptr<int> watch = counted;
  Wide wide;
  std::iota(wide.words.begin(), wide.words.end(), 5u);
  std::uint64_t sum = 0;
  std::uintptr_t address = 1;
  run([&, wide, owned = std::make_unique<int>(3), counted = std::move(counted)] {
    yield();
    sum = std::accumulate(wide.words.begin(), wide.words.end(), std::uint64_t{0}) +
          static_cast<std::uint64_t>(*owned + *counted);
    address = reinterpret_cast<std::uintptr_t>(&wide);
  });
  EXPECT_EQ(sum, 100u * 5 + 99 * 100 / 2 + 4);
  EXPECT_EQ(address % 64, 0u);
  EXPECT_TRUE(watch.expired());
}

TEST_P(FiberTest, YieldGivesEverybodyATurn) {
  // Sixteen fibers yield until all have had 1000 turns. On one worker the turns are strictly in
  // order.
  constexpr int kFibers = 16;
  constexpr int kTurns = 1000;
  std::array<std::atomic<int>, kFibers> turns{};
  int largest_gap = 0;
  run([&] {
    std::vector<JoinHandle> handles;
    std::atomic<bool> go{false};
    for (int id = 0; id < kFibers; ++id) {
      handles.push_back(spawn([&, id] {
        yield_until([&] { return go.load(); });
        for (int turn = 0; turn < kTurns; ++turn) {
          ++turns[static_cast<std::size_t>(id)];
          if (workers() == 1) {
            for (auto& other : turns) largest_gap = std::max(largest_gap, turn + 1 - other.load());
          }
          yield();
        }
      }));
    }
    go = true;
    for (JoinHandle& handle : handles) handle.join();
  });
  for (auto& each : turns) EXPECT_EQ(each, kTurns);
  // One turn ahead within a round, one more for a trip through the global queue.
  EXPECT_LE(largest_gap, 2);
}

// --- park and ready ------------------------------------------------------------------------------

bool publish_fiber(Fiber* fiber, void* place) {
  static_cast<std::atomic<Fiber*>*>(place)->store(fiber);
  return true;
}

TEST_P(FiberTest, CommitThatReturnsFalseGoesOnAtOnce) {
  run([] {
    int calls = 0;
    park(
        WaitReason::kOther,
        [](Fiber* fiber, void* argument) {
          EXPECT_NE(fiber, nullptr);
          EXPECT_EQ(current(), nullptr);  // on the scheduler context
          ++*static_cast<int*>(argument);
          return false;
        },
        &calls);
    EXPECT_EQ(calls, 1);
  });
}

TEST_P(FiberTest, WakeFromAThreadNeverComesBeforeTheSwitch) {
  constexpr int kRounds = 20'000;
  std::atomic<Fiber*> place{nullptr};
  std::atomic<bool> done{false};
  std::thread waker([&] {
    while (!done) {
      if (Fiber* fiber = place.exchange(nullptr)) ready(fiber);
    }
  });
  run([&] {
    for (int round = 0; round < kRounds; ++round) park(WaitReason::kOther, publish_fiber, &place);
  });
  done = true;
  waker.join();
  EXPECT_GE(scheduler().stats().switches, static_cast<std::uint64_t>(kRounds));
}

TEST_P(FiberTest, PingPongOfManyPairsAcrossWorkers) {
  constexpr int kPairs = 8;
  constexpr int kRounds = 3000;
  run([&] {
    struct Pair {
      std::atomic<Fiber*> parked{nullptr};
      int rounds = 0;
    };
    std::vector<Pair> pairs(kPairs);
    std::vector<JoinHandle> handles;
    for (Pair& pair : pairs) {
      handles.push_back(spawn([&pair] {
        for (int i = 0; i < kRounds; ++i) {
          park(WaitReason::kOther, publish_fiber, &pair.parked);
          ++pair.rounds;
        }
      }));
      handles.push_back(spawn([&pair] {
        for (int i = 0; i < kRounds; ++i) {
          Fiber* fiber = nullptr;
          while ((fiber = pair.parked.exchange(nullptr)) == nullptr) yield();
          ready(fiber);
        }
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
    for (Pair& pair : pairs) EXPECT_EQ(pair.rounds, kRounds);
  });
}

TEST_P(FiberTest, SurvivesPerturbedSchedules) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SchedulerOptions options;
    options.perturb_seed = seed;
    Scheduler& perturbed = start(options);
    std::atomic<int> sum{0};
    perturbed.run([&] {
      std::vector<JoinHandle> handles;
      for (int i = 0; i < 100; ++i) {
        handles.push_back(spawn([&sum] {
          for (int turn = 0; turn < 20; ++turn) {
            spawn([&sum] { ++sum; }).join();
            yield();
          }
        }));
      }
      for (JoinHandle& handle : handles) handle.join();
    });
    EXPECT_EQ(sum, 2000) << "seed " << seed;
  }
}

// --- What belongs to the thread ------------------------------------------------------------------

thread_local int thread_mark = -1;
TAILRACE_NOINLINE int read_thread_mark() {
  int* mark = &thread_mark;
  asm volatile("" : "+r"(mark) : : "memory");
  return *mark;
}
TAILRACE_NOINLINE void write_thread_mark(int value) {
  int* mark = &thread_mark;
  asm volatile("" : "+r"(mark) : : "memory");
  *mark = value;
}
TAILRACE_NOINLINE int* errno_address() {
  int* address = &errno;
  asm volatile("" : "+r"(address) : : "memory");
  return address;
}

// Runs `body(number)` on 16 fibers, `rounds` times each and on until some of its suspensions
// changed the worker; body says whether they did.
template <typename Body>
void run_with_migrations(Scheduler& scheduler, int rounds, Body&& body) {
  std::atomic<int> migrations{0};
  const int enough = scheduler.workers() > 1 ? 100 : 0;
  const auto give_up = std::chrono::steady_clock::now() + kGiveUp;
  scheduler.run([&] {
    std::vector<JoinHandle> handles;
    for (int id = 0; id < 16; ++id) {
      handles.push_back(spawn([&, id] {
        for (int round = 0; round < rounds || migrations < enough; ++round) {
          if (std::chrono::steady_clock::now() > give_up) break;
          migrations += body(round * 16 + id);
        }
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
  });
  EXPECT_GE(migrations, enough);
}
SchedulerOptions restless() {
  SchedulerOptions options;
  options.perturb_seed = 20260801;
  return options;
}

TEST_P(FiberTest, ThreadStateIsReadAnewAfterEachSwitch) {
  run_with_migrations(start(restless()), 1000, [](int) {
    const int before = Scheduler::current_worker();
    write_thread_mark(before);
    int* const errno_before = errno_address();
    yield();
    const int after = Scheduler::current_worker();
    // The mark of another thread is another worker's, or untouched.
    const int mark = read_thread_mark();
    EXPECT_TRUE(mark == after || mark == -1) << mark << " on worker " << after;
    EXPECT_EQ(errno_address() == errno_before, before == after);
    return before != after ? 1 : 0;
  });
}

// --- Exceptions ----------------------------------------------------------------------------------

struct Numbered {
  int number;
};

TEST_P(FiberTest, ExceptionsAreRethrownAfterMigratingInsideTheHandler) {
  run_with_migrations(start(restless()), 10'000 / 16, [](int number) {
    const int before = Scheduler::current_worker();
    int migrated = 0;
    try {
      try {
        throw Numbered{number};
      } catch (...) {
        EXPECT_NE(std::current_exception(), nullptr);
        yield();
        migrated = Scheduler::current_worker() != before ? 1 : 0;
        try {
          throw std::runtime_error("inner");
        } catch (const std::runtime_error&) {
          yield();
        }
        throw;
      }
    } catch (const Numbered& caught) {
      EXPECT_EQ(caught.number, number);
      yield();
      EXPECT_EQ(caught.number, number);
    }
    EXPECT_EQ(std::current_exception(), nullptr);
    EXPECT_EQ(std::uncaught_exceptions(), 0);
    return migrated;
  });
}

TEST_P(FiberTest, NobodySeesAnothersException) {
  run([] {
    std::atomic<bool> handling{false};
    std::atomic<bool> looked{false};
    JoinHandle thrower = spawn([&] {
      try {
        throw Numbered{1};
      } catch (const Numbered&) {
        handling = true;
        EXPECT_TRUE(yield_until([&] { return looked.load(); }));
        EXPECT_NE(std::current_exception(), nullptr);
      }
    });
    EXPECT_TRUE(yield_until([&] { return handling.load(); }));
    EXPECT_EQ(std::current_exception(), nullptr);
    EXPECT_EQ(std::uncaught_exceptions(), 0);
    looked = true;
    thrower.join();
  });
}

TEST_P(FiberTest, DestructorsMaySuspendWhileAnExceptionPasses) {
  run_with_migrations(start(restless()), 200, [](int number) {
    struct Suspends {
      int* in_flight;
      ~Suspends() {
        yield();
        *in_flight = std::uncaught_exceptions();
      }
    };
    const int before = Scheduler::current_worker();
    int in_flight = 0;
    try {
      Suspends guard{&in_flight};
      throw Numbered{number};
    } catch (const Numbered& caught) {
      EXPECT_EQ(caught.number, number);
    }
    EXPECT_EQ(in_flight, 1);
    return Scheduler::current_worker() != before ? 1 : 0;
  });
}

using FiberDeathTest = FiberTest;
INSTANTIATE_TEST_SUITE_P(Workers, FiberDeathTest, testing::Values(1u, 2u), worker_name);

TEST_P(FiberDeathTest, ExceptionThatLeavesAFiberNamesIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        SpawnOptions options;
        options.name = "careless";
        scheduler().spawn(options, [] { throw std::runtime_error("the reason"); }).join();
      },
      "an exception left fiber careless: the reason");
}

TEST_P(FiberDeathTest, SuspendingWithoutAFiberIsABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(yield(), "on a thread without a fiber");
}

// --- Stacks --------------------------------------------------------------------------------------

// Uses about 1 KiB of stack per level and touches all of it, so that no guard is jumped over.
TAILRACE_NOINLINE std::uint64_t descend(int levels) {
  volatile char bytes[1024];
  for (volatile char& byte : bytes) byte = static_cast<char>(levels);
  if (levels == 0) return 0;
  return descend(levels - 1) + static_cast<unsigned char>(bytes[levels % 1024]);
}

TEST_P(FiberTest, BigStackHoldsADeepRecursion) {
  run([] {
    SpawnOptions options;
    options.stack_bytes = 4 << 20;
    std::uint64_t sum = 0;
    // Sanitizers make frames several times as large.
    spawn(options, [&] { sum = descend(TAILRACE_ASAN ? 800 : 3000); }).join();
    EXPECT_GT(sum, 0u);
  });
}

TEST_P(FiberTest, SmallStacksAreRoundedUpToAClass) {
  std::atomic<int> ran{0};
  run([&] {
    SpawnOptions options;
    options.stack_bytes = 20'000;
    options.name = "small";
    for (int i = 0; i < 100; ++i) {
      spawn(options, [&] {
        yield();
        ++ran;
      }).join();
    }
    EXPECT_GE(scheduler().stats().stack_bytes_in_use, 256u * 1024);
  });
  EXPECT_EQ(ran, 100);
}

TEST_P(FiberDeathTest, OverflowNamesTheFiberAndItsStack) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  SpawnOptions options;
  options.name = "too-deep";
  options.stack_bytes = 64 * 1024;
  EXPECT_DEATH(scheduler().spawn(options, [] { descend(100'000); }).join(),
               "fiber too-deep overflowed its stack of 64 KiB");
}

TEST_P(FiberTest, DumpNamesFibersAndWhatTheyWaitFor) {
  run([&] {
    std::atomic<Fiber*> place{nullptr};
    SpawnOptions options;
    options.name = "waiting-one";
    JoinHandle handle = spawn(options, [&] { park(WaitReason::kChannel, publish_fiber, &place); });
    ASSERT_TRUE(yield_until([&] { return place.load() != nullptr; }));
    bool found = false;
    for (const FiberInfo& info : scheduler().dump(1000)) {
      if (std::string(info.name) != "waiting-one") continue;
      found = true;
      EXPECT_EQ(info.state, FiberState::kParked);
      EXPECT_EQ(info.reason, WaitReason::kChannel);
      EXPECT_GT(info.stack_used_bytes, 0u);
      EXPECT_LT(info.stack_used_bytes, info.stack_bytes);
    }
    EXPECT_TRUE(found);
    EXPECT_EQ(scheduler().dump(1).size(), 1u);
    ready(place.load());
    handle.join();
  });
}

}  // namespace
}  // namespace tailrace::fiber
