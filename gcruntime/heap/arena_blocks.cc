#include "gcruntime/heap/arena_blocks.h"

#include <algorithm>
#include <bit>
#include <mutex>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "gcruntime/base/mutant.h"
#include "gcruntime/base/spin_lock.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/pages.h"
#include "gcruntime/heap/poison.h"

namespace tailrace::heap {
namespace {

// A block of which less is free waits for the sweep.
constexpr std::uint32_t kLeastFreeBytes = kArenaBlockBytes / 4;

base::SpinLock lock;                     // guards what the header says, and these
ArenaBlock* registry = nullptr;          // blocks with bits
ArenaBlock* first_with_holes = nullptr;  // the last that got some
bool holes_closed = false;
// Relaxed, all: figures, written under the lock; the count spares takers the lock where there are none.
std::atomic<std::uint64_t> hole_blocks{0};
std::atomic<std::uint64_t> hole_bytes{0};
std::atomic<std::uint64_t> left_blocks{0};
std::atomic<std::uint64_t> all_units{0};
std::atomic<std::uint64_t> freed_objects{0};
std::atomic<std::uint64_t> freed_bytes{0};
std::atomic<std::uint64_t> live_objects{0};
std::atomic<std::uint64_t> live_bytes{0};

std::uintptr_t address_of(const char* place) noexcept {
  return reinterpret_cast<std::uintptr_t>(place);
}
std::uint64_t header_at(std::uintptr_t address) noexcept {
  // Relaxed: constant since before the fade bit, whose load was an acquire.
  return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(address), __ATOMIC_RELAXED);
}
// With its header.
std::size_t object_bytes(const ArenaBlock* block, std::uintptr_t header) noexcept {
  const std::size_t granules = ArenaHeader::granules(header_at(header));
  return granules == 0 ? block->alone_bytes : granules * kGranuleBytes;
}
std::uintptr_t payload_of(const ArenaBlock* block, std::size_t granule) noexcept {
  return address_of(block->begin()) + granule * kGranuleBytes;
}

// The first faded object at or behind a granule; kGranules: none.
std::size_t next_faded(const ArenaBlock* block, std::size_t granule) noexcept {
  for (std::size_t word = granule / 64; word < kGranules / 64; ++word) {
    // Acquire: pairs with set_faded; who computes holes reads headers.
    std::uint64_t bits = block->faded[word].load(std::memory_order_acquire);
    if (word == granule / 64) bits &= ~std::uint64_t{0} << granule % 64;
    if (bits != 0) return word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
  }
  return kGranules;
}

// Under the lock, both.
void add_to_holes(ArenaBlock* block) noexcept {
  block->holes = true;
  block->previous = nullptr;
  block->next = first_with_holes;
  if (first_with_holes != nullptr) first_with_holes->previous = block;
  first_with_holes = block;
  hole_blocks.fetch_add(1, std::memory_order_relaxed);
  hole_bytes.fetch_add(block->free_bytes, std::memory_order_relaxed);
}
void remove_from_holes(ArenaBlock* block) noexcept {
  (block->previous != nullptr ? block->previous->next : first_with_holes) = block->next;
  if (block->next != nullptr) block->next->previous = block->previous;
  block->next = block->previous = nullptr;
  block->holes = false;
  hole_blocks.fetch_sub(1, std::memory_order_relaxed);
  hole_bytes.fetch_sub(block->free_bytes, std::memory_order_relaxed);
}

// Of a block without an owner, under the lock: whether new arenas may have its holes.
void note_holes(ArenaBlock* block) noexcept {
  if (block->holes) remove_from_holes(block);
  if (block->units > 1) return;
  std::uint32_t used = 0;
  for (std::size_t at = next_faded(block, 0); at < kGranules; at = next_faded(block, at + 1)) {
    used += static_cast<std::uint32_t>(object_bytes(block, payload_of(block, at) - 8));
  }
  block->free_bytes = static_cast<std::uint32_t>(kArenaBlockBytes) - used;
  if (block->free_bytes < kLeastFreeBytes) return;
  if (next_arena_hole(block, block->begin()).block == nullptr) return;
  add_to_holes(block);
}

}  // namespace

