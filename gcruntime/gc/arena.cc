#include "gcruntime/gc/arena.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "gcruntime/base/check.h"
#include "gcruntime/base/mutant.h"
#include "gcruntime/gc/allocate.h"
#include "gcruntime/gc/arena_destructors.h"
#include "gcruntime/gc/arena_record.h"
#include "gcruntime/gc/escape.h"
#include "gcruntime/gc/escape_report.h"
#include "gcruntime/gc/memory_limit.h"
#include "gcruntime/gc/memory_wait.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/heap/arena_blocks.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/poison.h"

namespace tailrace::gc {
namespace internal {

constinit std::atomic<Arena*> all_arenas{nullptr};

namespace {

// So much is zeroed at a time, ahead of the bump pointer: it is in the cache when it is used. Below where memset
// changes to a string instruction, which takes longer to begin.
constexpr std::size_t kZeroBytes = 1536;
// Blocks that a thread keeps for its next arenas, until a cycle takes half of them.
constexpr std::uint32_t kMostCachedBlocks = 16;
// Of what faded, before the pacer hears of it.
constexpr std::uint64_t kFlushBytes = 32 * 1024;
// Before a segment's first object.
constexpr std::size_t kSegmentBytes = sizeof(heap::ArenaSegment) + 8;

SectionLock records_lock;
Arena* free_records = nullptr;  // under the lock

// --- Records -----------------------------------------------------------------------------------------

Arena* take_record(Mutator& self) {
  if (Arena* const spare = self.spare_arena) {
    self.spare_arena = nullptr;
    return spare;
  }
  {
    const Section section;
    const std::lock_guard guard(records_lock);
    if (Arena* const arena = free_records) {
      free_records = arena->next_free;
      return arena;
    }
  }
  auto* const arena = new Arena;
  // Release: the record before it is found; pairs with for_each_arena_object.
  arena->next_all = all_arenas.load(std::memory_order_relaxed);
  while (!all_arenas.compare_exchange_weak(arena->next_all, arena, std::memory_order_release,
                                           std::memory_order_relaxed)) {
  }
  return arena;
}

// In a section, or not attached.
void give_record(Arena* arena) noexcept {
  const std::lock_guard guard(records_lock);
  arena->next_free = free_records;
  free_records = arena;
}

// --- Segments ----------------------------------------------------------------------------------------

// Zeroed memory up to a little more than `bytes` behind the bump pointer, as far as the segment goes.
TAILRACE_NO_SANITIZE void zero_ahead(Arena& arena, std::size_t bytes) noexcept {
  char* const from = arena.limit;
  char* const bump = arena.bump.load(std::memory_order_relaxed);
  const auto left = static_cast<std::size_t>(arena.current->limit - from);
  const std::size_t zeroed =
      std::min(left, std::max(kZeroBytes, bytes - static_cast<std::size_t>(from - bump)));
  base::unpoison_memory(from, zeroed);
  std::memset(from, 0, zeroed);
  base::poison_memory(from, zeroed);
  arena.limit = from + zeroed;
}

// [begin, end) of a block that is the arena's becomes its segment; nothing of it is zeroed yet.
TAILRACE_NO_SANITIZE heap::ArenaSegment* make_segment(heap::ArenaBlock* block, char* begin,
                                                      char* end) noexcept {
  base::unpoison_memory(begin, sizeof(heap::ArenaSegment) + 8);
  auto* const segment = ::new (static_cast<void*>(begin)) heap::ArenaSegment;
  segment->limit = end;
  segment->in_block = block->segments;
  segment->indexed = segment->begin();
  block->segments = segment;
  return segment;
}

// The last one first: a walk meets all that were there when it began. Release: pairs with the walk.
void link_segment(Arena& arena, heap::ArenaSegment* segment) noexcept {
  segment->next.store(arena.first.load(std::memory_order_relaxed), std::memory_order_relaxed);
  arena.first.store(segment, std::memory_order_release);
}

// In a section or not: nobody else knows the segment. Each store a release, in this order: of a segment that is
// linked either its end is there, or the bump pointer is in it (end_of_segment), wherever the thread is stopped.
void enter_segment(Arena& arena, heap::ArenaSegment* segment) noexcept {
  if (heap::ArenaSegment* const before = arena.current) {
    char* const end = arena.bump.load(std::memory_order_relaxed);
    arena.bytes += static_cast<std::uint64_t>(end - before->begin());
    before->end.store(end, std::memory_order_release);
  }
  arena.current = segment;
  arena.bump.store(segment->begin(), std::memory_order_release);
  arena.limit = segment->begin();
  link_segment(arena, segment);
}

heap::ArenaSegment* take_hole(Arena& arena, const heap::ArenaHole& hole) noexcept {
  arena.taken_bytes += static_cast<std::uint64_t>(hole.end - hole.begin);
  return make_segment(hole.block, hole.begin, hole.end);
}
// The next hole of the block at hand with room for an object of those bytes; null: there is none.
heap::ArenaSegment* next_hole(Arena& arena, std::size_t bytes) noexcept {
  if (arena.current == nullptr) return nullptr;
  heap::ArenaBlock* const block =
      heap::arena_block_of(reinterpret_cast<std::uintptr_t>(arena.current));
  for (char* from = arena.current->limit; from < block->end();) {
    const heap::ArenaHole hole = heap::next_arena_hole(block, from);
    if (hole.block == nullptr) break;
    if (static_cast<std::size_t>(hole.end - hole.begin) >= bytes + kSegmentBytes) {
      return take_hole(arena, hole);
    }
    from = hole.end;
  }
  return nullptr;
}

// --- Blocks --------------------------------------------------------------------------------------------

heap::ArenaBlock* take_cached(Mutator& self) noexcept {
  heap::ArenaBlock* const block = self.arena_blocks;
  if (block == nullptr) return nullptr;
  self.arena_blocks = block->next;
  bump(self.arena_counts.kept_blocks, ~std::uint64_t{0});
  return block;
}

void own(Arena& arena, heap::ArenaBlock* block) noexcept {
  block->next = arena.blocks;
  arena.blocks = block;
}

heap::ArenaSegment* begin_block(Arena& arena, heap::ArenaBlock* block) noexcept {
  std::fill(std::begin(block->starts), std::end(block->starts), 0);
  block->segments = nullptr;
  block->owner.store(&arena, std::memory_order_release);
  own(arena, block);
  arena.taken_bytes += static_cast<std::uint64_t>(block->end() - block->begin());
  return make_segment(block, block->begin(), block->end());
}

// A segment with room for a small object of those bytes; null: refused for now. In a section.
heap::ArenaSegment* try_segment(Mutator& self, Arena& arena, std::size_t bytes,
                                heap::Allowance* allowance) noexcept {
  if (heap::ArenaSegment* const hole = next_hole(arena, bytes)) return hole;
  // Holes that nobody has looked into may all be of the least length: one block after the other would be taken
  // for an object that fits none.
  if (bytes + kSegmentBytes <= heap::kLeastHoleBytes) {
    const heap::ArenaHole hole = heap::take_arena_holes(&arena);
    if (hole.block != nullptr) {
      own(arena, hole.block);
      return take_hole(arena, hole);
    }
  }
  heap::ArenaBlock* block = take_cached(self);
  if (block == nullptr) block = heap::take_arena_block(heap::kMostArenaSmallBytes, allowance);
  return block == nullptr ? nullptr : begin_block(arena, block);
}

// Calls attempt(mutator, allowance) in sections until it returns something, waiting for memory in between.
template <typename Attempt>
auto with_room(std::size_t bytes, Attempt&& attempt) {
  heap::Allowance allowance;
  {
    const Section section;
    if (auto* const got = attempt(*mutator(), &allowance)) return got;
  }
  RoomSearch search(bytes);
  for (;;) {
    allowance = {search.next(allowance.refused)};
    const Section section;
    if (auto* const got = attempt(*mutator(), &allowance)) return got;
  }
}

// An object that has a block to itself.
void* allocate_alone(Arena& arena, std::size_t payload_bytes, std::uint16_t type,
                     std::uint32_t count) {
  heap::ArenaBlock* const block =
      with_room(payload_bytes, [&](Mutator&, heap::Allowance* allowance) noexcept {
        return heap::take_arena_block(payload_bytes, allowance);
      });
  block->alone_bytes = payload_bytes + kHeaderBytes;
  heap::ArenaSegment* const segment = begin_block(arena, block);
  char* const header = segment->begin();
  base::unpoison_memory(header, payload_bytes + kHeaderBytes);
  if (type != 0) std::memset(header + kHeaderBytes, 0, payload_bytes);
  *reinterpret_cast<std::uint64_t*>(header) = Header::pack(type, Header::kAlone, count);
  // Relaxed: published by the link.
  segment->end.store(header + kHeaderBytes + payload_bytes, std::memory_order_relaxed);
  link_segment(arena, segment);
  arena.bytes += payload_bytes + kHeaderBytes;
  ++arena.objects;
  return header + kHeaderBytes;
}

// Alive across a whole cycle: what is in it was not short-lived.
bool too_old(const Mutator& self, const Arena& arena) noexcept {
  // Signed: threads adopt a generation one after the other.
  return static_cast<std::int32_t>(self.cache.generation - arena.opened_generation) >= 2;
}

}  // namespace

char* end_of_segment(const Arena& arena, const heap::ArenaSegment& segment) noexcept {
  // Acquire, all: pair with enter_segment and arena_allocate.
  if (char* const end = segment.end.load(std::memory_order_acquire)) return end;
  char* const bump = arena.bump.load(std::memory_order_acquire);
  if (bump > reinterpret_cast<const char*>(&segment) && bump <= segment.limit) return bump;
  // The bump pointer has moved on to another segment, so this one's end is there.
  return segment.end.load(std::memory_order_acquire);
}

void* arena_refill(std::size_t payload_bytes, std::uint16_t type, std::uint32_t count) {
  check_may_wait();
  poll();
  Mutator* self = mutator();
  Arena& arena = *self->arena;
  if (arena.closed) return nullptr;
  if (too_old(*self, arena)) {
    fade_all();
    return nullptr;
  }
  const std::size_t bytes =
      (payload_bytes + kHeaderBytes + heap::kGranuleBytes - 1) & ~(heap::kGranuleBytes - 1);
  if (bytes > heap::kMostArenaSmallBytes) {
    if (payload_bytes > arena.max_bytes || arena.taken_bytes > arena.max_bytes - payload_bytes) {
      bump(mutator()->arena_counts.spilled_objects, 1);
      return nullptr;
    }
    return allocate_alone(arena, payload_bytes, type, count);
  }
  for (;;) {
    if (arena.current != nullptr) {
      char* const bump = arena.bump.load(std::memory_order_relaxed);
      if (bytes <= static_cast<std::size_t>(arena.current->limit - bump)) {
        zero_ahead(arena, bytes);
        return arena_allocate(&arena, payload_bytes, type, count);
      }
    }
    // A block at least, and whole ones: what comes next may be one.
    if (arena.taken_bytes != 0 && arena.taken_bytes + heap::kArenaBlockBytes > arena.max_bytes) {
      bump(mutator()->arena_counts.spilled_objects, 1);
      return nullptr;
    }
    heap::ArenaSegment* const segment = with_room(
        heap::kArenaBlockBytes, [&](Mutator& thread, heap::Allowance* allowance) noexcept {
          return try_segment(thread, arena, bytes, allowance);
        });
    enter_segment(arena, segment);
  }
}

void tell_arena_counts(Mutator& self) noexcept {
  Arena* const arena = self.arena;
  if (arena == nullptr) return;
  const std::uint64_t bytes = arena->bytes_so_far();
  bump(self.cache.counts.arena_bytes, bytes - arena->told_bytes);
  bump(self.cache.counts.arena_objects, arena->objects - arena->told_objects);
  arena->told_bytes = bytes;
  arena->told_objects = arena->objects;
}

void trim_arena_blocks(Mutator& self, std::uint64_t keep) noexcept {
  while (self.arena_counts.kept_blocks > keep) heap::free_arena_block(take_cached(self));
}

void give_up_arena_records(Mutator& self) noexcept {
  if (self.spare_arena != nullptr) give_record(self.spare_arena);
  self.spare_arena = nullptr;
}

namespace {

// Poison behind the last object that stays, in builds that have it.
void poison_unfaded(heap::ArenaBlock* block) noexcept {
#if defined(TAILRACE_VERIFY) || TAILRACE_ASAN
  const auto begin = reinterpret_cast<std::uintptr_t>(block->begin());
  const auto end = reinterpret_cast<std::uintptr_t>(block->end());
  if (!block->bits.load(std::memory_order_relaxed)) {
    heap::poison_free_memory(begin, end - begin);
    return;
  }
  for (std::uintptr_t at = begin; at < end; at += 8) {
    const heap::ObjectPlace place = heap::find_faded(block, at);
    if (place.slot == 0) {
      heap::poison_free_memory(at, 8);
    } else {
      at = place.slot + place.slot_bytes - 8;
    }
  }
#else
  static_cast<void>(block);
#endif
}

// Its blocks go: to `self`'s cache, to the heap, or to the collector. In a section with `self`; without, the
// collector's thread.
void release_blocks(Arena& arena, Mutator* self) noexcept {
  for (heap::ArenaBlock* block = arena.blocks; block != nullptr;) {
    heap::ArenaBlock* const next = block->next;
    poison_unfaded(block);
    if (block->bits.load(std::memory_order_relaxed)) {
      heap::leave_arena_block(block, arena.left_generation);
    } else {
      block->owner.store(nullptr, std::memory_order_release);
      if (self != nullptr && block->units == 1 &&
          self->arena_counts.kept_blocks < kMostCachedBlocks) {
        block->next = self->arena_blocks;
        self->arena_blocks = block;
        bump(self->arena_counts.kept_blocks, 1);
      } else {
        heap::free_arena_block(block);
      }
    }
    block = next;
  }
}

void clear_record(Arena& arena) noexcept {
  // Relaxed: nobody walks it; published by the next kOpen.
  arena.bump.store(nullptr, std::memory_order_relaxed);
  arena.first.store(nullptr, std::memory_order_relaxed);
  arena.limit = nullptr;
  arena.current = nullptr;
  arena.blocks = nullptr;
  arena.closed = false;
  arena.objects = arena.bytes = arena.taken_bytes = 0;
  arena.told_bytes = arena.told_objects = 0;
  arena.faded_bytes = arena.faded_objects = 0;
}

void open(const ArenaOptions& options, const void* frame) {
  Arena* const arena = take_record(*mutator());
  Mutator* const self = mutator();
  arena->max_bytes = options.max_bytes;
  arena->label = options.label;
  arena->frame = reinterpret_cast<std::uintptr_t>(frame);
  arena->opened_generation = arena->faded_generation = self->cache.generation;
  // Release: pairs with the walk's CAS.
  arena->state.store(Arena::State::kOpen, std::memory_order_release);
  self->arena = arena;
  bump(self->arena_counts.opened, 1);
}

void end() noexcept {
  Mutator* const self = mutator();
  Arena& arena = *self->arena;
  tell_arena_counts(*self);
  // The record is somebody else's when it has been given up.
  const struct {
    const char* label;
    std::uint64_t bytes, objects, faded_bytes, faded_objects;
  } facts{arena.label, arena.told_bytes, arena.told_objects, arena.faded_bytes,
          arena.faded_objects};
  {
    const Section section;
    self->arena = nullptr;
    bump(self->arena_counts.bytes, facts.bytes);
    bump(self->arena_counts.objects, facts.objects);
    bump(self->arena_counts.faded_bytes, facts.faded_bytes);
    bump(self->arena_counts.faded_objects, facts.faded_objects);
    bump(self->arena_counts.ended, 1);
    // The newer one, signed, as threads adopt it one after the other [arena.fade].
    const std::uint32_t generation = self->cache.generation;
    const auto ahead = static_cast<std::int32_t>(arena.faded_generation - generation);
    arena.left_generation = ahead > 0 ? arena.faded_generation : generation;
    for (;;) {
      Arena::State state = Arena::State::kOpen;
      // Acquire-release, both: with the walk, which has read all of it, or will see the end.
      if (arena.state.compare_exchange_strong(state, Arena::State::kFree,
                                              std::memory_order_acq_rel) ||
          base::mutant(base::Mutant::kArenaFreedInWalk)) {
        release_blocks(arena, self);
        clear_record(arena);
        if (self->spare_arena == nullptr) {
          self->spare_arena = &arena;
        } else {
          give_record(&arena);
        }
        break;
      }
      if (arena.state.compare_exchange_strong(state, Arena::State::kHandedOver,
                                              std::memory_order_acq_rel)) {
        bump(self->arena_counts.handed_over, 1);
        break;
      }
    }
  }
  note_arena_end(facts.label, facts.bytes, facts.objects, facts.faded_bytes, facts.faded_objects);
  flush_counts(*mutator(), kFlushBytes);  // of what faded
}

}  // namespace

TAILRACE_NOINLINE void run_in_arena(const ArenaOptions& options, void (*function)(void*),
                                    void* argument) {
  if (mutator()->arena != nullptr) return function(argument);
  // What stands in frames above is older than the arena, or was written there by the function.
  const void* const frame = __builtin_frame_address(0);
  open(options, frame);
  struct End {
    const void* frame;
    ~End() {
      fade_frames();
      if (Arena& arena = *mutator()->arena; arena.destructors != nullptr) {
        run_arena_destructors(arena);
        fade_frames();
      }
      end();
    }
    void fade_frames() const noexcept {
      if (base::mutant(base::Mutant::kFramesIgnored)) return;
      fade_words(frame, mutator()->stack_high() - reinterpret_cast<std::uintptr_t>(frame));
    }
  } at_end{frame};
  function(argument);
}

}  // namespace internal

bool has_arena() noexcept {
  const Mutator* const self = base::current_mutator();
  return self != nullptr && self->arena != nullptr && !self->arena->closed;
}

void for_each_arena_object(VisitArenaObject visit, void* visitor) noexcept {
  // Acquire: pairs with take_record.
  for (Arena* arena = internal::all_arenas.load(std::memory_order_acquire); arena != nullptr;
       arena = arena->next_all) {
    Arena::State state = Arena::State::kOpen;
    // Acquire-release: with open() and end().
    if (!arena->state.compare_exchange_strong(state, Arena::State::kWalked,
                                              std::memory_order_acq_rel)) {
      continue;
    }
    for (heap::ArenaSegment* segment = arena->first.load(std::memory_order_acquire);
         segment != nullptr; segment = segment->next.load(std::memory_order_acquire)) {
      char* const end = internal::end_of_segment(*arena, *segment);
      internal::for_each_in_segment(segment->begin(), end, [&](char* at, std::uint64_t header) {
        if (!heap::ArenaHeader::noscan(header)) {
          visit(visitor, reinterpret_cast<std::uintptr_t>(at));
        }
      });
    }
    state = Arena::State::kWalked;
    if (arena->state.compare_exchange_strong(state, Arena::State::kOpen,
                                             std::memory_order_acq_rel)) {
      continue;
    }
    internal::release_blocks(*arena, nullptr);
    internal::clear_record(*arena);
    // Release: the record is clean.
    arena->state.store(Arena::State::kFree, std::memory_order_release);
    internal::give_record(arena);
  }
}

}  // namespace tailrace::gc
