// The handshake, both sides; mutator.h has the protocol [gc.handshake].
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>
#include <utility>

#include "gcruntime/base/mutant.h"
#include "gcruntime/gc/arena_record.h"
#include "gcruntime/gc/barrier.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/late_copies.h"
#include "gcruntime/gc/mark_queue.h"
#include "gcruntime/gc/world.h"
#include "gcruntime/gc/world_wait.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

constexpr std::int64_t kHoldNs = 250'000;
// Of address space: a part of the walk is 64 KiB of stacks and one more, of at most 8 MiB.
constexpr std::size_t kParkedCopyBytes = std::size_t{16} << 20;
// Of a late stack. Pointers cost 20 ns each to scan, and half a nanosecond to copy.
constexpr std::size_t kMostScannedAtSwitchBytes = std::size_t{16} << 10;

// [gc.late] In the switch's section, with the stack claimed.
TAILRACE_NO_SANITIZE void show_late_stack(Mutator& self, const void* low,
                                          const void* high) noexcept {
  auto at = reinterpret_cast<std::uintptr_t>(low);
  const auto end = reinterpret_cast<std::uintptr_t>(high);
  if (end - at > kMostScannedAtSwitchBytes) at = LateCopies::instance().add(at, end);
  const auto* word = reinterpret_cast<const volatile std::uintptr_t*>(at);
  for (; at < end; at += sizeof(*word)) internal::shade_conservatively(self, *word++);
}

}  // namespace

World::World() noexcept {
  parked_.reserve(kParkedCopyBytes);
  LateCopies::instance().reserve();
}

// What the thread made black since it last told.
void World::add_black(Mutator& self) noexcept {
  // Relaxed, both: the answer's release follows.
  if (const std::uint64_t shaded = std::exchange(self.shaded_bytes, 0)) {
    shaded_bytes_.fetch_add(shaded, std::memory_order_relaxed);
  }
  if (*self.phase_ < kPhaseBlack) return;
  const std::uint64_t allocated = all_bytes(self.cache.counts);
  allocated_black_bytes_.fetch_add(allocated - std::exchange(self.black_from_bytes_, allocated),
                                   std::memory_order_relaxed);
}

// Everything but the stack. By the thread itself, or in its place while it is claimed.
void World::act(Mutator& self) noexcept {
  add_black(self);
  self.greys.flush(MarkQueue::instance());
  *self.phase_ = asked_.phase;
  if (asked_.blacken) {
    if (!base::mutant(base::Mutant::kNoBlackAllocation)) heap::blacken_cache(self.cache);
    self.black_from_bytes_ = all_bytes(self.cache.counts);
  }
  if (asked_.return_spans) {
    heap::return_cache(self.cache);
    // [arena.cache] Half of what a burst left goes with each cycle.
    internal::trim_arena_blocks(self, self.arena_counts.kept_blocks / 2);
    self.cache.generation = asked_.generation;
    self.cache.flushed_bytes = all_bytes(self.cache.counts);
  }
}

// [gc.scan] Marking reads the copy, so the thread waits for no marking.
void World::show_stack(Mutator& self, std::uint64_t round) noexcept {
  self.copy_.clear();
  self.copy_.append(self.scan_low_, self.stack_high_);
  if (self.thread_frames_ != 0) self.copy_.append(self.thread_frames_, self.thread_stack_high_);
  std::uintptr_t low = 0;
  std::uintptr_t high = 0;
  if (signal_frame(self, low, high)) self.copy_.append(low, high);
  // Release: pairs with the walk over parked stacks. A claim that the walk has just made by mistake is
  // overwritten, and the walk withdraws it by a CAS.
  if (self.stack_scan_ != nullptr) {
    const auto state = base::mutant(base::Mutant::kEpochLost) ? ScanWord::kClean : ScanWord::kRan;
    self.stack_scan_->store(ScanWord::pack(round, state), std::memory_order_release);
  }
}

// On the thread itself, in a section (or its signal's handler), with scan_low_ and the signal's context
// set.
void World::answer(Mutator& self) noexcept {
  // Acquire pairs with handshake(): what is asked.
  const std::uint64_t number = asked_number_.load(std::memory_order_acquire);
  // Relaxed: the own thread's, or of who claimed it, which the status orders.
  if (self.answered_.load(std::memory_order_relaxed) == number) return;
  bool hold = false;
  {
    const HoldTimer timer(HoldKind::kHandshake);
    act(self);
    hold = asked_.round != 0 && self.hold_;
    if (asked_.round != 0) show_stack(self, asked_.round);
    // Release pairs with has_answered().
    self.answered_.store(number, std::memory_order_release);
  }
  if (hold) hold_still(number);
}

