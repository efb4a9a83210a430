// Alarm fires once after a duration, Ticker again and again; both are waited for by wait() or in a
// select (on_alarm). Somebody who waits with a timeout needs neither: on_timeout, receive_for,
// sleep_for_ns.
//
// After stop() or reset() has returned, nothing that was due before is received any more.
//
// A slow reader loses ticks: one that nobody took yet is kept, with the time at which it fired, and
// those that come meanwhile are dropped and counted nowhere. So after the kept one the next comes
// when the rhythm of the ticker's start has it next, never at once to make up for those that were
// lost: who must know how many reads the times. Several readers share the ticks, each goes to one.
//
// [sync.alarm] The timer in the heap of the worker that armed it sends the time to a channel of
// capacity 1, under the heap's lock. A Ticker is armed again by whoever takes its tick: until then
// further ticks would be dropped anyway. Whoever arms takes the timer out first, under lock_, so it
// is never in a heap twice. Lock order: lock_, timer heap, channel. Made, reset and waited for on
// fibers; stopped from anywhere. It is gone before its scheduler is, and when nobody waits on it.
// Arming may need memory: if none is to be had, the constructor and reset() throw and leave it
// stopped; taking a tick, which must not lose the rhythm, stops the program.
#pragma once

#include <cstdint>

#include "gcruntime/base/spin_lock.h"
#include "gcruntime/fiber/timer_heap.h"
#include "gcruntime/sync/channel_core.h"

namespace tailrace::fiber {

namespace internal {

class AlarmCore {
 public:
  AlarmCore(const AlarmCore&) = delete;
  AlarmCore& operator=(const AlarmCore&) = delete;

  // Suspends until it fires; returns when that was (os::now_ns). If it is stopped, for ever.
  std::int64_t wait();
  // True if it was armed, or had fired and nobody had taken it.
  bool stop();

  // For select.
  void fill(Case& one, std::int64_t* fired_ns) noexcept;
  void taken() noexcept;

 protected:
  AlarmCore() noexcept;
  ~AlarmCore() { stop(); }
  // First after that long, then each period; 0: once. As stop() before.
  bool start(std::int64_t first_ns, std::int64_t period_ns);

 private:
  struct FiringTimer : Timer {
    AlarmCore* owner;
  };
  static Fiber* fire(Timer* timer) noexcept;
  bool stop_locked();
  bool disarm_locked();
  void arm_locked(std::int64_t due_ns);

  base::SpinLock lock_;         // outside sections, as a channel's
  FiringTimer timer_{};         // added and cancelled under lock_
  std::int64_t period_ns_ = 0;  // guarded by lock_; 0: once, or stopped
  std::int64_t due_ns_ = 0;     // guarded by lock_: what it was last armed for
  std::int64_t ring_ = 0;       // the channel's
  ChannelCore channel_;
};

}  // namespace internal

class Alarm : public internal::AlarmCore {
 public:
  explicit Alarm(std::int64_t after_ns);
  // As stop(), and fires after that duration from now.
  bool reset(std::int64_t after_ns);
};
inline Alarm after(std::int64_t duration_ns) { return Alarm(duration_ns); }

class Ticker : public internal::AlarmCore {
 public:
  explicit Ticker(std::int64_t period_ns);
  bool reset(std::int64_t period_ns);
};

}  // namespace tailrace::fiber
