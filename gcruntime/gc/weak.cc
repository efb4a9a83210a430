// The weak table. [gc.weak] Why a load never gives an object that the cycle frees.
//
// A load of a cell makes a reference out of nothing: no scan of any stack before it could have seen it. A
// section makes the load, the test of the phase and what follows from it one step for handshakes; a phase
// that went from 3 to 0 in between would pass a dead object off as a live one.
//
//   phase 0     The cell is plain. Before this thread's first handshake the pointer is on its stack when
//               the cycle scans it; after the last one the weak pass has cleared what is dead.
//   1, 2        The object is shaded: grey, in this thread's buffer. Its answer to H3 hands the buffer
//               over, so when H3 is complete the collector has it, and marks on: rounds again.
//   3           A marked object is given. For an unmarked one the thread waits, outside the section, and
//               reads the cell anew: the collector marks the object or clears the cell.
//
// When H3 is complete nobody shades by way of a weak load any more, so rounds go on until one finds nothing,
// as before; then what is unmarked is unreachable for good, and clear_dead_weak passes over the cells.
//
//   One thread in 2, one in 3, object W unmarked:
//     A (3) loads W, unmarked, waits | B (2) loads W, shades it | B answers H3 | the collector drains W
//     A reads the cell: W, marked: given. Clearing starts only after the drain, so A cannot have seen null.
//   A given object whose mark is new, its words not visited yet, the giver taking a child out of it: W is
//     grey, so this round scans something and there is another, which sees the child on A's stack.
//   Clearing beside a load in phase 3: the object is unmarked for both, A waits and finds null. Only a
//     finalizer's resurrection (finalizer.cc) marks objects after the pass, W perhaps. A may have loaded W
//     before its cell was cleared and see the mark after: so having seen the mark it looks at the cell
//     again. Both sides step on weak_passes, the pass at its end (P), A between its looks (L). If L comes
//     after P, the second look sees what P's thread did before, the cleared cell. If P comes after L, so
//     does the resurrection, and the mark that A saw is one of the cycle's own.
//   A cell written in phase 3: with an object that the writer holds, so a marked one, or one that this
//     cycle's rounds still find. Copies go by way of lock(): a cell copied as it is could be missed by a
//     pass that has gone by.
//   World stopped: a stopped thread is in no section, so its load is done and the pointer on its stack.
#include "gcruntime/gc/weak.h"

#include <atomic>
#include <cstdint>
#include <ctime>

#include "gcruntime/gc/barrier.h"
#include "gcruntime/gc/cell_table.h"
#include "gcruntime/gc/escape.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/phase.h"
#include "gcruntime/heap/page_map.h"

namespace tailrace::gc {
namespace {

constexpr long kLookAgainNs = 20'000;

constinit CellTable table("no memory for the table of weak references");
// Ended; who looks at a cell a second time steps on it too, without counting.
constinit std::atomic<std::uint32_t> weak_passes{0};

bool is_marked(void* object) noexcept {
  const heap::ObjectPlace place = heap::find_object(reinterpret_cast<std::uintptr_t>(object));
  TAILRACE_CHECK_VALUE(place.slot != 0, "a Weak refers to an object that was freed; its address:",
                       reinterpret_cast<std::uintptr_t>(object));
  return place.marked();
}

void check_managed(void* object) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(object);
  TAILRACE_CHECK_VALUE(heap::contains(address) && heap::find_object(address).slot != 0,
                       "a Weak to something that is not on the collected heap:", address);
}

// The thread is native meanwhile, so the collector waits for it nowhere.
void wait_a_moment() noexcept {
  native([] {
    const timespec moment{0, kLookAgainNs};
    ::nanosleep(&moment, nullptr);
  });
}

enum class Look { kDecided, kUndecided };

// In one section: see above.
Look look_at(void* const* cell, void*& object) noexcept {
  const Section section;
  std::atomic_ref<void*> word(*const_cast<void**>(cell));
  // Acquire pairs with store_weak's release: the object's contents are visible.
  object = word.load(std::memory_order_acquire);
  if (object == nullptr) return Look::kDecided;
  const std::uint8_t phase = base::phase();
  if (phase == kPhaseOff || phase == kPhaseLeaving) return Look::kDecided;
  if (phase != kPhaseCutOver) {
    shade_loaded(object);
    return Look::kDecided;
  }
  if (!is_marked(object)) return Look::kUndecided;
  // Acquire-release: pairs with clear_dead_weak's, whichever comes first.
  weak_passes.fetch_add(0, std::memory_order_acq_rel);
  object = word.load(std::memory_order_relaxed);
  return Look::kDecided;
}

}  // namespace

namespace internal {

void** acquire_weak_cell(void* object) {
  static_cast<void>(mutator());
  if (!base::mutant(base::Mutant::kEscapeWeak))
    fade(object);  // a weak reference is to an object that the collector frees
  check_managed(object);
  return table.acquire(object);
}

void release_weak_cell(void** cell) noexcept { table.release(cell); }

void store_weak(void** cell, void* object) noexcept {
  static_cast<void>(mutator());
  if (object != nullptr) {
    if (!base::mutant(base::Mutant::kEscapeWeak)) fade(object);
    check_managed(object);
  }
  // Release pairs with load_weak's acquire. No barrier: nothing is kept by a cell.
  std::atomic_ref<void*>(*cell).store(object, std::memory_order_release);
}

void* load_weak(void* const* cell) noexcept {
  static_cast<void>(mutator());
  void* object = nullptr;
  if (look_at(cell, object) == Look::kDecided) [[likely]]
    return object;
  const HoldTimer timer(HoldKind::kStall);
  do {
    object = nullptr;  // this frame is scanned, and must not keep what it waits to hear of
    wait_a_moment();
  } while (look_at(cell, object) == Look::kUndecided);
  return object;
}

}  // namespace internal

std::size_t clear_dead_weak() noexcept {
  std::size_t cleared = 0;
  table.for_each([&](std::atomic_ref<void*> word, void* object) {
    if (is_marked(object)) return;
    // If the owner writes the cell now, that stands. Relaxed: published below.
    if (word.compare_exchange_strong(object, nullptr, std::memory_order_relaxed)) ++cleared;
  });
  // Acquire-release: pairs with look_at's. Nobody sees a mark set from here on, and not the cleared cell.
  weak_passes.fetch_add(1, std::memory_order_acq_rel);
  return cleared;
}

std::size_t weak_table_bytes() noexcept { return table.bytes(); }

}  // namespace tailrace::gc