ArenaBlock* take_arena_block(std::size_t payload_bytes, Allowance* allowance) noexcept {
  const std::size_t bytes = sizeof(ArenaSegment) + 16 + payload_bytes;
  const std::size_t units = (bytes + kArenaBlockBytes - 1) / kArenaBlockBytes;
  Span* const span =
      allocate_pages(SpanState::kArena, units * kArenaBlockPages, /*may_grow=*/true, allowance);
  if (span == nullptr) return nullptr;
  const std::size_t unit = (span->start - page_map.arena_base) / kArenaBlockBytes;
  TAILRACE_DCHECK((span->start - page_map.arena_base) % kArenaBlockBytes == 0,
                  "an arena block is not aligned");
  ArenaBlock* const block = page_map.arena_heads + unit;
  block->units = static_cast<std::uint32_t>(units);
  block->span = span;
  block->segments = nullptr;
  block->next = block->previous = nullptr;
  for (std::size_t i = 0; i < units; ++i) {
    // Release: pairs with arena_block_of.
    (block + i)->back.store(static_cast<std::uint32_t>(i), std::memory_order_release);
  }
  all_units.fetch_add(units, std::memory_order_relaxed);
  return block;
}

void free_arena_block(ArenaBlock* block) noexcept {
  TAILRACE_DCHECK(!block->bits.load(std::memory_order_relaxed) && !block->registered,
                  "an arena block with faded objects is freed");
  all_units.fetch_sub(block->units, std::memory_order_relaxed);
  Span* const span = block->span;
  block->units = 0;
  block->span = nullptr;
  free_pages(span);
}

ArenaHole next_arena_hole(ArenaBlock* block, char* from) noexcept {
  const std::uintptr_t begin = address_of(block->begin());
  std::uintptr_t at = (address_of(from) + kGranuleBytes - 1) & ~(kGranuleBytes - 1);
  for (;;) {
    const std::size_t granule =
        std::min((at - begin + kGranuleBytes / 2) / kGranuleBytes, kGranules);
    std::size_t next = next_faded(block, granule);
    if (base::mutant(base::Mutant::kArenaHoleInUse)) next = next_faded(block, next + 1);
    const std::uintptr_t end =
        next == kGranules ? address_of(block->end()) : payload_of(block, next) - 8;
    if (end > at && end - at >= kLeastHoleBytes) {
      return {block, reinterpret_cast<char*>(at), reinterpret_cast<char*>(end)};
    }
    if (next == kGranules) return {};
    at = (end + object_bytes(block, end) + kGranuleBytes - 1) & ~(kGranuleBytes - 1);
  }
}

ArenaHole take_arena_holes(void* owner) noexcept {
  if (hole_blocks.load(std::memory_order_relaxed) == 0) return {};
  const std::lock_guard guard(lock);
  ArenaBlock* const block = first_with_holes;
  if (block == nullptr || holes_closed) return {};
  remove_from_holes(block);
  left_blocks.fetch_sub(1, std::memory_order_relaxed);
  block->segments = nullptr;
  std::fill(std::begin(block->starts), std::end(block->starts), 0);
  for (std::size_t i = 0; i < kGranules / 64; ++i) {
    // Relaxed: nobody fades in a block without an owner.
    block->inherited[i] = block->faded[i].load(std::memory_order_relaxed);
  }
  block->owner.store(owner, std::memory_order_release);
  return next_arena_hole(block, block->begin());
}

