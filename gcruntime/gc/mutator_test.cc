// How threads are stopped: by a poll, by the signal, in a native scope, while they come and go; and that
// wherever a stopped thread keeps its only pointer, the scan finds it.
#include "gcruntime/gc/mutator.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_hideout.h"
#include "gcruntime/gc/test_support.h"

namespace tailrace::gc {
namespace {

using test::Disguised;
using test::Hideout;
using test::in_own_frame;
using test::is_allocated;
using test::join;
using test::make_node;
using test::Node;

// Waits without being a burden on whoever must run.
template <typename Condition>
void wait_until(Condition&& condition) {
  native([&] {
    while (!condition()) std::this_thread::yield();
  });
}

class MutatorTest : public testing::Test {
 protected:
  ThreadScope scope_;
};

// The object of a thread that hides its only pointer while cycles run.
bool survives_in(Hideout where) {
  std::atomic<int> started{0};
  std::atomic<int> release{0};
  Disguised object;
  std::thread thread([&] {
    const ThreadScope scope;
    void* place = nullptr;
    in_own_frame([&] {
      place = make_node(4711);
      object = Disguised(place);
    });
    test::hide(where, &place, &started, &release, UINT64_MAX);
    EXPECT_EQ(place, reinterpret_cast<void*>(object.address()));
  });
  wait_until([&] { return started.load(std::memory_order_acquire) != 0; });
  for (int i = 0; i < 3; ++i) collect();
  const bool survived = is_allocated(object);
  if (survived) {
    EXPECT_EQ(reinterpret_cast<const Node*>(object.address())->value, 4711);
  }
  release.store(1, std::memory_order_release);
  join(thread);
  return survived;
}

TEST_F(MutatorTest, APointerInOneRegisterOrTheRedZoneKeepsItsObject) {
  TAILRACE_SKIP_WITHOUT_STOP_SIGNALS();
  for (const Hideout where : test::kHideouts) {
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(survives_in(where)) << static_cast<int>(where);
  }
}

TEST_F(MutatorTest, ADisguisedPointerDoesNotSoTheTestsAboveCanFail) {
  TAILRACE_SKIP_WITHOUT_STOP_SIGNALS();
  EXPECT_FALSE(survives_in(Hideout::kDisguised));
}

// Six objects in the six callee-saved registers, over whatever `step` does.
void check_callee_saved(int (*step)(void*), std::atomic<int>* stage) {
  std::vector<Disguised> objects(6);
  std::thread thread([&] {
    const ThreadScope scope;
    void* places[6];
    in_own_frame([&] {
      for (std::size_t i = 0; i < 6; ++i) {
        places[i] = make_node(static_cast<std::int64_t>(i));
        objects[i] = Disguised(places[i]);
      }
    });
    test::hold_over_calls(places, step, stage);
    for (std::size_t i = 0; i < 6; ++i) {
      EXPECT_EQ(places[i], reinterpret_cast<void*>(objects[i].address()));
    }
  });
  wait_until([&] { return stage->load(std::memory_order_acquire) >= 1; });
  for (int i = 0; i < 20; ++i) collect();
  for (std::size_t i = 0; i < 6; ++i) {
    ASSERT_TRUE(is_allocated(objects[i])) << i;
    EXPECT_EQ(reinterpret_cast<const Node*>(objects[i].address())->value,
              static_cast<std::int64_t>(i));
  }
  stage->store(2, std::memory_order_release);
  join(thread);
}

TEST_F(MutatorTest, CalleeSavedRegistersAreKeptOverAPoll) {
  std::atomic<int> stage{0};
  check_callee_saved(
      [](void* argument) {
        auto& at = *static_cast<std::atomic<int>*>(argument);
        if (at.load(std::memory_order_acquire) == 0) at.store(1, std::memory_order_release);
        poll();
        return at.load(std::memory_order_acquire) == 2 ? 1 : 0;
      },
      &stage);
}

TEST_F(MutatorTest, CalleeSavedRegistersAreKeptOverANativeScope) {
  std::atomic<int> stage{0};
  check_callee_saved(
      [](void* argument) {
        auto& at = *static_cast<std::atomic<int>*>(argument);
        native([&] {
          at.store(1, std::memory_order_release);
          while (at.load(std::memory_order_acquire) != 2) std::this_thread::yield();
        });
        return 1;
      },
      &stage);
}

TEST_F(MutatorTest, AThreadInANativeScopeHoldsUpNoCycle) {
  std::atomic<int> stage{0};
  std::thread thread([&] {
    const ThreadScope scope;
    Node* held = make_node(1);
    native([&] {
      native([&] { stage.store(1, std::memory_order_release); });  // nested: just runs
      while (stage.load(std::memory_order_acquire) != 2) std::this_thread::yield();
    });
    EXPECT_EQ(held->value, 1);
    // Running again: allocation and collection work.
    held->next = make_node(2);
    collect();
    EXPECT_EQ(held->next->value, 2);
  });
  wait_until([&] { return stage.load(std::memory_order_acquire) == 1; });
  for (int i = 0; i < 50; ++i) collect();
  stage.store(2, std::memory_order_release);
  join(thread);
}

// Enters and leaves native scopes at a rate at which every window is hit.
TEST_F(MutatorTest, NativeScopesComeAndGoUnderCycles) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      const ThreadScope scope;
      std::int64_t round = 0;
      while (!stop.load(std::memory_order_relaxed)) {
        Node* node = make_node(++round);
        native([] {});
        ASSERT_EQ(node->value, round);
      }
    });
  }
  for (int i = 0; i < 300; ++i) collect();
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) join(thread);
}

