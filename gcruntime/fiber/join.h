// The rendezvous between a fiber's end and the one who joins it.
//
// waiter_: 0 (nobody yet) -> a parked Fiber*, or kThread, or kDone. The fiber's end exchanges kDone
// in and wakes whom it finds; a joiner that finds kDone does not wait. Two references: the handle
// and the fiber; whoever drops the second one frees the record.
#pragma once

#include <atomic>
#include <cstdint>

namespace tailrace::fiber {

class Fiber;

class JoinControl {
 public:
  // The handle's side: waits for the end. At most once.
  void wait();
  // The fiber's side: called once on the scheduler context, after the fiber was switched out. Drops
  // the fiber's reference.
  void complete();
  void drop() noexcept {
    // Acq_rel: the last one sees what the other did before it frees the record.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  static constexpr std::uintptr_t kThread = 1;
  static constexpr std::uintptr_t kDone = 2;
  static bool publish(Fiber* fiber, void* control);

  std::atomic<std::uint32_t> references_{2};
  std::atomic<std::uint32_t> done_{0};  // futex of a joining thread
  std::atomic<std::uintptr_t> waiter_{0};
};

}  // namespace tailrace::fiber
