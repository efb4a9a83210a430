// [arena.fade] An object is faded in a section of its own: its fade bit, and its mark if the collector's phase
// asks for one, are one step for handshakes. What it points to is faded after it, in later sections; the pointer
// that made it escape is stored last. A cycle may begin or end between any two of them:
//   phase off        the object is white, like any that nobody has marked yet. If the barrier comes on before the
//                    store, the store's own barrier shades it, and its children are found through it. Where it is
//                    the last cycle's sweep that is to come, the arena is left with a generation that is not
//                    older than the fade's thread's, though it may end on a thread that has not adopted it.
//   barrier, and     it is shaded: grey, so the marker looks into it. A child that is not faded yet is no object
//   black before     for the marker, but it stays a root's (the arena will be walked); when it fades it is shaded
//   the walk ended   itself.
//   black with       it is marked and not looked into. Each arena that was open at the handshake has been walked,
//   rounds, cut-over this object with it; later ones were zeros; and every store since has shaded. So what it
//                    points to is marked or grey, or fades next, and is marked then. Grey instead, every fade
//                    would take the cycle another round, and with requests that fade it would have no end.
//   leaving          the same: all that could be reached is marked, what it points to included.
// So an object that somebody else can reach is marked in every cycle in which it could be missed.
#include "gcruntime/gc/escape.h"

#include <algorithm>
#include <vector>

#include "gcruntime/base/check.h"
#include "gcruntime/base/mutant.h"
#include "gcruntime/gc/allocate.h"
#include "gcruntime/gc/arena_record.h"
#include "gcruntime/gc/barrier.h"
#include "gcruntime/gc/escape_report.h"
#include "gcruntime/gc/marker.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/phase.h"
#include "gcruntime/gc/type_info.h"
#include "gcruntime/heap/arena_blocks.h"

namespace tailrace::gc::internal {
namespace {

using heap::ArenaBlock;

std::uint64_t header_at(std::uintptr_t slot) noexcept {
  return *reinterpret_cast<const std::uint64_t*>(slot);
}
std::size_t bytes_at(const ArenaBlock* block, std::uintptr_t slot) noexcept {
  const std::size_t granules = heap::ArenaHeader::granules(header_at(slot));
  return granules != 0 ? granules * heap::kGranuleBytes : block->alone_bytes;
}

// The index of the block has the starts of all objects of the segment by now.
void index_segment(const Arena& arena, ArenaBlock* block, heap::ArenaSegment* segment) noexcept {
  char* const end = end_of_segment(arena, *segment);
  for_each_in_segment(segment->indexed, end, [&](const char* at, std::uint64_t) {
    const auto granule =
        static_cast<std::size_t>(at + kHeaderBytes - block->begin()) / heap::kGranuleBytes;
    block->starts[granule / 64] |= std::uint64_t{1} << granule % 64;
  });
  segment->indexed = end;
}

// The slot of the arena's object, faded or not, that the address lies in; 0: none.
std::uintptr_t find_slot(const Arena& arena, ArenaBlock* block, std::uintptr_t address) noexcept {
  for (heap::ArenaSegment* segment = block->segments; segment != nullptr;
       segment = segment->in_block) {
    if (address < reinterpret_cast<std::uintptr_t>(segment) ||
        address >= reinterpret_cast<std::uintptr_t>(segment->limit)) {
      continue;
    }
    index_segment(arena, block, segment);
    const auto begin = reinterpret_cast<std::uintptr_t>(block->begin());
    std::size_t granule =
        std::min((address - begin + kHeaderBytes) / heap::kGranuleBytes, heap::kGranules - 1);
    std::size_t word = granule / 64;
    std::uint64_t bits = block->starts[word] & ~std::uint64_t{0} >> (63 - granule % 64);
    while (bits == 0) {
      if (word == 0) return 0;
      bits = block->starts[--word];
    }
    granule = word * 64 + 63 - static_cast<std::size_t>(__builtin_clzll(bits));
    const std::uintptr_t slot = begin + granule * heap::kGranuleBytes - kHeaderBytes;
    return address - slot < bytes_at(block, slot) ? slot : 0;
  }
  return 0;
}

ArenaBlock* block_of(const Arena& arena, std::uintptr_t address) noexcept {
  if (!heap::in_arena_range(address)) return nullptr;
  ArenaBlock* const block = heap::arena_block_of(address);
  // Relaxed: the own fiber's, or another's, which it is not.
  return block->owner.load(std::memory_order_relaxed) == &arena ? block : nullptr;
}

// [arena.fade] In a section: neither the cycle under way nor the sweep that is to come frees it.
void keep_object(Mutator& self, Arena& arena, const heap::ObjectPlace& place) noexcept {
  const std::uint8_t phase = base::phase();
  if (phase == kPhaseOff) {
    arena.faded_generation = self.cache.generation;
    return;
  }
  // From the first round on the arena has been walked, or is as young as what is born black. Acquire: pairs with
  // the collector's release, which comes after that walk.
  const bool black = phase == kPhaseLeaving ||
                     (phase != kPhaseBarrier && rounds.open.load(std::memory_order_acquire) != 0);
  if (!black) {
    shade_place(self, place);
  } else if (mark_object(place)) {
    self.shaded_bytes += place.slot_bytes;
  }
}

// One section: true, if it was not faded before.
bool fade_one(Arena& arena, ArenaBlock* block, std::uintptr_t slot) noexcept {
  const Section section;
  if (!heap::set_faded(block, slot + kHeaderBytes)) return false;
  Mutator& self = *base::current_mutator();
  const std::size_t bytes = bytes_at(block, slot);
  ++arena.faded_objects;
  arena.faded_bytes += bytes;
  // It is the collector's to mark and to free: the pacer hears of it with the thread's next allocations.
  self.cache.flushed_bytes -= bytes;
  if (!base::mutant(base::Mutant::kFadeUnmarked)) {
    keep_object(self, arena, heap::find_faded(block, slot));
  }
  return true;
}

// What has faded and has not been looked into.
class Work {
 public:
  void push(std::uintptr_t slot) {
    if (count_ < kNear) {
      near_[count_++] = slot;
    } else {
      far_.push_back(slot);
    }
  }
  bool empty() const noexcept { return count_ == 0 && far_.empty(); }
  std::uintptr_t pop() noexcept {
    if (far_.empty()) return near_[--count_];
    const std::uintptr_t slot = far_.back();
    far_.pop_back();
    return slot;
  }

