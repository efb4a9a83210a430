#include "gcruntime/fiber/registry.h"

#include <algorithm>
#include <mutex>
#include <new>

#include "gcruntime/base/check.h"
#include "gcruntime/base/mutant.h"
#include "gcruntime/fiber/scheduler_impl.h"
#include "gcruntime/gc/phase.h"

namespace tailrace::fiber {
namespace {

// Stacks 256 KiB apart would put their tops into the same few cache sets: 131 072 parked fibers
// took 95 ns a switch, staggered ones 45. 16 steps of 128 bytes leave half a page for the record
// and the first frames, so that a parked fiber still costs one page.
constexpr std::size_t kStaggerSteps = 16;
constexpr std::size_t kStaggerBytes = 128;

// Resident estimate of one fiber's stack: the page of the record and one below it.
constexpr std::uint64_t kResidentBytes = 8192;

Fiber* construct_record(Scheduler::Impl* scheduler, const Stack& stack) noexcept {
  const std::size_t index =
      reinterpret_cast<std::uintptr_t>(stack.high) / StackPool::class_bytes(stack.size_class);
  char* top = stack.high - index % kStaggerSteps * kStaggerBytes - sizeof(Fiber);
  return ::new (top) Fiber(scheduler, stack);
}
static_assert(kStaggerBytes % alignof(Fiber) == 0);

}  // namespace

Registry::~Registry() {
  while (all_ != nullptr) {
    // Acquire: pairs with the release by which the switch stored it.
    TAILRACE_CHECK(all_->state.load(std::memory_order_acquire) == FiberState::kIdle,
                   "a scheduler was destroyed with a fiber alive");
    destroy(all_);
  }
}

Fiber* Registry::take_warm() noexcept {
  if (warm() == 0) return nullptr;
  gc::Section section;
  std::lock_guard lock(lock_);
  Fiber* const fiber = warm_;
  if (fiber != nullptr) {
    warm_ = fiber->pool_next;
    warm_count_.store(warm() - 1, std::memory_order_relaxed);
  }
  return fiber;
}

Fiber* Registry::take(unsigned size_class) {
  if (size_class == warm_class_) {
    if (Fiber* fiber = take_warm()) {
      take_up(fiber);
      return fiber;
    }
  }
  Fiber* fiber = construct_record(scheduler_, StackPool::instance().acquire(size_class));
  {
    gc::Section section;
    std::lock_guard lock(lock_);
    fiber->list_next = all_;
    if (all_ != nullptr) all_->list_previous = fiber;
    all_ = fiber;
    records_.store(records() + 1, std::memory_order_relaxed);
  }
  take_up(fiber);
  return fiber;
}

void Registry::give(Fiber* fiber) {
  if (fiber->stack.size_class == warm_class_) {
    gc::Section section;
    std::lock_guard lock(lock_);
    if (warm() < kWarm) {
      fiber->pool_next = warm_;
      warm_ = fiber;
      warm_count_.store(warm() + 1, std::memory_order_relaxed);
      return;
    }
  }
  destroy(fiber);
}

void Registry::destroy(Fiber* fiber) noexcept {
  {
    gc::Section section;
    std::lock_guard lock(lock_);
    if (fiber->list_next != nullptr) fiber->list_next->list_previous = fiber->list_previous;
    (fiber->list_previous != nullptr ? fiber->list_previous->list_next : all_) = fiber->list_next;
    records_.store(records() - 1, std::memory_order_relaxed);
    if (walk_next_ == fiber) walk_next_ = fiber->list_next;
    if (round_next_ == fiber) round_next_ = fiber->list_next;
    trimmer_.forget(fiber);
  }
  // [fiber.trim] Off the list and no claim: if the trimmer is at it, it is waited for.
  leave_rest(fiber);
  const Stack stack = fiber->stack;
  stack_counts_.look_at(fiber, stack.high);
  fiber->~Fiber();
  StackPool::instance().release(stack);
}

void Registry::begin_walk() noexcept {
  gc::Section section;
  std::lock_guard lock(lock_);
  walk_next_ = all_;
}

void Registry::for_each_parked_stack(Visit visit, void* visitor) noexcept {
  trimmer_.ring();
  std::lock_guard lock(lock_);
  for (Fiber* fiber = all_; fiber != nullptr; fiber = fiber->list_next) {
    // Acquire: pairs with the switch's release [fiber.scan]; the world is stopped anyway.
    const FiberState state = fiber->state.load(std::memory_order_acquire);
    if (state == FiberState::kIdle || state == FiberState::kRunning) continue;
    if (base::mutant(base::Mutant::kParkedNotScanned) && state == FiberState::kParked) continue;
    visit(visitor, fiber->saved_sp.load(std::memory_order_relaxed), fiber->base());
  }
}

void Registry::for_each_clean_stack(Visit visit, void* visitor) noexcept {
  std::lock_guard lock(lock_);
  const std::uint64_t first = gc::rounds.first.load(std::memory_order_relaxed);
  for (Fiber* fiber = all_; fiber != nullptr; fiber = fiber->list_next) {
    const FiberState state = fiber->state.load(std::memory_order_acquire);
    if (state == FiberState::kIdle || state == FiberState::kRunning) continue;
    const std::uint64_t word = fiber->scan.load(std::memory_order_acquire);
    if (gc::ScanWord::state(word) != gc::ScanWord::kClean || gc::ScanWord::round(word) < first ||
        written_by_others(fiber)) {
      continue;
    }
    visit(visitor, fiber->saved_sp.load(std::memory_order_relaxed), fiber->base());
  }
}

// --- Rounds of a concurrent cycle. ---

void Registry::begin_round() noexcept {
  trimmer_.ring();
  gc::Section section;
  std::lock_guard lock(lock_);
  round_next_ = all_;
  round_pass_ = 0;
}

Registry::Walk Registry::scan_some(std::uint64_t round, Visit visit, void* visitor) noexcept {
  // With the lock held a spawn may wait for it: so many looks, and copies of so many bytes (or of one
  // stack), a few microseconds each.
  constexpr std::size_t kLooks = 256;
  constexpr std::ptrdiff_t kBytes = 64 * 1024;
  gc::Section section;
  std::lock_guard lock(lock_);
  std::size_t looks = 0;
  std::ptrdiff_t bytes = 0;
  while (round_pass_ < 2) {
    for (; round_next_ != nullptr; round_next_ = round_next_->list_next) {
      if (looks++ == kLooks || bytes > kBytes) return Walk::kMore;
      const Look look = scan_parked(round_next_, round_pass_ == 1, round, visit, visitor);
      if (look == Look::kBusy) return Walk::kBusy;
      if (look == Look::kVisited) {
        bytes += round_next_->base() -
                 static_cast<char*>(round_next_->saved_sp.load(std::memory_order_relaxed));
      }
    }
    round_next_ = ++round_pass_ < 2 ? all_ : nullptr;
  }
  return Walk::kDone;
}

// [gc.scan] The collector's side of the claim; gc::enter_stack is the other. The list's lock keeps the
// record alive. kBusy: whoever resumes it is at its scan.
Registry::Look Registry::scan_parked(Fiber* fiber, bool pass_of_shared, std::uint64_t round,
                                     Visit visit, void* visitor) noexcept {
  // Acquire: pairs with who stored the word: what it scanned and shaded is known.
  std::uint64_t word = fiber->scan.load(std::memory_order_acquire);
  // Acquire: pairs with the switch's release [fiber.scan]: saved_sp is of that state or newer.
  const FiberState state = fiber->state.load(std::memory_order_acquire);
  if (state == FiberState::kIdle) return Look::kPassed;
  if (base::mutant(base::Mutant::kParkedNotScanned) && state == FiberState::kParked)
    return Look::kPassed;
  if (state == FiberState::kRunning) {
    if (base::mutant(base::Mutant::kHandshakeSkipped)) return Look::kPassed;
    // All threads have answered by now: whoever runs has been scanned in this round, or is being scanned
    // by who resumes it.
    return gc::ScanWord::round(word) == round && gc::ScanWord::state(word) != gc::ScanWord::kClaimed
               ? Look::kPassed
               : Look::kBusy;
  }
  const std::uint64_t first = gc::rounds.first.load(std::memory_order_relaxed);
  if (base::mutant(base::Mutant::kRescanFromQueues) && round > first &&
      state == FiberState::kParked) {
    return Look::kPassed;
  }
  const bool shared = written_by_others(fiber);
  if (shared != pass_of_shared) return Look::kPassed;
  if (!shared && !gc::needs_scan(word, round, first)) return Look::kPassed;
  // Acquire: a resumer whose CAS came before has said kRunning before it.
  const std::uint64_t claimed = gc::ScanWord::pack(round, gc::ScanWord::kClaimed);
  if (!fiber->scan.compare_exchange_strong(word, claimed, std::memory_order_acq_rel,
                                           std::memory_order_relaxed)) {
    return Look::kBusy;  // it is being resumed
  }
  const FiberState now = fiber->state.load(std::memory_order_acquire);
  const bool at_rest = now == FiberState::kParked || now == FiberState::kReady;
  if (at_rest) {
    if (base::mutant(base::Mutant::kClaimNotAwaited)) base::mutant_delay(2, 8);
    visit(visitor, fiber->saved_sp.load(std::memory_order_relaxed), fiber->base());
    word = gc::ScanWord::pack(round, gc::ScanWord::kClean);
  }
  // Release: pairs with the resumer's acquire. Fails if the fiber ran after all, and its thread's answer
  // has scanned it.
  std::uint64_t expected = claimed;
  fiber->scan.compare_exchange_strong(expected, word, std::memory_order_release,
                                      std::memory_order_relaxed);
  return at_rest ? Look::kVisited : Look::kBusy;
}

bool Registry::has_idle_thread() const noexcept { return scheduler_->sleepers.idle_count() > 0; }

void Registry::stack_bytes(std::uint64_t& inuse, std::uint64_t& sys) const noexcept {
  const std::uint64_t all = records();
  const std::uint64_t idle = warm();
  inuse = (all > idle ? all - idle : 0) * kResidentBytes;
  sys = all * kResidentBytes;
}

std::vector<FiberInfo> Registry::dump(std::size_t most) const {
  std::vector<FiberInfo> infos(std::min(most, records()));
  std::size_t count = 0;
  {
    gc::Section section;
    std::lock_guard lock(lock_);
    for (Fiber* fiber = all_; fiber != nullptr && count < infos.size(); fiber = fiber->list_next) {
      // Acquire: pairs with the switch's release, so that saved_sp is of that state or newer.
      const FiberState state = fiber->state.load(std::memory_order_acquire);
      if (state == FiberState::kIdle) continue;
      FiberInfo& info = infos[count++];
      info.name = fiber->name.load(std::memory_order_relaxed);
      fiber->label.copy_to(info.label);
      info.state = state;
      info.reason = fiber->reason.load(std::memory_order_relaxed);
      info.stack_bytes = StackPool::class_bytes(fiber->stack.size_class);
      const char* sp = static_cast<const char*>(fiber->saved_sp.load(std::memory_order_relaxed));
      if (state != FiberState::kRunning && sp != nullptr) {
        info.stack_used_bytes = static_cast<std::size_t>(fiber->base() - sp);
      }
    }
  }
  infos.resize(count);
  return infos;
}

}  // namespace tailrace::fiber
