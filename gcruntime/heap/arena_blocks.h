// Blocks of request memory: the last range of the reservation, in units of 32 KiB. A block of one unit
// holds the small objects of an arena; one of several holds a single object.
//
//   block:   [ segment | objects ... | segment | objects ... ], its head in a table of its own: heads stay heads
//            for ever, so a word that is no pointer any more leads to a head that says so
//   object:  [ header word | payload, aligned to 16 ]: a whole number of granules of 16 bytes, so the header
//            stands at 8 modulo 16. Objects without pointers have a header too (type 0).
//   segment: a run of objects without a gap, which is walked by headers up to the arena's bump pointer. A
//            fresh block is one segment; a block with faded objects has one in each hole that was taken.
//
// [arena.colour] An object is *unfaded* until its arena's fiber sets its fade bit, and the collector's from
// then on. Bits are one a granule, the payload's first. The collector finds faded objects only.
// [arena.bits] The bits of a block mean nothing until `bits` is set (release, after they were cleared), which
// the first fade does. A block with bits is in the registry until it has no faded object and no owner.
//
// The owner and everything below it in the head is the arena's fiber's, unless said; functions that take
// a lock run in a section, or on a thread that is not attached.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/base/annotations.h"
#include "gcruntime/heap/page_map.h"

namespace tailrace::heap {

struct Span;
struct Allowance;

inline constexpr std::size_t kGranuleBytes = 16;
inline constexpr std::size_t kGranules = kArenaBlockBytes / kGranuleBytes;
// With its header; what is larger has a block of its own.
inline constexpr std::size_t kMostArenaSmallBytes = 8192;

// What arenas read of an object's header: gc/type_info.h has the rest. Bits 0-15 type, 22-31 granules (0 in a
// block of its own).
struct ArenaHeader {
  static constexpr int kGranuleShift = 22;
  static constexpr std::uint64_t of_granules(std::size_t granules) {
    return std::uint64_t{granules} << kGranuleShift;
  }
  static constexpr std::size_t granules(std::uint64_t header) {
    return header >> kGranuleShift & 1023;
  }
  static constexpr bool noscan(std::uint64_t header) { return (header & 0xffff) == 0; }
};
static_assert(kMostArenaSmallBytes / kGranuleBytes < 1024);

struct ArenaSegment {
  // The collector's walk, which runs beside the fiber: release by the fiber, acquire by the walk.
  std::atomic<ArenaSegment*> next{nullptr};  // of the arena's
  std::atomic<char*> end{nullptr};   // behind its last object; null while the bump pointer tells
  char* limit = nullptr;             // where its memory ends
  ArenaSegment* in_block = nullptr;  // the one before in this block
  char* indexed = nullptr;           // up to there the starts are in the block's index
  void* pad = nullptr;

  // The first object's header.
  char* begin() noexcept { return reinterpret_cast<char*>(this + 1) + 8; }
};
static_assert(sizeof(ArenaSegment) % kGranuleBytes == 0);

// Zero: no block.
struct ArenaBlock {
  // The arena whose unfaded objects lie here; null: nobody's. Release when it is set or cleared, acquire by
  // who asks whose a pointer is.
  std::atomic<void*> owner{nullptr};
  std::atomic<bool> bits{false};
  bool registered = false;  // under the lock
  bool holes = false;       // on the list of those that have some; under the lock
  std::uint32_t units = 0;  // of memory; 0: no block begins here. Its taker's
  // Not the first unit of a block: how many before this one it begins. Release by the taker, acquire by who
  // looks for a block.
  std::atomic<std::uint32_t> back{0};
  std::uint32_t left_generation = 0;  // heap generation of the fiber's thread when the owner let go
  std::uint32_t free_bytes = 0;       // in its holes, as of the last sweep; under the lock
  std::uint64_t alone_bytes =
      0;                       // of the object that has it to itself, header included. Its taker's
  Span* span = nullptr;        // its taker's
  ArenaBlock* next = nullptr;  // of a thread's free blocks, or of those with holes (under the lock)
  ArenaBlock* previous = nullptr;         // of those with holes
  ArenaBlock* next_registered = nullptr;  // under the lock
  ArenaSegment* segments = nullptr;       // of the owner, the last first
  std::atomic<std::uint64_t> faded[kGranules / 64];
  std::atomic<std::uint64_t> marked[kGranules / 64];
  // What had faded here when its holes were last taken: not that owner's. Under the lock.
  std::uint64_t inherited[kGranules / 64];
  std::uint64_t starts[kGranules / 64];  // of the owner's objects, as far as segments are indexed