// A section keeps the world from being stopped, and its exit answers.
TEST_F(MutatorTest, ASectionIsAnsweredAtItsExitAndNotBefore) {
  std::atomic<int> stage{0};
  std::atomic<bool> collected{false};
  std::thread thread([&] {
    const ThreadScope scope;
    for (int i = 0; i < 20; ++i) {
      enter_section();
      stage.store(1, std::memory_order_release);
      const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
      // The signal has come long ago when this ends.
      while (std::chrono::steady_clock::now() < end) {
        ASSERT_FALSE(collected.load(std::memory_order_acquire));
      }
      leave_section();
      while (!collected.load(std::memory_order_acquire)) test::poll_without_stop_signals();
      collected.store(false, std::memory_order_release);
    }
  });
  for (int i = 0; i < 20; ++i) {
    wait_until([&] { return stage.load(std::memory_order_acquire) == 1; });
    stage.store(0, std::memory_order_release);
    collect();
    collected.store(true, std::memory_order_release);
    wait_until([&] { return !collected.load(std::memory_order_acquire); });
  }
  join(thread);
}

// Nearly all its time is in flagged sections: most signals only leave a mark.
TEST_F(MutatorTest, AThreadThatOnlyAllocatesIsStopped) {
  std::atomic<bool> stop{false};
  std::thread thread([&] {
    const ThreadScope scope;
    while (!stop.load(std::memory_order_relaxed)) {
      const Root<Node> root(make_node(1));
      ASSERT_EQ(root->value, 1);
    }
  });
  for (int i = 0; i < 300; ++i) collect();
  stop.store(true, std::memory_order_relaxed);
  join(thread);
}

// Sizes that the compiler does not know, so that an object's address is computed: it must have been when the
// section in which the slot was taken ends, which is where most stops find this thread. (Addressing modes can
// do without: a base and an index, neither of which is the object.)
TEST_F(MutatorTest, AnObjectIsKeptFromTheMomentItsSlotIsTaken) {
  std::atomic<bool> stop{false};
  std::thread thread([&] {
    const ThreadScope scope;
    std::uint64_t state = 1;
    while (!stop.load(std::memory_order_relaxed)) {
      state = state * 6364136223846793005 + 1442695040888963407;
      const std::size_t bytes = 16 + (state >> 62) * 16;
      auto* object = static_cast<char*>(allocate_noscan(bytes));
      object[0] = 1;
      for (int i = 0; i < 70; ++i) {
        // If the first was lost, its slot is given out again.
        auto* other = static_cast<char*>(allocate_noscan(bytes));
        other[0] = 2;
      }
      ASSERT_EQ(object[0], 1);
    }
  });
  for (int i = 0; i < 1000; ++i) {
    collect();
    native([] { std::this_thread::sleep_for(std::chrono::microseconds(50)); });
  }
  stop.store(true, std::memory_order_relaxed);
  join(thread);
}

TEST_F(MutatorTest, AttachAndDetachUnderCycles) {
  constexpr int kThreads = 3;
  constexpr int kRounds = 200;
  std::atomic<int> left{kThreads};
  std::vector<std::thread> creators;
  for (int t = 0; t < kThreads; ++t) {
    creators.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        std::thread short_lived([&] {
          const ThreadScope scope;
          const ThreadScope nested;
          Node* node = make_node(i);
          node->next = make_node(i + 1);
          const Root<Node> root(node);
          ASSERT_EQ(root->next->value, i + 1);
        });
        short_lived.join();
      }
      left.fetch_sub(1, std::memory_order_release);
    });
  }
  while (left.load(std::memory_order_acquire) > 0) collect();
  for (std::thread& thread : creators) join(thread);
}