// [gc.hold]
void World::hold_still(std::uint64_t number) noexcept {
  const HoldTimer timer(HoldKind::kClaim);
  const std::int64_t end = os::now_ns() + kHoldNs;
  for (;;) {
    // Acquire: pairs with release_held().
    const std::uint32_t released = released_.load(std::memory_order_acquire);
    if (static_cast<std::int32_t>(released - static_cast<std::uint32_t>(number)) >= 0) return;
    const std::int64_t left = end - os::now_ns();
    if (left <= 0) return;
    const timespec timeout{0, left};
    ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&released_), FUTEX_WAIT_PRIVATE, released,
              &timeout, nullptr, 0);
  }
}

void World::release_held() noexcept {
  // Release: pairs with hold_still(). Relaxed: the number is the collector's own.
  released_.store(static_cast<std::uint32_t>(asked_number_.load(std::memory_order_relaxed)),
                  std::memory_order_release);
  ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&released_), FUTEX_WAKE_PRIVATE, 0x7fffffff,
            nullptr, nullptr, 0);
}

bool World::is_native(const Mutator& each) noexcept {
  // Relaxed: who has left the scope meanwhile is asked in the second turn.
  return each.status_.load(std::memory_order_relaxed) == Mutator::Status::kNative;
}

// True if it has, or could be answered for.
bool World::has_answered(Mutator& each) noexcept {
  const std::uint64_t number = asked_number_.load(std::memory_order_relaxed);
  // Acquire pairs with answer(): the copy is whole, and what the thread wrote before is visible.
  if (each.answered_.load(std::memory_order_acquire) == number) return true;
  Mutator::Status native = Mutator::Status::kNative;
  // [gc.handshake] A2. Acquire pairs with the release by which it went native: its stack is published.
  if (each.status_.load(std::memory_order_relaxed) != native ||
      !each.status_.compare_exchange_strong(native, Mutator::Status::kClaimed,
                                            std::memory_order_seq_cst, std::memory_order_relaxed)) {
    return false;
  }
  act(each);
  if (asked_.round != 0) show_stack(each, asked_.round);
  each.answered_.store(number, std::memory_order_release);
  // Release: pairs with B1, which finds kNative again.
  each.status_.store(Mutator::Status::kNative, std::memory_order_release);
  return true;
}

// Without stdio, which a stopped thread may be inside of.
void World::say_late(int thread_id) noexcept {
  static constexpr char kBegin[] = "tailrace: the collector has waited for 5 s for thread ";
  static constexpr char kEnd[] = ": does it mask SIGRTMIN+5, or is it traced?\n";
  char text[sizeof(kBegin) + sizeof(kEnd) + 12];
  char* at = std::copy(kBegin, kBegin + sizeof(kBegin) - 1, text);
  at = std::to_chars(at, at + 12, thread_id).ptr;
  at = std::copy(kEnd, kEnd + sizeof(kEnd) - 1, at);
  // Nothing can be done about a failed write.
  if (::write(STDERR_FILENO, text, static_cast<std::size_t>(at - text)) < 0) return;
}