  char* begin() const noexcept;  // of its memory
  char* end() const noexcept;
};

// Of an address in the arena range; it may be nobody's, without bits.
TAILRACE_ALWAYS_INLINE ArenaBlock* arena_block_of(std::uintptr_t address) noexcept {
  ArenaBlock* const head =
      page_map.arena_heads + (address - page_map.arena_base) / kArenaBlockBytes;
  return head - head->back.load(std::memory_order_acquire);
}
inline char* ArenaBlock::begin() const noexcept {
  return reinterpret_cast<char*>(page_map.arena_base +
                                 static_cast<std::size_t>(this - page_map.arena_heads) *
                                     kArenaBlockBytes);
}
inline char* ArenaBlock::end() const noexcept { return begin() + units * kArenaBlockBytes; }

// --- Taking and giving blocks ----------------------------------------------------------------------

// A block without an owner, whose first segment has `payload_bytes` of room at least; null: no memory, or none
// within the allowance. Its memory is not zeroed. Section.
ArenaBlock* take_arena_block(std::size_t payload_bytes, Allowance* allowance) noexcept;
// Without an owner, without bits.
void free_arena_block(ArenaBlock* block) noexcept;

// A hole of a partly faded block: [begin, end), granules that hold no faded object.
struct ArenaHole {
  ArenaBlock* block = nullptr;
  char* begin = nullptr;
  char* end = nullptr;
};
// A block with holes becomes `owner`'s, if there is one: the first hole is returned.
ArenaHole take_arena_holes(void* owner) noexcept;
// [arena.sweep] No holes are taken until the next sweep_arena_blocks has ended. The collector, before the first
// thread adopts the new generation.
void close_arena_holes() noexcept;
// The block's next hole behind `from`, of kLeastHoleBytes at least; an empty one: none is left.
inline constexpr std::size_t kLeastHoleBytes = 512;
ArenaHole next_arena_hole(ArenaBlock* block, char* from) noexcept;

// --- Fading and sweeping -----------------------------------------------------------------------------

// The fade bit of the object whose payload begins there, in a block with an owner. True: it was set by this
// call. Section; the owner's fiber.
bool set_faded(ArenaBlock* block, std::uintptr_t payload) noexcept;
// The owner lets go of a block that has bits. Section, or the collector for an arena that ended meanwhile.
void leave_arena_block(ArenaBlock* block, std::uint32_t generation) noexcept;

// The faded object that an address lies in, its header included; slot 0: none.
ObjectPlace find_faded(ArenaBlock* block, std::uintptr_t address) noexcept;
TAILRACE_ALWAYS_INLINE bool in_faded(ArenaBlock* block, std::uintptr_t address) noexcept {
  // Relaxed: find_faded looks again; where this is the owner's own question nobody else sets the bits.
  return block->bits.load(std::memory_order_relaxed) && find_faded(block, address).slot != 0;
}

// After a marking, when all threads have answered: blocks that were left before are swept by their marks, all
// marks are cleared. `generation` is the new one. The collector, before the next marking.
struct ArenaSweep {
  std::uint64_t freed_objects = 0;
  std::uint64_t freed_bytes = 0;
  std::uint64_t live_objects = 0;  // faded, in blocks without an owner
  std::uint64_t live_bytes = 0;
};
ArenaSweep sweep_arena_blocks(std::uint32_t generation) noexcept;
// All that sweeps have freed since the start of the program; live_* as of the last one.
ArenaSweep arena_sweep_totals() noexcept;

// Each faded object there is. With the world stopped, or the own blocks' of a test.
using VisitFaded = void (*)(void* visitor, const ObjectPlace& place);
void for_each_faded(VisitFaded visit, void* visitor) noexcept;

struct ArenaBlockStats {
  std::uint64_t block_bytes = 0;  // in blocks, all of them
  std::uint64_t left_blocks = 0;  // with faded objects and without an owner
  std::uint64_t hole_blocks = 0;  // of them: with holes for new arenas
  std::uint64_t hole_bytes = 0;
};
ArenaBlockStats arena_block_stats() noexcept;

}  // namespace tailrace::heap
