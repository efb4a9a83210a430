#include "gcruntime/gc/cycle.h"

#include <sched.h>

#include "gcruntime/base/mutant.h"
#include "gcruntime/gc/arena_record.h"
#include "gcruntime/gc/check_marks.h"
#include "gcruntime/gc/finalizer.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/late_copies.h"
#include "gcruntime/gc/mark_queue.h"
#include "gcruntime/gc/origin.h"
#include "gcruntime/gc/phase.h"
#include "gcruntime/gc/root_table.h"
#include "gcruntime/gc/stale_words.h"
#include "gcruntime/gc/verifier.h"
#include "gcruntime/gc/weak.h"
#include "gcruntime/heap/arena_blocks.h"
#include "gcruntime/heap/sweep.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

// From then on fibers whose stacks show something white in every round are held.
constexpr std::size_t kRoundsBeforeHolding = 8;

// What comes into being after this look is made from what is marked.
bool anything_weak() noexcept {
  return weak_table_bytes() != 0 || read_finalizer_stats().table_bytes != 0;
}

}  // namespace

CycleResult Cycle::run(const CycleOptions& options) {
  options_ = options;
  result_ = CycleResult{};
  Marker marker;
  marker_ = &marker;
  World::instance().reset_black_bytes();
  take_longest_hold_ns();
  if (options.stop_the_world) {
    run_stopped();
  } else {
    run_beside();
  }
  result_.marked_objects += marker.stats().objects;
  marker_ = nullptr;
  return result_;
}

void Cycle::run_beside() {
  World& world = World::instance();
  Marking& marking = Marking::instance();
  const std::int64_t begin_ns = os::now_ns();
  if (!base::mutant(base::Mutant::kOneHandshake)) {
    world.handshake({.phase = kPhaseBarrier});
  }
  // [gc.black] Every store shades by now, so what is born black may take white children.
  world.handshake({.phase = kPhaseBlack, .blacken = true});
  result_.begin_ns = take_longest_hold_ns();

  // Relaxed: published with `open`.
  gc::rounds.first.store(round_number_ + 1, std::memory_order_relaxed);
  marking.begin(options_.limits, os::now_ns());
  mark_roots();
  mark_rounds(kPhaseBlack);
  if (anything_weak()) cut_over();
  result_.mark_ns = os::now_ns() - begin_ns;
  // Relaxed: who still sees the round open scans a stack once more.
  gc::rounds.open.store(0, std::memory_order_relaxed);
  marking.end();
  result_.marked_objects = marking.marked_objects();

  // [gc.off] First the barrier, then the colour of what is allocated: with both in one, who is white already
  // would hand a new object to who still shades, and its mark would live on into the next cycle.
  if (!base::mutant(base::Mutant::kOffInOne)) world.handshake({.phase = kPhaseLeaving});
  // A word that was no reference may have been shaded after the last round (the padding of a new fiber's
  // captures), or copied: nobody else can reach what it led to, but what is marked has marked children. No
  // copy outlives its cycle: nobody makes one any more.
  scan_late();
  marker_->drain();
#if defined(TAILRACE_VERIFY)
  constexpr bool kCheck = true;
#else
  const bool kCheck = options_.check_marks;
#endif
  if (kCheck) {
    world.stop();
    world.hand_over_all();
    check(0, /*all_scanned=*/false);
    world.start();
  }
  // The spans at hand go back: nobody sets a mark any more when the sweep begins.
  heap::close_arena_holes();
  const std::uint32_t generation = heap::end_marking();
  world.handshake({.phase = kPhaseOff, .return_spans = true, .generation = generation});
  // Or the next cycle would find the grey, and with it what the mutant lost.
  if (base::mutant(base::Mutant::kOffInOne)) marker_->drain();
  heap::allow_sweep();
  heap::sweep_arena_blocks(generation);
  result_.marked_bytes =
      marking.marked_bytes() + marker_->stats().marked_bytes + world.shaded_bytes();
  result_.live_bytes = result_.marked_bytes + world.allocated_black_bytes();
  result_.end_ns = take_longest_hold_ns();
  // And begins the next cycle's: a hold ends after its answer was seen.
  result_.longest_hold_ns = begin_cycle_holds();
}

void Cycle::run_stopped() {
  World& world = World::instance();
  const std::int64_t begin_ns = os::now_ns();
  world.stop();
  const std::int64_t stopped_ns = os::now_ns();
  // From here to start(): no malloc, no stdio; see mutator.h.
  world.hand_over_all();
  mark_roots();
  world.for_each_stack(
      [](void* marker, const void* low, const void* high) {
        static_cast<Marker*>(marker)->scan_stack(low, high);
      },
      marker_);
  marker_->drain();
  decide_the_dead();
  const std::int64_t marked_ns = os::now_ns();
  check(marker_->stats().objects, /*all_scanned=*/true);
  const std::uint32_t generation = heap::end_marking();
  world.adopt_generation(generation);
  heap::allow_sweep();
  heap::sweep_arena_blocks(generation);
  const std::int64_t end_ns = os::now_ns();
  world.start();
  result_.begin_ns = stopped_ns - begin_ns;
  result_.mark_ns = marked_ns - stopped_ns;
  result_.end_ns = end_ns - marked_ns;
  result_.longest_hold_ns = end_ns - begin_ns;
  result_.live_bytes = result_.marked_bytes = marker_->stats().marked_bytes;
  result_.stack_bytes = marker_->stats().stack_words * sizeof(std::uintptr_t);
  result_.rounds = 1;
}