 private:
  static constexpr std::size_t kNear = 128;
  std::uintptr_t near_[kNear];
  std::size_t count_ = 0;
  std::vector<std::uintptr_t> far_;
};

class Fader {
 public:
  // `site`: for the report, where the store returns to.
  Fader(Arena& arena, const void* site) noexcept
      : arena_(arena), site_(site), bytes_(arena.faded_bytes), objects_(arena.faded_objects) {}
  Fader(const Fader&) = delete;
  Fader& operator=(const Fader&) = delete;
  ~Fader() {
    drain();
    if (arena_.faded_objects == objects_) return;
    note_escape(arena_.label, first_type_, arena_.faded_bytes - bytes_,
                arena_.faded_objects - objects_, site_);
  }

  void reach(std::uintptr_t address) noexcept {
    ArenaBlock* const block = block_of(arena_, address);
    if (block == nullptr) return;
    const std::uintptr_t slot = find_slot(arena_, block, address);
    if (base::mutant(base::Mutant::kFadeNoInner) && address != slot + kHeaderBytes) return;
    if (slot == 0) return;
    if (base::mutant(base::Mutant::kFadeNoTexts) && heap::ArenaHeader::noscan(header_at(slot))) {
      return;
    }
    if (!fade_one(arena_, block, slot)) return;
    if (arena_.faded_objects == objects_ + 1) first_type_ = Header::type(header_at(slot));
    if (!heap::ArenaHeader::noscan(header_at(slot))) work_.push(slot);
  }
  // Any bit pattern: what it points into, and what ends there.
  void reach_conservatively(std::uintptr_t word) noexcept {
    if (!heap::in_arena_range(word) && !heap::in_arena_range(word - 1)) return;
    reach(word);
    reach(word - 1);
  }

 private:
  void drain() noexcept {
    if (base::mutant(base::Mutant::kFadeShallow)) return;
    while (!work_.empty()) look_into(work_.pop());
  }
  void look_into(std::uintptr_t slot) noexcept {
    const ScannedObject object = read_scanned_object(slot);
    for_each_traced_word(object, [&](std::size_t index) {
      const std::uintptr_t word = object.payload[index];
      if (object.type->maybe) {
        if (!base::mutant(base::Mutant::kFadeNoMaybes)) reach_conservatively(word);
      } else if ((word & 1) == 0) {
        reach(word);
      }
    });
  }

