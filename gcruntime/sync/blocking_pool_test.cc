// Calls that block: results and exceptions come back, workers go on, the pool grows and shrinks,
// and what calls hold survives collections.
#include "gcruntime/sync/blocking_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/fiber/test_pattern.h"
#include "gcruntime/gc/collect.h"

namespace tailrace::fiber {
namespace {

using BlockingTest = FiberTest;
TAILRACE_FIBER_TESTS(BlockingTest);

TEST_P(BlockingTest, ReturnsWhatTheFunctionReturns) {
  run([&] {
    EXPECT_EQ(blocking([] { return 7; }), 7);
    EXPECT_EQ(*blocking([] { return std::make_unique<std::string>("owned"); }), "owned");
    int variable = 1;
    int& reference = blocking([&]() -> int& { return variable; });
    EXPECT_EQ(&reference, &variable);
    bool ran = false;
    blocking([&] { ran = true; });
    EXPECT_TRUE(ran);
  });
}

TEST_P(BlockingTest, RunsOffTheWorkersAndKeepsTheFiber) {
  run([&] {
    Fiber* const self = current();
    const bool on_worker = blocking([] { return Scheduler::current() != nullptr; });
    EXPECT_FALSE(on_worker);
    EXPECT_EQ(current(), self);
    EXPECT_GE(BlockingPool::of(scheduler()).stats().ran, 1u);
  });
}

TEST_P(BlockingTest, OnAPlainThreadItJustRuns) {
  const auto here = std::this_thread::get_id();
  EXPECT_EQ(blocking([] { return std::this_thread::get_id(); }), here);
  EXPECT_THROW(blocking([] { throw std::runtime_error("plain"); }), std::runtime_error);
}

TEST_P(BlockingTest, ExceptionsReachTheCallerAndNobodyElse) {
  run([&] {
    std::vector<JoinHandle> handles;
    for (int id = 0; id < 20; ++id) {
      handles.push_back(spawn([id] {
        for (int turn = 0; turn < 20; ++turn) {
          try {
            blocking([&] {
              if (turn % 2 == 0) throw std::to_string(id);
            });
            EXPECT_EQ(turn % 2, 1);
          } catch (const std::string& text) {
            EXPECT_EQ(text, std::to_string(id));
            // Another one, inside the handler.
            EXPECT_THROW(blocking([] { throw std::runtime_error("inner"); }), std::runtime_error);
            EXPECT_NE(std::current_exception(), nullptr);
          }
          EXPECT_EQ(std::current_exception(), nullptr);
        }
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
  });
}

TEST_P(BlockingTest, TheWorkerGoesOnMeanwhile) {
  // The call ends only when another fiber, on the only worker if there is one, has run.
  run([&] {
    std::atomic<bool> released{false};
    JoinHandle other = spawn([&] { released = true; });
    EXPECT_TRUE(blocking([&] { return spin_until([&] { return released.load(); }); }));
    other.join();
  });
}

TEST_P(BlockingTest, GrowsForCallsThatWaitForEachOther) {
  constexpr int kCalls = 12;
  run([&] {
    std::atomic<int> arrived{0};
    std::vector<JoinHandle> handles;
    for (int i = 0; i < kCalls; ++i) {
      handles.push_back(spawn([&] {
        EXPECT_TRUE(blocking([&] {
          ++arrived;
          return spin_until([&] { return arrived == kCalls; });
        }));
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
    EXPECT_LE(BlockingPool::of(scheduler()).stats().threads, unsigned{kCalls});
  });
}

TEST_P(BlockingTest, BeyondTheBoundCallsWaitInLine) {
  constexpr unsigned kThreads = 3;
  constexpr int kCalls = 40;
  run([&] {
    BlockingPool& pool = BlockingPool::of(scheduler());
    BlockingOptions options;
    options.max_threads = kThreads;
    pool.limit(options);
    std::atomic<bool> go{false};
    std::atomic<unsigned> inside{0};
    std::atomic<unsigned> most{0};
    std::vector<JoinHandle> handles;
    for (int i = 0; i < kCalls; ++i) {
      handles.push_back(spawn([&] {
        blocking([&] {
          const unsigned now = ++inside;
          unsigned before = most;
          while (now > before && !most.compare_exchange_weak(before, now)) {
          }
          EXPECT_TRUE(spin_until([&] { return go.load(); }));
          --inside;
        });
      }));
    }
    EXPECT_TRUE(yield_until([&] { return pool.stats().queued == kCalls - kThreads; }));
    EXPECT_TRUE(yield_until([&] { return inside == kThreads; }));
    EXPECT_EQ(pool.stats().threads, kThreads);
    go = true;
    for (JoinHandle& handle : handles) handle.join();
    EXPECT_EQ(most, kThreads);
    EXPECT_EQ(pool.stats().ran, unsigned{kCalls});
    EXPECT_EQ(pool.stats().queued, 0u);
  });
}

TEST_P(BlockingTest, IdleThreadsEndAndComeBack) {
  run([&] {
    BlockingPool& pool = BlockingPool::of(scheduler());
    BlockingOptions options;
    options.idle_ns = 1'000'000;
    pool.limit(options);
    for (int round = 0; round < 5; ++round) {
      EXPECT_EQ(blocking([&] { return round; }), round);
      EXPECT_TRUE(yield_until([&] { return pool.stats().threads == 0; }));
    }
  });
}

TEST_P(BlockingTest, EndingThreadsMissNoCall) {
  // Idle for as long as nothing: threads retire while calls come in.
  run([&] {
    BlockingPool& pool = BlockingPool::of(scheduler());
    BlockingOptions options;
    options.max_threads = 4;
    options.idle_ns = 1;
    pool.limit(options);
    std::atomic<int> ran{0};
    std::vector<JoinHandle> handles;
    for (int id = 0; id < 8; ++id) {
      handles.push_back(spawn([&] {
        for (int turn = 0; turn < 60; ++turn) {
          blocking([&] { ++ran; });
          yield();
        }
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
    EXPECT_EQ(ran, 8 * 60);
  });
}

TEST_P(BlockingTest, WithoutThreadsCallsRunWhereTheyAre) {
  run([&] {
    BlockingPool& pool = BlockingPool::of(scheduler());
    BlockingOptions options;
    options.max_threads = 0;
    pool.limit(options);
    std::vector<JoinHandle> handles;
    std::atomic<int> on_worker{0};
    for (int i = 0; i < 10; ++i) {
      handles.push_back(spawn([&] {
        blocking([&] { on_worker += Scheduler::current() != nullptr; });
        EXPECT_THROW(blocking([] { throw std::runtime_error("inline"); }), std::runtime_error);
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
    EXPECT_EQ(on_worker, 10);
    EXPECT_EQ(pool.stats().ran_inline, 20u);
    EXPECT_EQ(pool.stats().threads, 0u);
  });
}

// --- A bound that changes, [sync.blocking.limit] --------------------------------------------------

BlockingOptions bound(unsigned max_threads) {
  BlockingOptions options;
  options.max_threads = max_threads;
  options.idle_ns = std::int64_t{3600} * 1'000'000'000;  // none ends for having been idle
  return options;
}
// So many calls at the same time: afterwards the pool has so many threads.
void grow_to(int threads) {
  std::atomic<int> arrived{0};
  std::vector<JoinHandle> handles;
  for (int i = 0; i < threads; ++i) {
    handles.push_back(spawn([&] {
      blocking([&] {
        ++arrived;
        EXPECT_TRUE(spin_until([&] { return arrived == threads; }));
      });
    }));
  }
  for (JoinHandle& handle : handles) handle.join();
}

TEST_P(BlockingTest, ALowerBoundDismissesIdleThreads) {
  run([&] {
    BlockingPool& pool = BlockingPool::of(scheduler());
    for (int round = 0; round < 3; ++round) {
      pool.limit(bound(40));
      grow_to(40);
      EXPECT_TRUE(yield_until([&] { return pool.stats().idle == 40; }));
      pool.limit(bound(3));
      EXPECT_EQ(pool.stats().threads, 3u);
      EXPECT_EQ(pool.stats().idle, 3u);
      EXPECT_FALSE(blocking([] { return Scheduler::current() != nullptr; }));
      pool.limit(bound(0));
      EXPECT_TRUE(yield_until([&] { return pool.stats().threads == 0; }));
      EXPECT_TRUE(blocking([] { return Scheduler::current() != nullptr; }));
    }
  });
}

TEST_P(BlockingTest, ALowerBoundIsReachedThoughTheLineIsNeverEmpty) {
  run([&] {
    BlockingPool& pool = BlockingPool::of(scheduler());
    pool.limit(bound(6));
    std::atomic<bool> enough{false};
    std::vector<JoinHandle> handles;
    for (int i = 0; i < 30; ++i) {
      handles.push_back(spawn([&] {
        while (!enough)
          blocking([] { std::this_thread::sleep_for(std::chrono::microseconds(50)); });
      }));
    }
    EXPECT_TRUE(yield_until([&] { return pool.stats().threads == 6; }));
    pool.limit(bound(2));
    EXPECT_TRUE(yield_until([&] { return pool.stats().threads == 2; }));
    enough = true;
    for (JoinHandle& handle : handles) handle.join();
    EXPECT_EQ(pool.stats().queued, 0u);
  });
}

TEST_P(BlockingTest, ABoundOfNothingLetsTheLineGo) {
  constexpr unsigned kInLine = 10;
  run([&] {
    BlockingPool& pool = BlockingPool::of(scheduler());
    pool.limit(bound(1));
    std::atomic<bool> go{false};
    JoinHandle first =
        spawn([&] { blocking([&] { EXPECT_TRUE(spin_until([&] { return go.load(); })); }); });
    EXPECT_TRUE(yield_until([&] { return pool.stats().threads == 1 && pool.stats().queued == 0; }));
    std::vector<JoinHandle> handles;
    std::atomic<unsigned> on_worker{0};
    for (unsigned i = 0; i < kInLine; ++i) {
      handles.push_back(
          spawn([&] { blocking([&] { on_worker += Scheduler::current() != nullptr ? 1 : 0; }); }));
    }
    EXPECT_TRUE(yield_until([&] { return pool.stats().queued == kInLine; }));
    pool.limit(bound(0));
    for (JoinHandle& handle : handles) handle.join();  // while the only thread is busy
    EXPECT_EQ(on_worker, kInLine);
    go = true;
    first.join();
    EXPECT_TRUE(yield_until([&] { return pool.stats().threads == 0; }));
  });
}

TEST_P(BlockingTest, AHigherBoundServesTheLine) {
  run([&] {
    BlockingPool& pool = BlockingPool::of(scheduler());
    pool.limit(bound(1));
    std::atomic<bool> second{false};
    JoinHandle waits = spawn(
        [&] { EXPECT_TRUE(blocking([&] { return spin_until([&] { return second.load(); }); })); });
    EXPECT_TRUE(yield_until([&] { return pool.stats().threads == 1 && pool.stats().queued == 0; }));
    JoinHandle lets_go = spawn([&] { blocking([&] { second = true; }); });
    EXPECT_TRUE(yield_until([&] { return pool.stats().queued == 1; }));
    pool.limit(bound(2));
    lets_go.join();
    waits.join();
  });
}

TEST_P(BlockingTest, BoundsChangeFromTwoSidesWhileCallsComeAndGo) {
  run([&] {
    BlockingPool& pool = BlockingPool::of(scheduler());
    std::atomic<bool> enough{false};
    std::vector<std::thread> changers;
    for (unsigned changer = 0; changer < 2; ++changer) {
      changers.emplace_back([&, changer] {
        for (unsigned turn = changer; !enough; turn += 1 + changer) {
          BlockingOptions options = bound(turn % 7);
          if (turn % 3 == 0) options.idle_ns = 1000;
          pool.limit(options);
          std::this_thread::yield();
        }
      });
    }
    std::atomic<int> ran{0};
    std::vector<JoinHandle> handles;
    for (int i = 0; i < 12; ++i) {
      handles.push_back(spawn([&] {
        for (int turn = 0; turn < 100; ++turn) {
          blocking([&] { ++ran; });
          yield();
        }
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
    enough = true;
    for (std::thread& changer : changers) changer.join();
    EXPECT_EQ(ran, 12 * 100);
    pool.limit(bound(2));
    EXPECT_TRUE(yield_until([&] {
      const BlockingStats now = pool.stats();
      return now.threads <= 2 && now.threads == now.idle;
    }));
    EXPECT_EQ(pool.stats().queued, 0u);
  });
}

// --- Managed memory ------------------------------------------------------------------------------

void collect_and_reuse() {
  gc::collect();
  reuse_freed_slots();
}

TEST_P(BlockingTest, WhatCallsHoldSurvivesCollections) {
  run([&] {
    std::vector<JoinHandle> handles;
    std::atomic<int> holding{0};
    std::atomic<bool> collected{false};
    for (int i = 0; i < 6; ++i) {
      handles.push_back(spawn([&, i] {
        const auto value = static_cast<unsigned char>(i + 1);
        unsigned char* caller_holds = make_pattern(value);
        unsigned char* returned = blocking([&] {
          unsigned char* thread_holds = make_pattern(static_cast<unsigned char>(value + 100));
          ++holding;
          EXPECT_TRUE(spin_until([&] { return collected.load(); }));
          EXPECT_TRUE(has_pattern(thread_holds, static_cast<unsigned char>(value + 100)));
          return thread_holds;
        });
        collect_and_reuse();
        EXPECT_TRUE(has_pattern(caller_holds, value));
        EXPECT_TRUE(has_pattern(returned, static_cast<unsigned char>(value + 100)));
      }));
    }
    EXPECT_TRUE(yield_until([&] { return holding == 6; }));
    collect_and_reuse();
    blocking([] { collect_and_reuse(); });
    collected = true;
    for (JoinHandle& handle : handles) handle.join();
  });
}

TEST_P(BlockingTest, AllocationsAreTheCallers) {
  run([&] {
    const gc::AllocCounts before = alloc_counts();
    blocking([] {
      for (int i = 0; i < 10; ++i) make_pattern(1);
    });
    const gc::AllocCounts made = alloc_counts() - before;
    EXPECT_EQ(made.objects, 10u);
    EXPECT_GE(made.bytes, 10 * kPatternBytes);
  });
}

}  // namespace
}  // namespace tailrace::fiber
