#include "gcruntime/gc/marking.h"

#include <sched.h>

#include <algorithm>
#include <ctime>

#include "gcruntime/gc/cycle_stats.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/mark_queue.h"
#include "gcruntime/gc/mark_slice.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/world.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

// Without a worker's slice for so long the collector's thread marks: they are all in long fibers.
constexpr std::int64_t kPatienceNs = 500'000;
constexpr std::int64_t kNapNs = 50'000;

// Bytes scanned, of objects and of stacks.
std::uint64_t work_of(const Marker::Stats& stats) noexcept {
  return stats.bytes + stats.stack_words * sizeof(std::uintptr_t);
}

void nap() noexcept {
  const timespec while_ns{0, kNapNs};
  ::nanosleep(&while_ns, nullptr);
}

}  // namespace

namespace internal {
constinit std::atomic<bool> mark_wanted{false};
}

Marking& Marking::instance() {
  static Marking marking;
  return marking;
}

void Marking::begin(const Limits& limits, std::int64_t now_ns) noexcept {
  limits_ = limits;
  budget_.begin(now_ns);
  marked_bytes_.store(0, std::memory_order_relaxed);
  marked_objects_.store(0, std::memory_order_relaxed);
  workers_ns_.store(0, std::memory_order_relaxed);
  assist_ns_.store(0, std::memory_order_relaxed);
  last_slice_ns_.store(now_ns, std::memory_order_relaxed);
  entered_work_ = 0;
  own_ns_ = 0;
  // Seq_cst: with slice().
  internal::mark_wanted.store(true, std::memory_order_seq_cst);
}

void Marking::end() noexcept {
  internal::mark_wanted.store(false, std::memory_order_seq_cst);
  // Acquire: pairs with slice()'s release of its figures.
  while (slices_.load(std::memory_order_seq_cst) != 0) ::sched_yield();
}

void Marking::note(const Marker& marker) noexcept {
  marked_bytes_.fetch_add(marker.stats().marked_bytes, std::memory_order_relaxed);
  marked_objects_.fetch_add(marker.stats().objects, std::memory_order_relaxed);
  ledger_.done(static_cast<std::int64_t>(work_of(marker.stats())));
}

void Marking::enter_work(const Marker& marker) noexcept {
  const std::uint64_t work = work_of(marker.stats());
  ledger_.done(static_cast<std::int64_t>(work - entered_work_));
  entered_work_ = work;
}

void Marking::drain(Marker& marker, bool hurry, Share share, void* argument) noexcept {
  MarkQueue& queue = MarkQueue::instance();
  marker.stop();
  enter_work(marker);
  // A late round has little left, often less than a slice: it does not wait until that is earned.
  budget_.advance();
  bool at_hand = limits_.beside;
  for (;;) {
    if (queue.drained()) return;
    const std::int64_t now_ns = os::now_ns();
    const Pace pace = share(argument);
    budget_.earn(now_ns, pace.share, limits_.procs);
    if (!hurry && !pace.hurry && pace.share < 1.0) {
      const bool alone = at_hand ||
                         now_ns - last_slice_ns_.load(std::memory_order_relaxed) > kPatienceNs ||
                         (limits_.beside && World::instance().has_idle_thread());
      if (!alone || !budget_.allows()) {
        nap();
        continue;
      }
    }
    at_hand = false;
    const std::int64_t cpu_ns = os::thread_cpu_ns();
    const bool empty = marker.run(now_ns + MarkBudget::kSliceNs);
    const std::int64_t took_ns = os::thread_cpu_ns() - cpu_ns;
    own_ns_ += took_ns;
    budget_.spend(took_ns);
    enter_work(marker);
    // The others have the rest in their hands.
    if (empty && !queue.drained()) ::sched_yield();
  }
}

std::int64_t Marking::slice(bool assist, std::int64_t most_ns) noexcept {
  if (!assist && !budget_.allows()) return 0;
  if (!MarkQueue::instance().has_chunks()) return 0;
  std::int64_t took_ns = 0;
  native([&] {
    // Seq_cst: end() sees this slice, or this sees that none is wanted.
    slices_.fetch_add(1, std::memory_order_seq_cst);
    if (internal::mark_wanted.load(std::memory_order_seq_cst)) {
      const std::int64_t begin_ns = os::now_ns();
      const std::int64_t begin_cpu_ns = os::thread_cpu_ns();
      Marker marker;
      marker.run(begin_ns + std::min(most_ns, MarkBudget::kSliceNs));
      const std::int64_t cpu_ns = os::thread_cpu_ns() - begin_cpu_ns;
      if (!assist) budget_.spend(cpu_ns);
      note_gc_cpu(assist ? GcCpu::kAssist : GcCpu::kBackground, cpu_ns);
      (assist ? assist_ns_ : workers_ns_).fetch_add(cpu_ns, std::memory_order_relaxed);
      if (marker.stats().objects != 0 || marker.stats().marked_bytes != 0) {
        const std::int64_t end_ns = os::now_ns();
        took_ns = end_ns - begin_ns;
        last_slice_ns_.store(end_ns, std::memory_order_relaxed);
        note(marker);
      }
    }
    // Release: the figures, for end().
    slices_.fetch_sub(1, std::memory_order_seq_cst);
  });
  if (assist && took_ns > 0) {
    note_hold(HoldKind::kAssist, took_ns);
    bump(mutator()->cache.counts.assist_ns, static_cast<std::uint64_t>(took_ns));
  }
  return took_ns;
}

std::int64_t mark_slice() noexcept { return Marking::instance().slice(/*assist=*/false); }

}  // namespace tailrace::gc
