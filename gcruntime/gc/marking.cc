#include "gcruntime/gc/marking.h"

#include <sched.h>

#include <ctime>

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
}

void Marking::drain(Marker& marker, bool hurry, Share share, void* argument) noexcept {
  MarkQueue& queue = MarkQueue::instance();
  marker.stop();
  for (;;) {
    if (queue.drained()) return;
    const std::int64_t now_ns = os::now_ns();
    const double now_share = share(argument);
    budget_.earn(now_ns, now_share, limits_.procs);
    if (!hurry && now_share < 1.0) {
      const bool alone = now_ns - last_slice_ns_.load(std::memory_order_relaxed) > kPatienceNs ||
                         (limits_.beside && World::instance().has_idle_thread());
      if (!alone || !budget_.allows()) {
        nap();
        continue;
      }
    }
    const bool empty = marker.run(now_ns + MarkBudget::kSliceNs);
    budget_.spend(os::now_ns() - now_ns);
    // The others have the rest in their hands.
    if (empty && !queue.drained()) ::sched_yield();
  }
}

std::int64_t Marking::slice(bool assist) noexcept {
  if (!assist && !budget_.allows()) return 0;
  if (!MarkQueue::instance().has_chunks()) return 0;
  std::int64_t took_ns = 0;
  native([&] {
    // Seq_cst: end() sees this slice, or this sees that none is wanted.
    slices_.fetch_add(1, std::memory_order_seq_cst);
    if (internal::mark_wanted.load(std::memory_order_seq_cst)) {
      const std::int64_t begin_ns = os::now_ns();
      Marker marker;
      marker.run(begin_ns + MarkBudget::kSliceNs);
      const std::int64_t end_ns = os::now_ns();
      budget_.spend(end_ns - begin_ns);
      if (marker.stats().objects != 0 || marker.stats().marked_bytes != 0) {
        took_ns = end_ns - begin_ns;
        last_slice_ns_.store(end_ns, std::memory_order_relaxed);
        (assist ? assist_ns_ : workers_ns_).fetch_add(took_ns, std::memory_order_relaxed);
        note(marker);
      }
    }
    // Release: the figures, for end().
    slices_.fetch_sub(1, std::memory_order_seq_cst);
  });
  return took_ns;
}

std::int64_t mark_slice() noexcept { return Marking::instance().slice(/*assist=*/false); }

}  // namespace tailrace::gc