void Cycle::mark_roots() noexcept {
  for_each_root([](void* marker, void* object) { static_cast<Marker*>(marker)->shade(object); },
                marker_);
  for_each_finalizer_root(
      [](void* marker, void* object) { static_cast<Marker*>(marker)->shade(object); }, marker_);
  if (base::mutant(base::Mutant::kArenaNoRoot)) return;
  for_each_arena_object(
      [](void* marker, std::uintptr_t slot) {
        static_cast<Marker*>(marker)->scan_root_object(slot);
      },
      marker_);
}

// [gc.weak] A load of a weak reference finds what no scan has seen: from here on one of an unmarked object
// waits. What was loaded until then was shaded, and is marked with all it reaches before anything is decided.
void Cycle::cut_over() {
  MarkQueue& queue = MarkQueue::instance();
  const std::uint64_t given = queue.given();
  World::instance().handshake({.phase = kPhaseCutOver});
  scan_late();
  marker_->stop();
  // Acquire: pairs with who shades. It was cleared when the last, clean round began.
  if (grey_appeared.load(std::memory_order_acquire) || queue.given() != given) {
    mark_rounds(kPhaseCutOver);
  }
  decide_the_dead();
}

// Nothing is grey, and what is unmarked is unreachable.
void Cycle::decide_the_dead() {
  clear_dead_weak();
  // What is resurrected is unreachable for all but the marker: no further round [gc.finalizer].
  if (queue_dead_finalizable(*marker_) != 0) marker_->drain();
  queue_dead_cleanups();
}

// [gc.termination] Until a round in which no stack showed anything white, nobody shaded anything and no
// marker found anything to scan.
void Cycle::mark_rounds(std::uint8_t phase) {
  for (std::size_t in_row = 1;; ++in_row) {
    const bool clean = mark_round(phase, in_row > kRoundsBeforeHolding);
    if (clean) return;
    if (base::mutant(base::Mutant::kNoRescan)) return;
    if (base::mutant(base::Mutant::kTwoRounds) && in_row == 2) return;
  }
}

bool Cycle::mark_round(std::uint8_t phase, bool hold) {
  World& world = World::instance();
  MarkQueue& queue = MarkQueue::instance();
  const std::uint64_t round = ++round_number_;
  const bool first = result_.rounds++ == 0;
  found_ = 0;
  // What was shaded before this and waits in a thread's buffer is given with its answer; what waits in the
  // queue, or in a marker's hands, is seen here.
  grey_appeared.store(false, std::memory_order_release);  // before the handshake's request
  const std::uint64_t given = queue.given();
  const bool nothing_grey = queue.drained();
  // Release: with the round come `first` and all that was marked before.
  gc::rounds.open.store(round, std::memory_order_release);
  std::size_t held = 0;
  if (!base::mutant(base::Mutant::kHandshakeSkipped) || first) {
    held = world.handshake({.phase = phase, .round = round}, scan_copy, this, hold);
  }
  result_.held += held;
  scan_parked(round);
  if (first) result_.stack_bytes = marker_->stats().stack_words * sizeof(std::uintptr_t);
  marker_->stop();
  Marking::instance().drain(*marker_, options_.hurry || held != 0, options_.share,
                            options_.share_argument);
  if (held != 0) world.release_held();
  // What came after the walk was scanned in this round before; it is only looked at once more [gc.shared].
  scan_late();
  marker_->stop();
  // Acquire: pairs with who shades.
  return nothing_grey && found_ == 0 && queue.given() == given &&
         !grey_appeared.load(std::memory_order_acquire);
}

bool Cycle::scan_copy(void* cycle, const void* low, const void* high) {
  auto* self = static_cast<Cycle*>(cycle);
  const std::size_t found = self->marker_->scan_stack(low, high);
  self->found_ += found;
  return found != 0;
}

// [gc.late]
void Cycle::scan_late() noexcept {
  LateCopies::instance().take([this](const std::uintptr_t* low, const std::uintptr_t* high) {
    if (!base::mutant(base::Mutant::kLateCopyDropped)) scan_copy(this, low, high);
  });
}

void Cycle::scan_parked(std::uint64_t round) {
  World& world = World::instance();
  if (base::mutant(base::Mutant::kLateCopyDropped)) base::mutant_delay(2, 4);
  world.begin_round();
  unsigned busy = 0;
  for (StackSource::Walk walk = StackSource::Walk::kMore; walk != StackSource::Walk::kDone;) {
    walk = world.copy_parked(round, scan_copy, this);
    // After each part, as there is room for so many only. The last time none is missed: the walk has waited
    // for the word of each stack that the round lacked, and a copy is pending before its word says so.
    scan_late();
    if (walk != StackSource::Walk::kBusy) continue;
    // Somebody is at the switch to it, for a microsecond; or has lost its processor there.
    if (++busy % 64 != 0) {
      __builtin_ia32_pause();
    } else {
      ::sched_yield();
    }
  }
  // Release: pairs with who resumes a fiber.
  gc::rounds.walked.store(round, std::memory_order_release);
}

void Cycle::check(std::uint64_t marked_objects, bool all_scanned) {
  if (options_.check_marks) check_marks(all_scanned);
#if defined(TAILRACE_VERIFY)
  verify_heap(marked_objects);
  internal::find_stale_words(options_.number);
  internal::note_freed(options_.number);
#else
  static_cast<void>(marked_objects);
#endif
}

}  // namespace tailrace::gc
