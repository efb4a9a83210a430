// All fiber records of one scheduler, in whatever state: what the collector enumerates, and the
// pool of warm (idle) records that workers share.
//
// [fiber.list] A record enters the list before it is first used and leaves it when its stack goes
// back to the StackPool; spawning on a warm record therefore touches no list. The lock is held
// inside flagged sections only, so the collector can take it while the world is stopped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "gcruntime/fiber/fiber_record.h"
#include "gcruntime/fiber/stack_pool.h"
#include "gcruntime/fiber/stack_trimmer.h"
#include "gcruntime/gc/mutator.h"

namespace tailrace::fiber {

class Registry final : public gc::StackSource {
 public:
  // Warm records that are kept here with their pages; above it, stacks go back to the OS.
  static constexpr std::size_t kWarm = 256;

  Registry(Scheduler::Impl* scheduler, unsigned warm_class) noexcept
      : scheduler_(scheduler), warm_class_(warm_class) {}
  // All fibers have ended.
  ~Registry();

  // A record on the list, not idle any more: kReady, and nothing on its stack. Any thread, not in a
  // section.
  Fiber* take(unsigned size_class);
  // Makes an idle record that the caller owns such a one. [fiber.trim]
  static void take_up(Fiber* fiber) noexcept {
    // Nothing to scan until a payload comes.
    fiber->saved_sp.store(fiber->base(), std::memory_order_relaxed);
    // R1. Release: saved_sp before the state [fiber.scan].
    fiber->state.store(FiberState::kReady, std::memory_order_release);
    leave_rest(fiber);  // R2
    // Its last fiber's outermost frames never returned.
    base::unpoison_memory(fiber->stack.low, fiber->sanitizer.bytes);
  }
  // Takes back an idle record: keeps it warm if it is of the warm class and there is room.
  void give(Fiber* fiber);

  std::size_t warm() const noexcept { return warm_count_.load(std::memory_order_relaxed); }
  std::size_t records() const noexcept { return records_.load(std::memory_order_relaxed); }

  // At most `most` fibers that are not idle. Any thread, not in a section.
  std::vector<FiberInfo> dump(std::size_t most) const;

  // For the trimmer, one at a time: goes over the list in steps, in which up to `most` records are
  // visited with the list locked, until `visit` returns false. False at the list's end. Records that
  // come meanwhile are left out.
  void begin_walk() noexcept;
  template <typename Visit>
  bool walk(std::size_t most, Visit&& visit) noexcept {
    gc::Section section;
    std::lock_guard lock(lock_);
    for (; most > 0 && walk_next_ != nullptr; --most) {
      Fiber* const fiber = walk_next_;
      walk_next_ = fiber->list_next;
      if (!visit(fiber)) break;
    }
    return walk_next_ != nullptr;
  }

  // For the trimmer: with the list locked.
  template <typename F>
  auto locked(F&& function) noexcept {
    gc::Section section;
    std::lock_guard lock(lock_);
    return function();
  }

  StackTrimmer& trimmer() noexcept { return trimmer_; }
  StackCounts& stack_counts() noexcept { return stack_counts_; }

  void for_each_parked_stack(Visit visit, void* visitor) noexcept override;
  void for_each_clean_stack(Visit visit, void* visitor) noexcept override;
  void begin_round() noexcept override;
  Walk scan_some(std::uint64_t round, Visit visit, void* visitor) noexcept override;
  bool has_idle_thread() const noexcept override;
  void stack_bytes(std::uint64_t& inuse, std::uint64_t& sys) const noexcept override;

 private:
  Fiber* take_warm() noexcept;
  void destroy(Fiber* fiber) noexcept;
  // Of one record: it was passed over, its stack was visited, or it is being resumed.
  enum class Look { kPassed, kVisited, kBusy };
  static Look scan_parked(Fiber* fiber, bool pass_of_shared, std::uint64_t round, Visit visit,
                          void* visitor) noexcept;

  Scheduler::Impl* const scheduler_;
  const unsigned warm_class_;

  mutable gc::SectionLock lock_;
  Fiber* all_ = nullptr;   // guarded by lock_
  Fiber* warm_ = nullptr;  // guarded by lock_
  // Written under lock_; relaxed: read as statistics.
  std::atomic<std::size_t> warm_count_{0};
  std::atomic<std::size_t> records_{0};
  Fiber* walk_next_ = nullptr;  // guarded by lock_
  // The collector's walk of a round: once over all fibers but those that others may write to, then over
  // those. Guarded by lock_.
  Fiber* round_next_ = nullptr;
  unsigned round_pass_ = 2;
  StackCounts stack_counts_;
  StackTrimmer trimmer_{*this};
};

}  // namespace tailrace::fiber
