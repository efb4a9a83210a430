#include "gcruntime/sync/alarm.h"

#include <mutex>

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/current_worker.h"
#include "gcruntime/fiber/worker.h"
#include "gcruntime/os/clock.h"

namespace tailrace::fiber {
namespace internal {
namespace {

void copy_time(void* to, void* from) noexcept {
  *static_cast<std::int64_t*>(to) = *static_cast<const std::int64_t*>(from);
}
constexpr ElementOps kTimes{sizeof(std::int64_t), copy_time, copy_time};

}  // namespace

AlarmCore::AlarmCore() noexcept : channel_(kTimes, &ring_, 1) {
  timer_.owner = this;
  timer_.claim = fire;
  timer_.place = Timer::kNowhere;
}

// Under the heap's lock.
Fiber* AlarmCore::fire(Timer* timer) noexcept {
  std::int64_t now_ns = os::now_ns();
  return static_cast<FiringTimer*>(timer)->owner->channel_.send_from_timer(&now_ns);
}

bool AlarmCore::disarm_locked() { return timer_.heap != nullptr && timer_.heap->cancel(&timer_); }

void AlarmCore::arm_locked(std::int64_t due_ns) {
  Worker* const worker = current_worker();
  TAILRACE_CHECK(worker != nullptr, "an Alarm or Ticker is made, reset and waited for on fibers");
  worker->timers().add(&timer_, due_ns);  // may throw, and has done nothing then
  due_ns_ = due_ns;
}

bool AlarmCore::stop_locked() {
  period_ns_ = 0;
  const bool armed = disarm_locked();
  // It may have fired: nobody is to see that any more.
  std::int64_t dropped = 0;
  return channel_.try_operate(Side::kReceive, &dropped) == ChannelStatus::kOk || armed;
}

bool AlarmCore::start(std::int64_t first_ns, std::int64_t period_ns) {
  std::lock_guard guard(lock_);
  const bool was = stop_locked();
  arm_locked(deadline_after(first_ns));
  // Afterwards: an alarm that could not be armed stays stopped. taken() waits for lock_.
  period_ns_ = period_ns;
  return was;
}

bool AlarmCore::stop() {
  std::lock_guard guard(lock_);
  return stop_locked();
}

std::int64_t AlarmCore::wait() {
  std::int64_t fired_ns = 0;
  channel_.operate(Side::kReceive, &fired_ns, ClaimedWait::kNever);
  taken();
  return fired_ns;
}

void AlarmCore::fill(Case& one, std::int64_t* fired_ns) noexcept {
  one.channel = &channel_;
  one.side = Side::kReceive;
  one.slot = fired_ns;
}

// The ticker's next tick: the first of its rhythm that is still to come.
void AlarmCore::taken() noexcept {
  std::lock_guard guard(lock_);
  if (period_ns_ == 0) return;
  if (disarm_locked()) {
    arm_locked(due_ns_);  // somebody has reset it since
    return;
  }
  const std::int64_t late_ns = os::now_ns() - due_ns_;
  const std::int64_t periods = late_ns < 0 ? 0 : late_ns / period_ns_ + 1;
  arm_locked(due_ns_ + periods * period_ns_);
}

}  // namespace internal

Alarm::Alarm(std::int64_t after_ns) { start(after_ns, 0); }
bool Alarm::reset(std::int64_t after_ns) { return start(after_ns, 0); }

Ticker::Ticker(std::int64_t period_ns) { reset(period_ns); }
bool Ticker::reset(std::int64_t period_ns) {
  TAILRACE_CHECK_VALUE(period_ns > 0, "a ticker's period is above 0", period_ns);
  return start(period_ns, period_ns);
}

}  // namespace tailrace::fiber
