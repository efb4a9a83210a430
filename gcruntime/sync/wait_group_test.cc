#include "gcruntime/sync/wait_group.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/fiber/fiber_fixture.h"

namespace tailrace::fiber {
namespace {

using WaitGroupTest = FiberTest;
TAILRACE_FIBER_TESTS(WaitGroupTest);

TEST_P(WaitGroupTest, WaitsForAllAndMayBeUsedAgain) {
  SchedulerOptions options;
  options.perturb_seed = base::test_seed(3);
  SCOPED_TRACE("TAILRACE_SEED=" + std::to_string(options.perturb_seed));
  start(options);
  run([] {
    WaitGroup group;
    group.wait();
    for (int round = 0; round < 200; ++round) {
      int written[8] = {};
      group.add(8);
      for (int i = 0; i < 8; ++i) {
        spawn([&, i] {
          if (i % 2 == 0) yield();
          written[i] = round + 1;
          group.done();
        });
      }
      group.wait();
      for (int value : written) EXPECT_EQ(value, round + 1);
    }
  });
}

TEST_P(WaitGroupTest, LetsManyGoAndMayBeGoneAtOnce) {
  run([] {
    for (int round = 0; round < 300; ++round) {
      std::atomic<int> woken{0};
      WaitGroup waiting;
      waiting.add(3);
      std::optional<WaitGroup> group(std::in_place);
      group->add(1);
      for (int i = 0; i < 3; ++i) {
        spawn([&] {
          group->wait();
          ++woken;
          waiting.done();
        });
      }
      spawn([&] { group->done(); });
      waiting.wait();
      EXPECT_EQ(woken, 3);
      group.reset();
    }
  });
}

// A new round begins when all who waited in the one before have returned, whoever of them was last.
TEST_P(WaitGroupTest, RoundsOfManyWaiters) {
  run([] {
    WaitGroup group;
    WaitGroup returned;
    for (int round = 0; round < 200; ++round) {
      group.add(2);
      std::atomic<int> done{0};
      returned.add(4);
      for (int i = 0; i < 4; ++i) {
        spawn([&] {
          group.wait();
          EXPECT_EQ(done, 2);
          returned.done();
        });
      }
      for (int i = 0; i < 2; ++i) {
        spawn([&] {
          yield();
          ++done;
          group.done();
        });
      }
      returned.wait();
    }
  });
}

TEST_P(WaitGroupTest, ThreadsWaitAndAreWaitedFor) {
  WaitGroup group;
  group.add(2);
  scheduler();
  std::thread thread([&] { group.done(); });
  run([&] {
    spawn([&] {
      sleep_for_ns(1'000'000);
      group.done();
    });
  });
  group.wait();
  thread.join();
}

TEST_P(WaitGroupTest, AGroupJoinsItsFibers) {
  run([] {
    std::atomic<int> sum{0};
    {
      Group group;
      for (int i = 1; i <= 50; ++i) {
        group.go([&sum, i] {
          yield();
          sum += i;
        });
      }
      group.wait();
      EXPECT_EQ(sum, 1275);
      group.go({.name = "late"}, [&sum] { sum += 1; });
    }
    EXPECT_EQ(sum, 1276);
  });
}

TEST_P(WaitGroupTest, WhatAGroupsFunctionCapturedEndsBeforeWaitReturns) {
  struct Captured {
    explicit Captured(std::atomic<bool>* when_ended) : ended(when_ended) {}
    Captured(Captured&& other) noexcept : ended(std::exchange(other.ended, nullptr)) {}
    ~Captured() {
      if (ended == nullptr) return;
      const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(2);
      while (std::chrono::steady_clock::now() < until) {
      }
      ended->store(true);
    }
    std::atomic<bool>* ended;
  };
  run([] {
    for (int turn = 0; turn < 20; ++turn) {
      std::atomic<bool> ended{false};
      Group group;
      group.go([captured = Captured(&ended)] { yield(); });
      group.wait();
      EXPECT_TRUE(ended);
    }
  });
}

TEST_P(WaitGroupTest, AFunctionThatCannotBeCopiedIsNotWaitedFor) {
  struct Throws {
    Throws() = default;
    Throws(const Throws&) { throw std::runtime_error("copied"); }
    Throws(Throws&&) noexcept {}
    void operator()() const {}
  };
  run([] {
    Group group;
    const Throws throws;
    EXPECT_THROW(group.go(throws), std::runtime_error);
  });
}

using WaitGroupDeathTest = FiberTest;
INSTANTIATE_TEST_SUITE_P(Workers, WaitGroupDeathTest, testing::Values(1u), worker_name);

TEST_P(WaitGroupDeathTest, MisuseStops) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(WaitGroup().done(), "more often");
  EXPECT_DEATH(WaitGroup().add(1), "count is not zero");
}

}  // namespace
}  // namespace tailrace::fiber
