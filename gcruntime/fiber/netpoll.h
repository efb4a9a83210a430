// What the scheduler needs from whoever waits for input and output. gcruntime knows no socket: it
// declares this, and server/netpoll implements it over epoll.
//
// Each worker has one poller (an epoll instance, a timing wheel, a context of foreign work). Calls
// name it by the worker's index, 0 <= worker < the scheduler's worker count.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tailrace::fiber {

class Fiber;

// Work that is not a fiber yet: a worker takes a warm fiber and runs `run(job)` on it. Intrusive
// and owned by whoever submits it; it may be submitted again once `run` has begun. What a steal
// moves is this pointer.
struct Job {
  void (*run)(Job* job) = nullptr;
  std::int64_t ready_ns = 0;  // the scheduler's: when it was queued, if its wait is measured
};

// Collects what a poll found ready. Filled and drained by one worker at a time.
class ReadyList {
 public:
  static constexpr std::size_t kCapacity = 256;

  // A fiber that was parked by `park`; its owner has won the right to make it ready.
  void push(Fiber* fiber) noexcept { entries_[size_++] = reinterpret_cast<std::uintptr_t>(fiber); }
  void push(Job* job) noexcept { entries_[size_++] = reinterpret_cast<std::uintptr_t>(job) | 1; }

  std::size_t size() const noexcept { return size_; }
  bool full() const noexcept { return size_ == kCapacity; }
  void clear() noexcept { size_ = 0; }
  // A run queue's entry: a Fiber*, or a Job* with the lowest bit set.
  std::uintptr_t entry(std::size_t index) const noexcept { return entries_[index]; }

 private:
  std::size_t size_ = 0;
  std::uintptr_t entries_[kCapacity];
};

class Netpoll {
 public:
  virtual ~Netpoll() = default;

  // Called once by the scheduler, before any worker runs.
  virtual void start(unsigned workers) = 0;

  // From now on only the first `workers` run fibers; the others go on polling, for them. Of use to whoever
  // chooses a worker for a new socket. One thread at a time.
  virtual void set_active(unsigned /*workers*/) noexcept {}

  // Called by worker `worker` only. Waits up to timeout_ns (0: looks only; negative: until woken),
  // puts at most ReadyList::kCapacity entries into `ready`, and advances this worker's timers. It
  // may run foreign completion handlers, which may call fiber::ready and submit but never suspend.
  // The worker is in a native scope while it blocks: no managed memory may be touched then.
  // Returns early, possibly with nothing, after wake(worker).
  virtual void poll(unsigned worker, std::int64_t timeout_ns, ReadyList& ready) = 0;

  // Called by any other worker, which found that `worker` has not polled for over 1 ms: does what
  // poll(worker, 0, ready) does, under a try-lock. Returns false if the lock was taken.
  virtual bool rescue(unsigned worker, ReadyList& ready) = 0;

  // Makes a poll(worker) that blocks, or is about to, return. Any thread. Sticky: a wake before the
  // poll is not lost. Must be async-signal-safe (an eventfd write is).
  virtual void wake(unsigned worker) noexcept = 0;
};

}  // namespace tailrace::fiber