  Arena& arena_;
  const void* const site_;
  const std::uint64_t bytes_;
  const std::uint64_t objects_;
  std::uint16_t first_type_ = 0;
  Work work_;
};

Arena* arena_of(Mutator* self) noexcept { return self == nullptr ? nullptr : self->arena; }

}  // namespace

namespace {

// Most stores of a request are within a block, and most blocks have no faded object: then both are unfaded
// objects of one arena.
TAILRACE_ALWAYS_INLINE bool within_clean_block(std::uintptr_t slot, std::uintptr_t value) noexcept {
  const std::uintptr_t base = heap::page_map.arena_base;
  return (slot - base) / heap::kArenaBlockBytes == (value - base) / heap::kArenaBlockBytes &&
         // Relaxed: the own fiber's, or a pointer that is none.
         !heap::arena_block_of(value)->bits.load(std::memory_order_relaxed);
}

// Frames below with_arena's caller's. Those above may have been lent to another fiber before the arena was opened,
// which reads there what is stored now.
TAILRACE_ALWAYS_INLINE bool in_own_frames(const Mutator& self, std::uintptr_t place) noexcept {
  return place - self.stack_low() < self.arena->frame - self.stack_low();
}

// The arena whose unfaded object would escape; null: nothing does.
TAILRACE_ALWAYS_INLINE Arena* escaping(Mutator& self, std::uintptr_t place,
                                       std::uintptr_t value) noexcept {
  ArenaBlock* const block = heap::arena_block_of(value);
  // Acquire: pairs with who gave the block to the arena.
  auto* const owner = static_cast<Arena*>(block->owner.load(std::memory_order_acquire));
  if (owner == nullptr) return nullptr;  // faded, or nobody's
  const bool own = owner == self.arena ? in_own_frames(self, place) : self.on_own_stack(place);
  if (own && !base::mutant(base::Mutant::kEscapeOwnStack)) return nullptr;
  if (base::mutant(base::Mutant::kEscapeIgnored) && !heap::in_arena_range(place) &&
      heap::contains(place)) {
    return nullptr;
  }
  if (base::mutant(base::Mutant::kEscapeOutside) && !heap::contains(place)) return nullptr;
  if (ArenaBlock* const around = block_of(*owner, place);
      around != nullptr && !base::mutant(base::Mutant::kEscapeSameArena) &&
      (base::mutant(base::Mutant::kEscapeToFaded) || !heap::in_faded(around, place))) {
    return nullptr;
  }
  return heap::in_faded(block, value) ? nullptr : owner;
}

}  // namespace

// On a thread that is not attached the store itself stops the program.
TAILRACE_NOINLINE void escape(std::uintptr_t slot, std::uintptr_t value) noexcept {
  if (within_clean_block(slot, value)) return;
  if ((value & 1) != 0) return;  // the text of an inline String
  Mutator* const self = base::current_mutator();
  if (self == nullptr) return;
  Arena* const owner = escaping(*self, slot, value);
  if (owner == nullptr) return;
  TAILRACE_CHECK_VALUE(owner == self->arena,
                       "a pointer into another fiber's request arena is stored: what fibers share "
                       "is handed over by spawn or a channel, or published; the pointer:",
                       value);
  Fader(*owner, __builtin_return_address(0)).reach(value);
}

TAILRACE_NOINLINE void escape_word(std::uintptr_t slot, std::uintptr_t word) noexcept {
  if (within_clean_block(slot, word) || (word & 1) != 0) return;
  Mutator* const self = base::current_mutator();
  if (self == nullptr) return;
  Arena* const owner = escaping(*self, slot, word);
  if (owner == nullptr || owner != self->arena) return;
  Fader(*owner, __builtin_return_address(0)).reach(word);
}

bool is_unfaded(const void* pointer) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  if (!heap::in_arena_range(address)) return false;
  ArenaBlock* const block = heap::arena_block_of(address);
  // Acquire: pairs with who gave the block to its arena.
  return block->owner.load(std::memory_order_acquire) != nullptr && !heap::in_faded(block, address);
}

bool lives_in_arena(Mutator& self, std::uintptr_t place) noexcept {
  if (in_own_frames(self, place)) return true;
  ArenaBlock* const block = block_of(*self.arena, place);
  return block != nullptr && !heap::in_faded(block, place);
}

void keep_faded(const void* object) noexcept {
  const Section section;
  Mutator& self = *base::current_mutator();
  const auto address = reinterpret_cast<std::uintptr_t>(object);
  keep_object(self, *self.arena, heap::find_faded(heap::arena_block_of(address), address));
}