// glibc's and libstdc++'s insides are stopped in the middle.
TEST_F(MutatorTest, ThreadsAreStoppedInMallocPrintfAndThrow) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  const auto start = [&](auto step) {
    threads.emplace_back([&stop, step] {
      const ThreadScope scope;
      Node* held = make_node(99);
      for (int i = 0; !stop.load(std::memory_order_relaxed); ++i) {
        step(i);
        test::poll_without_stop_signals();
      }
      EXPECT_EQ(held->value, 99);
    });
  };
  start([](int i) {
    std::vector<std::unique_ptr<std::string>> strings;
    for (int j = 0; j < 20; ++j) {
      strings.push_back(std::make_unique<std::string>(static_cast<std::size_t>(i % 500 + j), 'x'));
    }
  });
  start([](int i) {
    char text[64];
    std::snprintf(text, sizeof(text), "%d %g", i, i * 0.25);
    char expected[16];
    std::snprintf(expected, sizeof(expected), "%d ", i);
    ASSERT_EQ(std::strncmp(text, expected, std::strlen(expected)), 0);
  });
  start([](int i) {
    try {
      throw std::out_of_range(std::to_string(i));
    } catch (const std::out_of_range& error) {
      ASSERT_EQ(error.what(), std::to_string(i));
    }
  });
  for (int i = 0; i < 200; ++i) collect();
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) join(thread);
}

TEST_F(MutatorTest, ManyThreadsAskForCyclesAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([] {
      const ThreadScope scope;
      for (int i = 0; i < 100; ++i) collect();
    });
  }
  for (std::thread& thread : threads) join(thread);
}

// A request that comes in the middle of a cycle is for the next one, and that must follow although nobody
// asks again: forgetting it hangs here.
TEST_F(MutatorTest, ARequestInTheMiddleOfACycleIsNotForgotten) {
  Root<Node> live;
  for (int i = 0; i < 50'000; ++i) {
    Node* node = make_node(i);
    node->next = live.get();
    live = node;
  }
  std::atomic<int> round{0};
  std::thread other([&] {
    const ThreadScope scope;
    for (int i = 1; i <= 100; ++i) {
      native([&] {
        while (round.load(std::memory_order_acquire) < i) {
        }
        // From before the cycle's begin to behind its end.
        const auto at = std::chrono::steady_clock::now() + std::chrono::microseconds(i * 10);
        while (std::chrono::steady_clock::now() < at) {
        }
        collect();  // here, or the scope's end would wait for the world to start again
      });
      round.store(-i, std::memory_order_release);
    }
  });
  for (int i = 1; i <= 100; ++i) {
    round.store(i, std::memory_order_release);
    collect();
    wait_until([&] { return round.load(std::memory_order_acquire) == -i; });
  }
  join(other);
}

TEST_F(MutatorTest, AThreadThatBlocksAllSignalsIsStopped) {
  TAILRACE_SKIP_WITHOUT_STOP_SIGNALS();
  std::atomic<int> stage{0};
  std::thread thread([&] {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    const ThreadScope scope;
    stage.store(1, std::memory_order_release);
    while (stage.load(std::memory_order_relaxed) != 2) {
    }
  });
  wait_until([&] { return stage.load(std::memory_order_acquire) == 1; });
  for (int i = 0; i < 5; ++i) collect();
  stage.store(2, std::memory_order_relaxed);
  join(thread);
}

std::atomic<int> handler_stage{0};

void slow_handler(int) {
  handler_stage.store(1, std::memory_order_release);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(5);
  while (std::chrono::steady_clock::now() < end) {
  }
}

// A profiler's handler, say, that does not mask our signal: its frames are on the signal stack, and the
// managed ones out of sight until it returns.
TEST_F(MutatorTest, AStopInsideAnotherHandlerOnTheSignalStackIsPutOff) {
  TAILRACE_SKIP_WITHOUT_STOP_SIGNALS();
  struct sigaction action {};
  action.sa_handler = slow_handler;
  action.sa_flags = SA_ONSTACK | SA_RESTART;
  ASSERT_EQ(::sigaction(SIGUSR2, &action, nullptr), 0);
  std::atomic<bool> stop{false};
  Disguised object;
  std::thread thread([&] {
    const ThreadScope scope;
    Node* held = make_node(5);
    object = Disguised(held);
    while (!stop.load(std::memory_order_relaxed)) ::pthread_kill(::pthread_self(), SIGUSR2);
    EXPECT_EQ(held->value, 5);
  });
  for (int i = 0; i < 5; ++i) {
    wait_until([&] { return handler_stage.load(std::memory_order_acquire) == 1; });
    handler_stage.store(0, std::memory_order_release);
    collect();
    EXPECT_TRUE(is_allocated(object));
  }
  stop.store(true, std::memory_order_relaxed);
  join(thread);
}

}  // namespace
}  // namespace tailrace::gc
