// How a fiber waits for memory (gc/memory_wait.h): parked, in the line of those who do.
#include "gcruntime/fiber/memory_wait.h"

#include "gcruntime/fiber/current_worker.h"
#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/fiber_record.h"
#include "gcruntime/fiber/held_locks.h"
#include "gcruntime/fiber/timed_wait.h"
#include "gcruntime/gc/memory_wait.h"

namespace tailrace::fiber {
namespace {

class ParkedWaiter : public gc::RoomWaiter {
 public:
  ParkedWaiter(gc::RoomLine& line, std::uint64_t seen) noexcept
      : RoomWaiter(&wake), line_(line), seen_(seen) {}

  void wait(std::int64_t deadline_ns) {
    const TimedWait::Outcome outcome = wait_.wait(WaitReason::kMemory, deadline_ns, &join, this);
    // After a wake it is out of the line already, and nobody knows it any more.
    if (outcome == TimedWait::Outcome::kTimedOut) line_.leave(*this);
  }

 private:
  static bool join(Fiber*, void* self) {
    auto* const waiter = static_cast<ParkedWaiter*>(self);
    return waiter->line_.join(*waiter, waiter->seen_);
  }
  // Under the line's lock. If the deadline was quicker, the fiber waits for that lock in leave().
  static void wake(gc::RoomWaiter* waiter) { static_cast<ParkedWaiter*>(waiter)->wait_.wake(); }

  gc::RoomLine& line_;
  const std::uint64_t seen_;
  TimedWait wait_;
};

const gc::AllocationBounds** bounds_of_current() noexcept {
  Fiber* const fiber = current();
  return fiber == nullptr ? nullptr : &fiber->allocation_bounds;
}

void wait_parked(gc::RoomLine& line, std::uint64_t seen, std::int64_t deadline_ns) {
  ParkedWaiter waiter(line, seen);
  waiter.wait(deadline_ns);
}

void check_locks() noexcept {
  const Fiber* const fiber = current();
  if (fiber != nullptr && locks_held() != 0) {
    held_over_switch(fiber, " allocates managed memory, for which it may have to wait,",
                     locks_held());
  }
}

constexpr gc::internal::FiberWaits kWaits{&bounds_of_current, &wait_parked, &check_locks};

}  // namespace

void install_memory_waits() noexcept { gc::internal::set_fiber_waits(&kWaits); }

}  // namespace tailrace::fiber
