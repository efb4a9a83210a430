#include "gcruntime/sync/condition.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <thread>
#include <vector>

#include "gcruntime/base/test_seed.h"
#include "gcruntime/fiber/fiber_fixture.h"

namespace tailrace::fiber {
namespace {

constexpr std::int64_t kMs = 1'000'000;

using ConditionTest = FiberTest;
TAILRACE_FIBER_TESTS(ConditionTest);

TEST_P(ConditionTest, OneNotificationWakesOneAndInOrder) {
  run([] {
    Mutex mutex;
    Condition condition;
    std::vector<int> order;
    int waiting = 0;
    std::vector<JoinHandle> handles;
    for (int id = 0; id < 10; ++id) {
      handles.push_back(spawn([&, id] {
        std::unique_lock lock(mutex);
        ++waiting;
        condition.wait(lock);
        EXPECT_FALSE(mutex.try_lock());
        order.push_back(id);
      }));
      // The count is written under the mutex, and joining the line gives the mutex back.
      ASSERT_TRUE(yield_until([&] {
        std::lock_guard lock(mutex);
        return waiting == id + 1;
      }));
    }
    for (std::size_t woken = 1; woken <= 5; ++woken) {
      condition.notify_one();
      ASSERT_TRUE(yield_until([&] {
        std::lock_guard lock(mutex);
        return order.size() == woken;
      }));
    }
    condition.notify_all();
    for (JoinHandle& each : handles) each.join();
    ASSERT_EQ(order.size(), 10u);
    for (int id = 0; id < 5; ++id) EXPECT_EQ(order[static_cast<std::size_t>(id)], id);
    condition.notify_one();  // lost: nobody waits
    condition.notify_all();
  });
}

TEST_P(ConditionTest, DeadlinesPass) {
  run([] {
    Mutex mutex;
    Condition condition;
    mutex.lock();
    EXPECT_FALSE(condition.wait_for(mutex, 2 * kMs));
    EXPECT_FALSE(mutex.try_lock()) << "the lock is held again";
    EXPECT_FALSE(condition.wait_for(mutex, kMs, [] { return false; }));
    EXPECT_TRUE(condition.wait_for(mutex, kMs, [] { return true; }));
    mutex.unlock();
  });
}

// A bounded queue by hand, with fibers and threads on both sides, timeouts among them.
TEST_P(ConditionTest, ProducersAndConsumersLoseNothing) {
  SchedulerOptions options;
  options.perturb_seed = base::test_seed(11);
  SCOPED_TRACE("TAILRACE_SEED=" + std::to_string(options.perturb_seed));
  start(options);
  constexpr int kEach = 1000;
  Mutex mutex;
  Condition not_empty;
  Condition not_full;
  std::deque<int> queue;
  int producers = 4;
  std::int64_t sum = 0;
  const auto produce = [&] {
    for (int i = 1; i <= kEach; ++i) {
      std::unique_lock lock(mutex);
      not_full.wait(lock, [&] { return queue.size() < 3; });
      queue.push_back(i);
      not_empty.notify_one();
    }
    std::lock_guard lock(mutex);
    if (--producers == 0) not_empty.notify_all();
  };
  const auto consume = [&](bool impatient) {
    for (;;) {
      std::unique_lock lock(mutex);
      const auto ready = [&] { return !queue.empty() || producers == 0; };
      if (impatient) {
        if (!not_empty.wait_for(lock, 50'000, ready)) continue;
      } else {
        not_empty.wait(lock, ready);
      }
      if (queue.empty()) return;
      sum += queue.front();
      queue.pop_front();
      not_full.notify_one();
    }
  };
  std::thread thread([&] { produce(); });
  run([&] {
    std::vector<JoinHandle> handles;
    for (int i = 0; i < 3; ++i) handles.push_back(spawn(produce));
    for (int i = 0; i < 4; ++i) handles.push_back(spawn([&, i] { consume(i % 2 == 1); }));
    for (JoinHandle& each : handles) each.join();
  });
  thread.join();
  EXPECT_EQ(sum, std::int64_t{4} * kEach * (kEach + 1) / 2);
}

}  // namespace
}  // namespace tailrace::fiber
