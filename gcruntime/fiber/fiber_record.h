// The record of a fiber. It stands at the top of the fiber's own stack, so a parked fiber that did
// little costs one page, and it exists as long as the stack does: an idle (warm) record is a stack
// that waits for its next fiber or job.
//
//   high |  stagger  | Fiber | payload | frames ...        | guard | low
//                    ^ base()          ^ saved_sp when not running
//
// States. The record is on its scheduler's list in all of them.
//   kIdle     nobody's; not scanned         -> kReady by whoever takes it for a spawn or a job
//   kReady    in a queue or about to be     -> kRunning by the worker that took it
//   kRunning  on a worker                   -> kReady (yield), kParked (park), kIdle (end)
//   kParked   out; a wake is somebody's task  -> kReady by ready(), or by its own commit
// [fiber.scan] saved_sp is stored before a state that says "not running" (release), and both change
// inside flagged sections only, except for kParked -> kReady, which changes nothing for a scan:
// when the world is stopped, [saved_sp, base()) of every kReady and kParked record is all that its
// fiber holds. While it runs, whoever has claimed the record's scan word reads the same range [gc.scan].
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/base/annotations.h"
#include "gcruntime/fiber/label.h"
#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/fiber/stack_pool.h"
#include "gcruntime/heap/alloc_counts.h"

namespace tailrace::gc {
class Arena;
struct AllocationBounds;
}  // namespace tailrace::gc

namespace tailrace::fiber {

class JoinControl;
class SpawnAccount;
namespace internal {
struct Bill;
}

// [fiber.trim] What the trimmer knows of a stack at rest (parked or idle); see stack_trimmer.h.
enum class Rest : std::uint32_t {
  kRan,       // it ran since the trimmer looked
  kSeen,      // it was at rest when the trimmer looked
  kClaimed,   // and at the next look; it will be trimmed
  kTrimming,  // it is: whoever wants to run on it waits a few microseconds
  kTrimmed,   // nothing to do until it has run
};

// What __cxa_get_globals() points to, as the Itanium C++ ABI lays it out: the stack of caught
// exceptions and the number of uncaught ones. [fiber.exceptions]
struct ExceptionGlobals {
  void* caught = nullptr;
  unsigned int uncaught = 0;
};

class alignas(64) Fiber {
 public:
  Fiber(Scheduler::Impl* owner, const Stack& own_stack) noexcept
      : scheduler(owner), stack(own_stack) {
    sanitizer.bottom = stack.low;
    sanitizer.bytes = static_cast<std::size_t>(base() - stack.low);
  }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  char* base() noexcept { return reinterpret_cast<char*>(this); }

  // --- The switch. Written by the worker that runs the fiber, or by whoever prepares it. ---
  std::atomic<void*> saved_sp{nullptr};
  std::atomic<FiberState> state{FiberState::kIdle};
  std::atomic<Rest> rest{Rest::kRan};
  // gc::ScanWord: in which round the stack was scanned last. Kept while the barrier is on.
  std::atomic<std::uint64_t> scan{0};
  // When it became ready, if its wait is measured, else 0. Handed over with the queue's entry.
  std::int64_t ready_ns = 0;
  // It has spawned something that captured an address of its stack. Relaxed; see written_by_others.
  std::atomic<bool> lends_frames{false};
  // Relaxed: read by dumps only.
  std::atomic<WaitReason> reason{WaitReason::kNone};
  ExceptionGlobals exceptions;
  // [fiber.counts] What it allocated; while it runs, minus what its worker's thread had at
  // switch-in.
  gc::AllocCounts allocated;

  // Its request arena; while it runs its worker's thread has it.
  gc::Arena* arena = nullptr;

  // What holds for its waits at the memory limit; its own scopes write it.
  const gc::AllocationBounds* allocation_bounds = nullptr;

  // [fiber.account] Who is charged for what it spawns; its own scopes write it.
  SpawnAccount* account = nullptr;
  // And for itself, as one that was spawned; null: nobody.
  internal::Bill* bill = nullptr;

  // --- The task. Constant while the fiber lives. ---
  Job* job = nullptr;  // null: a spawned closure
  const internal::Closure* closure = nullptr;
  void* payload = nullptr;                // on the own stack, just below base()
  JoinControl* control = nullptr;         // null: a job
  std::atomic<const char*> name{"idle"};  // relaxed: also read by dumps
  Label label;

  // --- Constant. ---
  Scheduler::Impl* const scheduler;
  const Stack stack;

  // --- Lists. ---
  Fiber* list_previous = nullptr;  // guarded by the registry's lock
  Fiber* list_next = nullptr;      // guarded by the registry's lock
  Fiber* pool_next = nullptr;      // while idle: of the pool that it waits in
  // Pages of the stack that are counted as faults already: the trimmer's while it trims, then of
  // whoever takes the record apart.
  std::size_t known_pages = 0;
  base::SanitizerStack sanitizer;
};

// [gc.shared] Others may write to its stack by reference: what it spawned with such captures, or a blocking
// call of its own. Relaxed: the fiber's own, and it is parked or about to run.
inline bool written_by_others(const Fiber* fiber) noexcept {
  return fiber->lends_frames.load(std::memory_order_relaxed) ||
         fiber->reason.load(std::memory_order_relaxed) == WaitReason::kBlocking;
}

// A run queue's entry: a Fiber*, or a Job* with the lowest bit set; 0 is none.
using Entry = std::uintptr_t;
inline Entry entry_of(Fiber* fiber) noexcept { return reinterpret_cast<Entry>(fiber); }
inline Entry entry_of(Job* job) noexcept { return reinterpret_cast<Entry>(job) | 1; }
inline Job* job_of(Entry entry) noexcept {
  return (entry & 1) != 0 ? reinterpret_cast<Job*>(entry & ~Entry{1}) : nullptr;
}
inline Fiber* fiber_of(Entry entry) noexcept { return reinterpret_cast<Fiber*>(entry); }

}  // namespace tailrace::fiber