bool set_faded(ArenaBlock* block, std::uintptr_t payload) noexcept {
  if (!block->bits.load(std::memory_order_relaxed)) {
    for (std::size_t i = 0; i < kGranules / 64; ++i) {
      block->faded[i].store(0, std::memory_order_relaxed);
      block->inherited[i] = 0;
      block->marked[i].store(0, std::memory_order_relaxed);
    }
    {
      const std::lock_guard guard(lock);
      block->registered = true;
      block->next_registered = registry;
      registry = block;
    }
    block->bits.store(true, std::memory_order_release);
  }
  const std::size_t granule = (payload - address_of(block->begin())) / kGranuleBytes;
  std::atomic<std::uint64_t>& word = block->faded[granule / 64];
  const std::uint64_t bit = std::uint64_t{1} << granule % 64;
  // Relaxed: the owner's fiber alone sets bits.
  if ((word.load(std::memory_order_relaxed) & bit) != 0) return false;
  // Release: the header and what the object holds come before the bit; pairs with find_faded. In one step, as
  // the sweep clears others.
  word.fetch_or(bit, std::memory_order_release);
  return true;
}

void leave_arena_block(ArenaBlock* block, std::uint32_t generation) noexcept {
  const std::lock_guard guard(lock);
  block->left_generation = generation;
  block->segments = nullptr;
  block->next = block->previous = nullptr;
  block->owner.store(nullptr, std::memory_order_release);
  left_blocks.fetch_add(1, std::memory_order_relaxed);
  note_holes(block);
}

ObjectPlace find_faded(ArenaBlock* block, std::uintptr_t address) noexcept {
  ObjectPlace place;
  // Acquire: pairs with set_faded.
  if (!block->bits.load(std::memory_order_acquire)) return place;
  const std::size_t offset = address - address_of(block->begin());
  if (offset >= block->units * kArenaBlockBytes) return place;
  std::size_t granule = std::min((offset + 8) / kGranuleBytes, kGranules - 1);
  std::size_t word = granule / 64;
  // Acquire: pairs with set_faded.
  std::uint64_t bits =
      block->faded[word].load(std::memory_order_acquire) & ~std::uint64_t{0} >> (63 - granule % 64);
  while (bits == 0) {
    if (word == 0) return place;
    bits = block->faded[--word].load(std::memory_order_acquire);
  }
  granule = word * 64 + 63 - static_cast<std::size_t>(std::countl_zero(bits));
  const std::uintptr_t header = payload_of(block, granule) - 8;
  const std::size_t bytes = object_bytes(block, header);
  if (address - header >= bytes) return place;
  place.slot = header;
  place.slot_bytes = bytes;
  place.noscan = ArenaHeader::noscan(header_at(header));
  place.mark_word = &block->marked[word];
  place.alloc_word = &block->faded[word];
  place.bit = std::uint64_t{1} << granule % 64;
  return place;
}

void close_arena_holes() noexcept {
  const std::lock_guard guard(lock);
  holes_closed = !base::mutant(base::Mutant::kArenaHolesOpen);
}

