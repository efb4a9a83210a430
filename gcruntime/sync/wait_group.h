// WaitGroup: waits until as many have called done() as add() announced. Group: fibers that are
// joined when it goes out of scope.
//
// As in Go, add() comes before the wait() that is to see it: raising the count from zero while
// somebody waits stops the program, and so does done() without an add(). A group may be used again
// once its wait() has returned. What was written before done() is visible after wait(). Threads
// without a fiber may use it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include "gcruntime/base/spin_lock.h"
#include "gcruntime/fiber/fiber.h"
#include "gcruntime/sync/waiter.h"

namespace tailrace::fiber {

class WaitGroup {
 public:
  WaitGroup() = default;
  ~WaitGroup();
  WaitGroup(const WaitGroup&) = delete;
  WaitGroup& operator=(const WaitGroup&) = delete;

  // Does not suspend. `count` may be negative.
  void add(std::int32_t count);
  void done() { add(-1); }
  // Suspends until the count is zero.
  void wait();

 private:
  // state_: the count times two, plus kLine while the line is not empty. kLine is set and cleared
  // under line_lock_. Whoever brings the count to zero with kLine set lets the line go, and is the
  // last to touch the group: with kLine set, nobody but those in line may wait for it to be gone.
  static constexpr std::int64_t kLine = 1;
  static constexpr std::int64_t kOne = 2;
  static bool enqueue(void* group, Waiter* waiter);
  void let_all_go();

  std::atomic<std::int64_t> state_{0};
  base::SpinLock line_lock_;
  WaitLine line_;  // guarded by line_lock_
};

// Fibers with one end: the destructor waits for all of them.
class Group {
 public:
  Group() = default;
  ~Group() { wait(); }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // Spawns on the scheduler of the calling fiber.
  template <typename F>
  void go(F&& function) {
    go(SpawnOptions{}, std::forward<F>(function));
  }
  template <typename F>
  void go(const SpawnOptions& options, F&& function) {
    using Task = std::decay_t<F>;
    // Made before it is counted, as a copy may throw; ended before done(), as what it captured must
    // not outlive wait().
    auto body = [this,
                 task = std::optional<Task>(std::in_place, std::forward<F>(function))]() mutable {
      (*task)();
      task.reset();
      running_.done();
    };
    running_.add(1);
    spawn(options, std::move(body));
  }
  // Suspends until all that began have ended. More may be started after it.
  void wait() { running_.wait(); }

 private:
  WaitGroup running_;
};

}  // namespace tailrace::fiber