void check_own_backing(std::uintptr_t backing) noexcept {
  ArenaBlock* const block = heap::arena_block_of(backing);
  // Acquire: pairs with who gave the block to its arena.
  const void* const owner = block->owner.load(std::memory_order_acquire);
  TAILRACE_CHECK_VALUE(
      owner == nullptr || owner == mutator()->arena || heap::in_faded(block, backing),
      "a container grows whose elements lie in another fiber's request arena: hand what it is part "
      "of to "
      "spawn or blocking itself, not behind malloc (std::function, std::shared_ptr); its elements:",
      backing);
}

void fade(const void* pointer) noexcept {
  Arena* const arena = arena_of(base::current_mutator());
  if (arena == nullptr || arena->closed) return;
  Fader(*arena, __builtin_return_address(0)).reach(reinterpret_cast<std::uintptr_t>(pointer));
}

namespace {

TAILRACE_NO_SANITIZE void fade_words_of(Arena& arena, const void* begin, std::size_t bytes,
                                        const void* site) noexcept {
  const std::uintptr_t low = (reinterpret_cast<std::uintptr_t>(begin) + 7) & ~std::uintptr_t{7};
  const std::uintptr_t high = reinterpret_cast<std::uintptr_t>(begin) + bytes;
  const std::uintptr_t range = heap::page_map.arena_base;
  const std::size_t range_bytes = heap::page_map.arena_bytes;
  Fader fader(arena, site);
  for (std::uintptr_t at = low; at + 8 <= high; at += 8) {
    const std::uintptr_t word = *reinterpret_cast<const volatile std::uintptr_t*>(at);
    // Most are nowhere near. Up to the range's end: what ends there.
    if (word - range <= range_bytes) [[unlikely]]
      fader.reach_conservatively(word);
  }
}

void fade_all_of(Arena& arena, const void* site) noexcept {
  const std::uint64_t bytes = arena.faded_bytes;
  const std::uint64_t objects = arena.faded_objects;
  for (heap::ArenaSegment* segment = arena.first.load(std::memory_order_relaxed);
       segment != nullptr; segment = segment->next.load(std::memory_order_relaxed)) {
    ArenaBlock* const block = heap::arena_block_of(reinterpret_cast<std::uintptr_t>(segment));
    for_each_in_segment(segment->begin(), end_of_segment(arena, *segment),
                        [&](const char* at, std::uint64_t) {
                          fade_one(arena, block, reinterpret_cast<std::uintptr_t>(at));
                        });
  }
  // Nothing fits any more: what is allocated next finds it closed.
  arena.limit = arena.bump.load(std::memory_order_relaxed);
  arena.closed = true;
  bump(base::current_mutator()->arena_counts.faded_whole, 1);
  note_escape(arena.label, 0, arena.faded_bytes - bytes, arena.faded_objects - objects, site);
}

}  // namespace

void fade_words(const void* begin, std::size_t bytes) noexcept {
  Arena* const arena = arena_of(base::current_mutator());
  if (arena == nullptr || arena->closed || arena->blocks == nullptr) return;
  fade_words_of(*arena, begin, bytes, __builtin_return_address(0));
}

void fade_all() noexcept {
  Arena* const arena = arena_of(base::current_mutator());
  if (arena == nullptr || arena->closed) return;
  fade_all_of(*arena, __builtin_return_address(0));
}

TAILRACE_NO_SANITIZE void hand_over(const void* begin, std::size_t bytes) noexcept {
  Mutator* const self = base::current_mutator();
  Arena* const arena = arena_of(self);
  if (arena == nullptr || arena->closed) return;
  if (base::mutant(base::Mutant::kHandOverIgnored)) return;
  const std::uintptr_t low = (reinterpret_cast<std::uintptr_t>(begin) + 7) & ~std::uintptr_t{7};
  const std::uintptr_t high = reinterpret_cast<std::uintptr_t>(begin) + bytes;
  for (std::uintptr_t at = low; at + 8 <= high; at += 8) {
    const std::uintptr_t word = *reinterpret_cast<const volatile std::uintptr_t*>(at);
    // An address within itself moves with it: a short std::string has one.
    if (word - reinterpret_cast<std::uintptr_t>(begin) < bytes) continue;
    if (self->on_own_stack(word) && !base::mutant(base::Mutant::kReferenceIgnored)) {
      return fade_all_of(*arena, __builtin_return_address(0));
    }
  }
  fade_words_of(*arena, begin, bytes, __builtin_return_address(0));
}

}  // namespace tailrace::gc::internal