std::size_t World::handshake(const Handshake& what, ScanCopy scan, void* scanner, bool hold) {
  const std::lock_guard guard(mutex_);
  asked_ = what;
  if (what.return_spans) generation_ = what.generation;
  // Release: pairs with answer()'s acquire.
  asked_number_.store(asked_number_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  // [gc.handshake] A1.
  stop_request.store(kAskAnswer, std::memory_order_seq_cst);
  // [gc.shared] First those who run, then those in native scopes: what one who runs has written to the
  // stack of a thread that has waited for it all the time is seen there, if it was not seen on its own.
  const std::uint64_t number = asked_number_.load(std::memory_order_relaxed);
  wait_for_all([number](Mutator& each) {
    return is_native(each) || each.answered_.load(std::memory_order_acquire) == number;
  });
  wait_for_all([this](Mutator& each) { return has_answered(each); });
  // Relaxed: who still reads the request finds that it has answered.
  stop_request.store(0, std::memory_order_relaxed);
  if (scan == nullptr) return 0;
  std::size_t held = 0;
  for (Mutator* each = first_; each != nullptr; each = each->next_) {
    const bool found = scan(scanner, each->copy_.begin(), each->copy_.end());
    each->hold_ = hold && found;
    if (each->hold_) ++held;
  }
  return held;
}

void World::begin_round() {
  const std::lock_guard guard(mutex_);
  next_source_ = 0;
  for (StackSource* source : sources_) {
    if (source != nullptr) source->begin_round();
  }
}

TAILRACE_NO_SANITIZE void enter_stack(Mutator& self, std::atomic<std::uint64_t>& scan,
                                      const void* low, const void* high, bool shared) noexcept {
  std::optional<HoldTimer> timer;
  std::int64_t begin_ns = 0;
  // Acquire: pairs with who gives up a claim: it has read the stack.
  std::uint64_t word = scan.load(std::memory_order_acquire);
  std::uint64_t round = 0;
  bool lacks = false;
  for (;;) {
    if (ScanWord::state(word) == ScanWord::kClaimed &&
        !base::mutant(base::Mutant::kClaimNotAwaited)) {
      if (begin_ns == 0) {
        begin_ns = os::now_ns();
        timer.emplace(HoldKind::kClaim);
      }
      // A copy of one stack; or the claimer has lost its processor.
      if (os::now_ns() - begin_ns < 20'000) {
        __builtin_ia32_pause();
      } else {
        ::sched_yield();
      }
      word = scan.load(std::memory_order_acquire);
      continue;
    }
    // Acquire: pairs with the collector's release; with `first`.
    round = rounds.open.load(std::memory_order_acquire);
    const std::uint64_t first = rounds.first.load(std::memory_order_relaxed);
    const bool clean =
        ScanWord::state(word) == ScanWord::kClean && ScanWord::round(word) >= first && !shared;
    // A frame that others write to may have got something since this round's scan too, until the round has
    // seen them all [gc.shared]. Acquire: pairs with the walk's end.
    lacks = round != 0 && !clean &&
            (ScanWord::round(word) != round ||
             (shared && rounds.walked.load(std::memory_order_acquire) != round));
    // What is clean could be scanned here without finding anything, and counts as scanned.
    std::uint64_t next =
        ScanWord::pack(round != 0 && clean ? round : ScanWord::round(word), ScanWord::kRan);
    if (lacks) next = ScanWord::pack(round, ScanWord::kClaimed);
    if (base::mutant(base::Mutant::kEpochLost) && !lacks) {
      next = ScanWord::pack(round != 0 ? round : ScanWord::round(word), ScanWord::kClean);
    }
    // Release: kRunning, said before, is seen by the collector's claim that follows.
    if (scan.compare_exchange_strong(word, next, std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
      break;
    }
  }
  if (lacks) {
    if (!timer) timer.emplace(HoldKind::kClaim);
    show_late_stack(self, low, high);
    // Release: pairs with the collector's walk, for which this stack has been scanned; what was copied is
    // pending before, and is taken after the walk.
    scan.store(ScanWord::pack(round, base::mutant(base::Mutant::kEpochLost) ? ScanWord::kClean
                                                                            : ScanWord::kRan),
               std::memory_order_release);
  }
}

StackSource::Walk World::scan_parked(std::uint64_t round, StackSource::Visit visit, void* visitor) {
  // The lock for each part only: threads come and go meanwhile. A source that comes has no stack that was
  // there when the round began.
  const std::lock_guard guard(mutex_);
  for (; next_source_ < kMaxSources; ++next_source_) {
    StackSource* const source = sources_[next_source_];
    if (source == nullptr) continue;
    const StackSource::Walk walk = source->scan_some(round, visit, visitor);
    if (walk != StackSource::Walk::kDone) return walk;
    // The next one's stacks are another part: a copy has room for one.
    ++next_source_;
    const bool more = std::any_of(sources_ + next_source_, sources_ + kMaxSources,
                                  [](const StackSource* each) { return each != nullptr; });
    return more ? StackSource::Walk::kMore : StackSource::Walk::kDone;
  }
  return StackSource::Walk::kDone;
}

StackSource::Walk World::copy_parked(std::uint64_t round, ScanCopy scan, void* scanner) {
  const std::lock_guard guard(parked_mutex_);
  parked_.clear();
  const StackSource::Walk walk = scan_parked(
      round,
      [](void* copy, const void* low, const void* high) {
        static_cast<StackCopy*>(copy)->append(reinterpret_cast<std::uintptr_t>(low),
                                              reinterpret_cast<std::uintptr_t>(high));
      },
      &parked_);
  static_cast<void>(scan(scanner, parked_.begin(), parked_.end()));
  return walk;
}

// Both locks: no round's part is being read, and no handshake is under way.
void World::trim_copies() {
  native([&] {
    const std::lock_guard parts(parked_mutex_);
    const std::lock_guard guard(mutex_);
    parked_.trim();
    for_each_mutator([](Mutator& each) { each.copy_.trim(); });
  });
  LateCopies::instance().trim();
}

bool World::has_idle_thread() {
  const std::lock_guard guard(mutex_);
  bool any = false;
  for (StackSource* source : sources_) {
    if (source == nullptr) continue;
    if (source->has_idle_thread()) return true;
    any = true;
  }
  return !any;
}

void World::hand_over_all() {
  for_each_mutator([](Mutator& each) {
    each.greys.flush(MarkQueue::instance());
    heap::return_cache(each.cache);
    each.cache.flushed_bytes = all_bytes(each.cache.counts);
  });
}

void World::adopt_generation(std::uint32_t generation) {
  generation_ = generation;
  for_each_mutator([&](Mutator& each) { each.cache.generation = generation; });
}

}  // namespace tailrace::gc
