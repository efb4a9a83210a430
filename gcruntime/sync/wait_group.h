// WaitGroup: waits until as many have called done() as add() announced. Group: fibers that are
// joined when it goes out of scope.
//
// Rounds: the add() that raises the count from zero begins one, the done() that brings it back to
// zero ends it. Within a round anybody may add(), as long as the count cannot reach zero before.
//   who waits     calls wait() after the add() that it is to see: a wait() that finds zero returns
//   a new round   may begin when every wait() that anybody called in the round before has returned
//                 to its caller; that one of several has returned is not enough. (A wait() on its
//                 way in would count itself to the new round; one in line is not let go yet.)
//   its end       the same. The done() calls may still be on their way out: they touch it no more.
// A new round while somebody stands in line stops the program where it is seen, and so does done()
// without an add(). What was written before done() is visible after wait(). Threads without a fiber
// may use it.
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
    try {
      spawn(options, std::move(body));
    } catch (...) {  // no memory for a fiber
      running_.done();
      throw;
    }
  }
  // Suspends until all that began have ended. More may be started after it.
  void wait() { running_.wait(); }

 private:
  WaitGroup running_;
};

}  // namespace tailrace::fiber
