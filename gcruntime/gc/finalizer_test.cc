// Cleanups and destructors of unreachable objects: once, in order, on their own thread.
#include "gcruntime/gc/finalizer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/weak.h"

namespace tailrace::gc {
namespace {

using test::Disguised;
using test::in_own_frame;
using test::is_allocated;
using test::Node;

std::mutex log_lock;
std::vector<std::int64_t> logged;
void log_number(std::int64_t number) {
  const std::lock_guard guard(log_lock);
  logged.push_back(number);
}

// Holds something outside the heap.
struct File {
  using finalized = void;
  explicit File(std::int64_t the_number) : number(the_number) {}
  ~File() {
    if (Node* node = friend_node.get()) log_number(node->value);
    log_number(number);
  }
  std::int64_t number;
  Opaque<std::string> path{std::string(100, 'x')};
  Member<Node> friend_node;
  Member<File> other;
};
BOOST_DESCRIBE_STRUCT(File, (), (number, path, friend_node, other))

// Without pointers, and by the trait.
struct Handle {
  explicit Handle(std::int64_t the_number) : number(the_number) {}
  ~Handle() { log_number(number); }
  std::int64_t number;
};
BOOST_DESCRIBE_STRUCT(Handle, (), (number))

}  // namespace
template <>
inline constexpr bool kFinalized<Handle> = true;
namespace {

class FinalizerTest : public testing::Test {
 protected:
  void SetUp() override {
    collect_and_run();  // what earlier tests have left
    logged.clear();
  }
  static void collect_now() {
    in_own_frame([] { collect(); });
  }
  // All that is ready has run.
  static void wait_until_run() {
    native([] {
      for (;;) {
        const FinalizerStats stats = read_finalizer_stats();
        if (stats.finalizers_executed == stats.finalizers_queued &&
            stats.cleanups_executed == stats.cleanups_queued) {
          return;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }
  static void collect_and_run() {
    collect_now();
    wait_until_run();
  }

  ThreadScope scope_;
};

TEST_F(FinalizerTest, ACleanupRunsOnceAfterItsObjectIsGone) {
  Root<Node> root;
  Disguised object;
  in_own_frame([&] {
    Node* node = test::make_node(1);
    object = Disguised(node);
    root = node;
    add_cleanup(node, log_number, std::int64_t{5});
  });
  collect_and_run();
  EXPECT_TRUE(logged.empty());
  root = nullptr;
  collect_and_run();
  EXPECT_EQ(logged, std::vector<std::int64_t>{5});
  EXPECT_FALSE(is_allocated(object));  // it was not kept for its cleanup
  collect_and_run();
  EXPECT_EQ(logged.size(), 1u);
}

TEST_F(FinalizerTest, ACleanupMayBeStopped) {
  Cleanup cleanup;
  Cleanup ran;
  in_own_frame([&] {
    Node* node = test::make_node(1);
    add_cleanup(node, log_number, std::int64_t{1});
    cleanup = add_cleanup(&node->value, log_number, std::int64_t{2});  // a part of it
    ran = add_cleanup(
        node, [](const char* text) { log_number(text[0]); }, "a");
  });
  EXPECT_TRUE(cleanup.stop());
  EXPECT_FALSE(cleanup.stop());
  EXPECT_FALSE(Cleanup().stop());
  collect_and_run();
  EXPECT_EQ(logged, (std::vector<std::int64_t>{'a', 1}));  // the newest first
  EXPECT_FALSE(ran.stop());
  // Its entry belongs to another now.
  const Root<Node> other(test::make_node(2));
  Cleanup next = add_cleanup(other.get(), log_number, std::int64_t{3});
  EXPECT_FALSE(ran.stop());
  EXPECT_TRUE(next.stop());
}

TEST_F(FinalizerTest, ADestructorRunsOnceAndItsObjectIsFreedLater) {
  Disguised file;
  Disguised node;
  in_own_frame([&] {
    File* made = make<File>(7);
    made->friend_node = test::make_node(70);
    file = Disguised(made);
    node = Disguised(made->friend_node.get());
  });
  EXPECT_TRUE(logged.empty());
  collect_and_run();
  EXPECT_EQ(logged, (std::vector<std::int64_t>{70, 7}));  // what it reaches was there
  in_own_frame([] { log_number(make<Handle>(0)->number); });
  collect_and_run();
  collect_and_run();
  EXPECT_FALSE(is_allocated(file));
  EXPECT_FALSE(is_allocated(node));
  EXPECT_EQ(logged, (std::vector<std::int64_t>{70, 7, 0, 0}));
}

TEST_F(FinalizerTest, ALiveObjectIsLeftAlone) {
  Root<File> root;
  in_own_frame([&] { root = make<File>(1); });
  for (int i = 0; i < 3; ++i) collect_and_run();
  EXPECT_TRUE(logged.empty());
  root = nullptr;
  collect_and_run();
  EXPECT_EQ(logged, std::vector<std::int64_t>{1});
}

TEST_F(FinalizerTest, ACyclesDestructorsRunTheNewestFirst) {
  in_own_frame([&] {
    File* first = make<File>(1);
    File* second = make<File>(2);
    File* third = make<File>(3);
    first->other = second;
    second->other = third;
    third->other = first;
  });
  collect_and_run();
  EXPECT_EQ(logged, (std::vector<std::int64_t>{3, 2, 1}));
}

TEST_F(FinalizerTest, WeakReferencesAreNullBeforeADestructorRuns) {
  Weak<File> weak;
  Weak<Node> weak_of_reached;
  in_own_frame([&] {
    File* file = make<File>(1);
    file->friend_node = test::make_node(10);
    weak = file;
    weak_of_reached = file->friend_node.get();
  });
  collect_now();
  in_own_frame([&] {
    EXPECT_EQ(weak.lock(), nullptr);
    EXPECT_EQ(weak_of_reached.lock(), nullptr);
  });
  wait_until_run();
  EXPECT_EQ(logged, (std::vector<std::int64_t>{10, 1}));
}

// A runner that lets the test run what is ready when it likes.
std::atomic<RunReady> to_run{nullptr};
void keep_for_later(RunReady run_ready) { to_run.store(run_ready); }

TEST_F(FinalizerTest, ReadyObjectsStayUntilTheRunnerComes) {
  set_finalizer_runner(keep_for_later);
  Disguised file;
  in_own_frame([&] {
    File* made = make<File>(4);
    made->friend_node = test::make_node(40);
    file = Disguised(made);
    add_cleanup(made, log_number, std::int64_t{44});
  });
  for (int i = 0; i < 3; ++i) {
    collect_now();
    EXPECT_TRUE(is_allocated(file));
    EXPECT_TRUE(logged.empty());
  }
  ASSERT_NE(to_run.load(), nullptr);
  in_own_frame([] { to_run.load()(); });
  EXPECT_EQ(logged, (std::vector<std::int64_t>{40, 4}));
  collect_now();  // now it is dead for good, and its cleanup's time has come
  in_own_frame([] { to_run.load()(); });
  EXPECT_EQ(logged, (std::vector<std::int64_t>{40, 4, 44}));
  EXPECT_FALSE(is_allocated(file));
  set_finalizer_runner(nullptr);
}

TEST_F(FinalizerTest, WhatARunnerLeftTheThreadRuns) {
  set_finalizer_runner(keep_for_later);
  in_own_frame([&] { make<File>(9); });
  collect_now();
  EXPECT_TRUE(logged.empty());
  set_finalizer_runner(nullptr);
  wait_until_run();
  EXPECT_EQ(logged, std::vector<std::int64_t>{9});
}

// Makes the next of its kind when it dies.
struct Heir {
  using finalized = void;
  explicit Heir(std::int64_t the_left) : left(the_left) {}
  ~Heir() {
    log_number(left);
    for (int i = 0; i < 1000; ++i) node = test::make_node(i);
    if (left > 0) make<Heir>(left - 1);
  }
  std::int64_t left;
  Member<Node> node;
};
BOOST_DESCRIBE_STRUCT(Heir, (), (left, node))

TEST_F(FinalizerTest, ADestructorMayAllocateAndMakeObjectsWithDestructors) {
  in_own_frame([] { make<Heir>(4); });
  for (int cycle = 0; cycle < 100 && logged.size() < 5; ++cycle) collect_and_run();
  EXPECT_EQ(logged, (std::vector<std::int64_t>{4, 3, 2, 1, 0}));
}

TEST_F(FinalizerTest, ThreadsMakeAndDropBesideCycles) {
  constexpr int kThreads = 3;
  constexpr std::int64_t kEach = 4000;
  const FinalizerStats before = read_finalizer_stats();
  static std::atomic<std::int64_t> cleaned;
  cleaned = 0;
  std::atomic<int> working{kThreads};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const ThreadScope scope;
      Root<File> kept;
      for (std::int64_t i = 0; i < kEach; ++i) {
        File* file = make<File>(t * kEach + i);
        file->friend_node = test::make_node(-1);
        Cleanup stopped = add_cleanup(
            file, [](std::int64_t) { std::abort(); }, i);
        add_cleanup(
            file->friend_node.get(), [](std::int64_t) { cleaned.fetch_add(1); }, i);
        EXPECT_TRUE(stopped.stop());
        if (i % 16 == 0) kept = file;
      }
      working.fetch_sub(1);
    });
  }
  while (working.load() > 0) collect();
  for (std::thread& thread : threads) test::join(thread);
  collect_and_run();
  collect_and_run();
  collect_and_run();
  const FinalizerStats after = read_finalizer_stats();
  // A stale word on this stack may keep a few.
  EXPECT_GE(after.finalizers_executed - before.finalizers_executed, kThreads * kEach - 8u);
  EXPECT_GE(cleaned.load(), kThreads * kEach - 8);
  EXPECT_LE(cleaned.load(), kThreads * kEach);
  std::vector<int> times(kThreads * kEach);
  const std::lock_guard guard(log_lock);
  for (const std::int64_t number : logged) {
    if (number >= 0) ++times[static_cast<std::size_t>(number)];
  }
  for (const int each : times) EXPECT_LE(each, 1);
}

using FinalizerDeathTest = FinalizerTest;

TEST_F(FinalizerDeathTest, MisuseStopsTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  static std::int64_t not_managed = 0;
  EXPECT_DEATH(add_cleanup(&not_managed, log_number, std::int64_t{1}), "not on the collected heap");
  EXPECT_DEATH(
      {
        Node* node = test::make_node(1);
        add_cleanup(
            node, [](Node*) {}, node);
      },
      "argument points to a managed object");
  EXPECT_DEATH(
      {
        in_own_frame([] {
          add_cleanup(
              test::make_node(1), [](int) { throw std::runtime_error("x"); }, 1);
        });
        collect_and_run();
      },
      "an exception escaped a finalizer or a cleanup");
}

}  // namespace
}  // namespace tailrace::gc