// [arena.sweep] After a sweep every faded object's pointers lead to objects: a stale word of a stack may lead the
// next cycle to any of them. What is left unswept though it may be dead:
//   faded by the block's owner, which is open: a root then, and what was stored since was shaded
//   faded by an owner that left after it had adopted the generation: it was open while marking ran
// What an owner inherited is swept with or without it, as no root has it. That is why holes are not taken
// between the end of marking and the sweep: what was faded last, and is white and alive, would be inherited.
namespace {

// The slot of a faded object's bit.
std::uintptr_t slot_of(const ArenaBlock* block, std::size_t word, std::uint64_t bits) noexcept {
  return payload_of(block, word * 64 + static_cast<std::size_t>(std::countr_zero(bits))) - 8;
}

// Under the lock. True: the block is out of the registry, and to be freed.
bool sweep_block(ArenaBlock* block, std::uint32_t generation, ArenaSweep& swept) noexcept {
  // Relaxed: written under the lock for who has no owner.
  const bool left = block->owner.load(std::memory_order_relaxed) == nullptr;
  const bool sweeps = left && (block->left_generation != generation ||
                               base::mutant(base::Mutant::kArenaSweptEarly));
  std::uint64_t any = 0;
  for (std::size_t word = 0; word < kGranules / 64; ++word) {
    const std::uint64_t mortal = sweeps ? ~std::uint64_t{0} : block->inherited[word];
    // Relaxed, all: nobody marks now, and only an owner fades.
    const std::uint64_t faded = block->faded[word].load(std::memory_order_relaxed);
    std::uint64_t marked = block->marked[word].load(std::memory_order_relaxed);
    if (base::mutant(base::Mutant::kArenaSweepSlips)) marked &= marked - 1;
    const std::uint64_t dead = faded & mortal & ~marked;
    block->marked[word].store(0, std::memory_order_relaxed);
    any |= faded & ~dead;
    for (std::uint64_t each = dead; each != 0; each &= each - 1) {
      const std::uintptr_t slot = slot_of(block, word, each);
      const std::size_t bytes = object_bytes(block, slot);
      ++swept.freed_objects;
      swept.freed_bytes += bytes;
      // The owner may be reading the header, to pass over it. Poisoned when it leaves.
      if (left) poison_free_memory(slot, bytes);
    }
    block->inherited[word] &= ~dead;
    // Release: pairs with next_faded's acquire, as the owner may take the place at once.
    if (dead != 0) block->faded[word].fetch_and(~dead, std::memory_order_release);
    for (std::uint64_t each = left ? faded & ~dead : 0; each != 0; each &= each - 1) {
      ++swept.live_objects;
      swept.live_bytes += object_bytes(block, slot_of(block, word, each));
    }
  }
  if (!sweeps || any != 0) {
    if (sweeps) note_holes(block);
    block->next_registered = registry;
    registry = block;
    return false;
  }
  if (block->holes) remove_from_holes(block);
  left_blocks.fetch_sub(1, std::memory_order_relaxed);
  block->registered = false;
  // Release: pairs with find_faded.
  block->bits.store(false, std::memory_order_release);
  return true;
}

}  // namespace

ArenaSweep sweep_arena_blocks(std::uint32_t generation) noexcept {
  ArenaSweep swept;
  ArenaBlock* list = nullptr;
  {
    const std::lock_guard guard(lock);
    list = registry;
    registry = nullptr;
  }
  while (list != nullptr) {
    ArenaBlock* const block = list;
    bool free = false;
    {
      const std::lock_guard guard(lock);
      list = block->next_registered;
      free = sweep_block(block, generation, swept);
    }
    if (free) free_arena_block(block);
  }
  {
    const std::lock_guard guard(lock);
    holes_closed = false;
  }
  // Relaxed: figures, by the collector's thread.
  freed_objects.fetch_add(swept.freed_objects, std::memory_order_relaxed);
  freed_bytes.fetch_add(swept.freed_bytes, std::memory_order_relaxed);
  live_objects.store(swept.live_objects, std::memory_order_relaxed);
  live_bytes.store(swept.live_bytes, std::memory_order_relaxed);
  return swept;
}

ArenaSweep arena_sweep_totals() noexcept {
  return {freed_objects.load(std::memory_order_relaxed),
          freed_bytes.load(std::memory_order_relaxed), live_objects.load(std::memory_order_relaxed),
          live_bytes.load(std::memory_order_relaxed)};
}

void for_each_faded(VisitFaded visit, void* visitor) noexcept {
  const std::lock_guard guard(lock);
  for (ArenaBlock* block = registry; block != nullptr; block = block->next_registered) {
    for (std::size_t at = next_faded(block, 0); at < kGranules; at = next_faded(block, at + 1)) {
      visit(visitor, find_faded(block, payload_of(block, at)));
    }
  }
}

ArenaBlockStats arena_block_stats() noexcept {
  return {all_units.load(std::memory_order_relaxed) * kArenaBlockBytes,
          left_blocks.load(std::memory_order_relaxed), hole_blocks.load(std::memory_order_relaxed),
          hole_bytes.load(std::memory_order_relaxed)};
}

}  // namespace tailrace::heap
