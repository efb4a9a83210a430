#include "gcruntime/sync/mutex.h"

#include <gtest/gtest.h>

#include <mutex>
#include <shared_mutex>
#include <vector>

#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/sync/shared_mutex.h"

namespace tailrace::fiber {
namespace {

using MutexTest = FiberTest;
TAILRACE_FIBER_TESTS(MutexTest);

TEST_P(MutexTest, CountsExactlyWithYieldsInside) {
  Mutex mutex;
  std::int64_t counter = 0;
  bool inside = false;
  run([&] {
    std::vector<JoinHandle> handles;
    for (int id = 0; id < 16; ++id) {
      handles.push_back(spawn([&, id] {
        for (int turn = 0; turn < 500; ++turn) {
          std::lock_guard lock(mutex);
          EXPECT_FALSE(inside);
          inside = true;
          const std::int64_t before = counter;
          if ((turn + id) % 3 == 0) yield();
          counter = before + 1;
          inside = false;
        }
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
  });
  EXPECT_EQ(counter, 16 * 500);
}

TEST_P(MutexTest, TryLockFailsWhileHeld) {
  run([] {
    Mutex mutex;
    std::unique_lock lock(mutex);
    EXPECT_FALSE(mutex.try_lock());
    lock.unlock();
    EXPECT_TRUE(mutex.try_lock());
    mutex.unlock();
  });
}

TEST_P(MutexTest, FirstComeFirstServed) {
  run([] {
    Mutex mutex;
    std::vector<int> order;
    std::vector<JoinHandle> handles;
    std::atomic<int> begun{0};
    mutex.lock();
    for (int id = 0; id < 20; ++id) {
      handles.push_back(spawn([&, id] {
        ++begun;
        std::lock_guard lock(mutex);
        order.push_back(id);
        yield();
      }));
      // It is in line when it is the only one who could run and does not: a few turns settle it.
      ASSERT_TRUE(yield_until([&] { return begun == id + 1; }));
      sleep_for_ns(1'000'000);
    }
    mutex.unlock();
    for (JoinHandle& handle : handles) handle.join();
    EXPECT_EQ(order.size(), 20u);
  });
}

TEST_P(MutexTest, FibersThreadsAndJobsShareIt) {
  struct LockingJob : Job {
    Mutex* mutex;
    std::int64_t* counter;
    std::atomic<int>* left;
  };
  Mutex mutex;
  std::int64_t counter = 0;
  constexpr int kTurns = 400;
  constexpr int kJobs = 100;
  std::atomic<int> jobs_left{kJobs};
  std::vector<LockingJob> jobs(kJobs);
  for (LockingJob& job : jobs) {
    job.mutex = &mutex;
    job.counter = &counter;
    job.left = &jobs_left;
    job.run = [](Job* self) {
      auto* locking = static_cast<LockingJob*>(self);
      {
        std::lock_guard lock(*locking->mutex);
        const std::int64_t before = *locking->counter;
        yield();
        *locking->counter = before + 1;
      }
      --*locking->left;
    };
  }
  scheduler();
  const auto add_up = [&] {
    for (int turn = 0; turn < kTurns; ++turn) {
      std::lock_guard lock(mutex);
      ++counter;
    }
  };
  std::thread plain(add_up);
  std::thread attached([&] {
    gc::ThreadScope scope;
    add_up();
  });
  for (LockingJob& job : jobs) scheduler().submit(&job);
  run([&] {
    std::vector<JoinHandle> handles;
    for (int i = 0; i < 4; ++i) handles.push_back(spawn(add_up));
    for (JoinHandle& handle : handles) handle.join();
    EXPECT_TRUE(yield_until([&] { return jobs_left == 0; }));
  });
  plain.join();
  attached.join();
  EXPECT_EQ(counter, 6 * kTurns + kJobs);
}

TEST_P(MutexTest, PerturbedContention) {
  SchedulerOptions options;
  options.perturb_seed = 99;
  start(options);
  Mutex mutex;
  SharedMutex shared;
  std::int64_t counter = 0;
  std::int64_t pair[2] = {0, 0};
  run([&] {
    std::vector<JoinHandle> handles;
    for (int id = 0; id < 12; ++id) {
      handles.push_back(spawn([&, id] {
        for (int turn = 0; turn < 200; ++turn) {
          {
            std::lock_guard lock(mutex);
            ++counter;
          }
          if (id % 4 == 0) {
            std::lock_guard lock(shared);
            ++pair[0];
            yield();
            ++pair[1];
          } else {
            std::shared_lock lock(shared);
            EXPECT_EQ(pair[0], pair[1]);
          }
        }
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
  });
  EXPECT_EQ(counter, 12 * 200);
  EXPECT_EQ(pair[0], 3 * 200);
}

// --- SharedMutex ---------------------------------------------------------------------------------

TEST_P(MutexTest, ReadersShareWritersDoNot) {
  run([&] {
    SharedMutex mutex;
    mutex.lock_shared();
    EXPECT_TRUE(mutex.try_lock_shared());
    EXPECT_FALSE(mutex.try_lock());
    mutex.unlock_shared();
    mutex.unlock_shared();
    EXPECT_TRUE(mutex.try_lock());
    EXPECT_FALSE(mutex.try_lock_shared());
    EXPECT_FALSE(mutex.try_lock());
    mutex.unlock();
  });
}

TEST_P(MutexTest, AWaitingWriterStopsNewReadersAndGetsIt) {
  run([&] {
    SharedMutex mutex;
    std::atomic<bool> written{false};
    mutex.lock_shared();
    JoinHandle writer = spawn([&] {
      std::lock_guard lock(mutex);
      written = true;
    });
    // The writer is in line as soon as readers are refused.
    ASSERT_TRUE(yield_until([&] {
      if (!mutex.try_lock_shared()) return true;
      mutex.unlock_shared();
      return false;
    }));
    JoinHandle reader = spawn([&] {
      std::shared_lock lock(mutex);
      EXPECT_TRUE(written);
    });
    yield();
    EXPECT_FALSE(written);
    mutex.unlock_shared();
    writer.join();
    reader.join();
    EXPECT_TRUE(written);
  });
}

TEST_P(MutexTest, ReadersNeverSeeHalfAWrite) {
  SharedMutex mutex;
  std::int64_t values[4] = {0, 0, 0, 0};
  std::atomic<int> readers_inside{0};
  std::atomic<int> most_readers{0};
  std::atomic<int> begun{0};
  const auto write = [&](bool may_yield) {
    std::lock_guard lock(mutex);
    EXPECT_EQ(readers_inside, 0);
    for (std::int64_t& value : values) {
      ++value;
      if (may_yield) yield();
    }
  };
  const auto read = [&](bool may_yield) {
    std::shared_lock lock(mutex);
    const int inside = ++readers_inside;
    int most = most_readers;
    while (inside > most && !most_readers.compare_exchange_weak(most, inside)) {
    }
    const std::int64_t first = values[0];
    if (may_yield) yield();
    for (std::int64_t value : values) EXPECT_EQ(value, first);
    --readers_inside;
  };
  scheduler();
  std::thread reading_thread([&] {
    for (int turn = 0; turn < 300; ++turn) read(false);
  });
  std::thread writing_thread([&] {
    for (int turn = 0; turn < 100; ++turn) write(false);
  });
  run([&] {
    std::vector<JoinHandle> handles;
    for (int id = 0; id < 16; ++id) {
      handles.push_back(spawn([&, id] {
        // All at once: where spawning is slow each would be done before the next begins.
        ++begun;
        EXPECT_TRUE(yield_until([&] { return begun == 16; }));
        for (int turn = 0; turn < 200; ++turn) {
          if (id % 4 == 0) {
            write(turn % 2 == 0);
          } else {
            read(true);
          }
        }
      }));
    }
    for (JoinHandle& handle : handles) handle.join();
  });
  reading_thread.join();
  writing_thread.join();
  EXPECT_EQ(values[0], 4 * 200 + 100);
  EXPECT_GT(most_readers, 1);
}

using MutexDeathTest = FiberTest;
INSTANTIATE_TEST_SUITE_P(Workers, MutexDeathTest, testing::Values(1u), worker_name);

TEST_P(MutexDeathTest, UnlockingWhatIsNotLockedIsABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(Mutex().unlock(), "not locked");
  EXPECT_DEATH(SharedMutex().unlock(), "not locked");
}

}  // namespace
}  // namespace tailrace::fiber
