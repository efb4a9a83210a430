#include "gcruntime/gc/barrier.h"

#include "gcruntime/gc/marker.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/phase.h"
#include "gcruntime/gc/referents.h"
#include "gcruntime/heap/page_map.h"

namespace tailrace::gc {

constinit Rounds rounds;
constinit std::atomic<bool> grey_appeared{false};

namespace internal {

// In the section, with the phase on. Setting the mark and queueing the object are one step for whoever
// asks for a handshake: else a round could end between them with a marked object that nobody scans.
void shade_place(Mutator& self, const heap::ObjectPlace& place) noexcept {
  // A free slot: the word is no pointer, or stale.
  if (place.slot == 0 || !place.allocated()) return;
  if (!mark_object(place)) return;
  self.shaded_bytes += place.slot_bytes;
  if (place.noscan) return;
  if (base::mutant(base::Mutant::kShadeUnflagged)) base::mutant_delay(8, 40);
  self.greys.push(place.slot);
  // Release: pairs with the collector's acquire at the end of a round [gc.termination].
  if (!grey_appeared.load(std::memory_order_relaxed)) {
    grey_appeared.store(true, std::memory_order_release);
  }
}

namespace {

bool begin_shading(Mutator* self) noexcept {
  if (self == nullptr) return false;
  if (base::mutant(base::Mutant::kShadeUnflagged)) return true;
  enter_section();
  // Read again: a handshake may have been answered since the test, and a late shade must not set a mark
  // for the next cycle.
  const std::uint8_t phase = base::phase();
  if (phase != kPhaseOff && phase != kPhaseLeaving) return true;
  leave_section();
  return false;
}
void end_shading() noexcept {
  if (!base::mutant(base::Mutant::kShadeUnflagged)) leave_section();
}

}  // namespace

TAILRACE_NOINLINE void shade_value(std::uintptr_t value) noexcept {
  if (!heap::contains(value)) return;
  Mutator* const self = base::current_mutator();
  if (!begin_shading(self)) return;
  shade_place(*self, heap::find_object(value));
  end_shading();
}

TAILRACE_NO_SANITIZE TAILRACE_NOINLINE void shade_words(const void* words,
                                                        std::size_t count) noexcept {
  const auto* word = static_cast<const volatile std::uintptr_t*>(words);
  // In pieces, so that a long range holds up no handshake.
  constexpr std::size_t kPiece = 256;
  for (std::size_t done = 0; done < count; done += kPiece) {
    Mutator* const self = base::current_mutator();
    if (!begin_shading(self)) return;
    const std::size_t end = count - done < kPiece ? count : done + kPiece;
    for (std::size_t i = done; i < end; ++i) shade_conservatively(*self, word[i]);
    end_shading();
  }
}

void shade_conservatively(Mutator& self, std::uintptr_t word) noexcept {
  for_each_referent(word, [&](const heap::ObjectPlace& place) { shade_place(self, place); });
}

}  // namespace internal

void shade_loaded(void* object) noexcept {
  internal::shade_place(*base::current_mutator(),
                        heap::find_object(reinterpret_cast<std::uintptr_t>(object)));
}

}  // namespace tailrace::gc
