// The timers of one worker: a 4-ary heap by deadline. A timer lies on the stack of the fiber that
// waits; the heap holds a pointer, the timer its place in the heap.
//
// [fiber.timers] A timer that is due is popped and its `claim` called under the heap's lock; claim
// says which fiber to make ready, or none if a waker has won already. So once cancel() has held the
// lock, nobody touches the timer again, and its stack frame may go. Any thread may call every
// method: the owner expires, others expire for an owner that is late, a fiber cancels from wherever
// it runs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <vector>

namespace tailrace::fiber {

class Fiber;
class TimerHeap;

struct Timer {
  // Called once, under the heap's lock: the fiber to make ready, or null.
  Fiber* (*claim)(Timer* timer) noexcept = nullptr;
  TimerHeap* heap = nullptr;  // where it was last added; written by the fiber's worker
  std::size_t place = 0;      // guarded by the heap's lock; kNowhere when it is not in the heap

  static constexpr std::size_t kNowhere = std::numeric_limits<std::size_t>::max();
};

class TimerHeap {
 public:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  void add(Timer* timer, std::int64_t deadline_ns);
  // Adds it and calls `publish()` before the timer can be claimed; if that returns false the timer
  // is taken out again. Once publish has returned true the timer may be cancelled elsewhere at any
  // time.
  template <typename F>
  bool add_then(Timer* timer, std::int64_t deadline_ns, F&& publish) {
    std::lock_guard lock(mutex_);
    insert(timer, deadline_ns);
    if (publish()) return true;
    erase(timer);
    return false;
  }
  // True if the timer was still there; false if it has been claimed.
  bool cancel(Timer* timer);
  // Pops what is due at `now_ns` and writes the fibers to make ready to `out`; stops when `out` is
  // full. `try_only`: returns 0 at once if somebody else holds the lock.
  std::size_t expire(std::int64_t now_ns, Fiber** out, std::size_t capacity, bool try_only);

  // Relaxed: whoever needs a newer value is the owner, who wrote it.
  std::int64_t next_deadline_ns() const noexcept {
    return next_deadline_ns_.load(std::memory_order_relaxed);
  }

 private:
  struct Node {
    std::int64_t deadline_ns;
    Timer* timer;
  };
  void insert(Timer* timer, std::int64_t deadline_ns);
  void erase(Timer* timer) noexcept;
  void place(std::size_t index, Node node) noexcept {
    nodes_[index] = node;
    node.timer->place = index;
  }
  void sift_up(std::size_t index, Node node) noexcept;
  void sift_down(std::size_t index, Node node) noexcept;
  void remove(std::size_t index) noexcept;
  void publish_next() noexcept;

  std::mutex mutex_;
  std::vector<Node> nodes_;                             // guarded by mutex_
  std::atomic<std::int64_t> next_deadline_ns_{kNever};  // written under mutex_
};

}  // namespace tailrace::fiber
