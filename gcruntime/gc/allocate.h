// Allocation of managed objects: the inline fast path over the thread's worker cache, or in the arena that the
// fiber has (arena_record.h).
//
// [gc.alloc] Taking a free slot, setting its allocation bit, zeroing it and writing its header happen in
// one flagged section: the collector sees either a free slot or an object whose words it can trace.
// After the section the only pointer to the object is in a register or on the stack, where the
// conservative scan finds it.
//
// These calls may wait for the collector and, at the memory limit, for memory, so they are suspension points:
// the fiber may go on on another thread, after others have run. Each throws MemoryLimitExceeded
// (memory_limit.h) or std::bad_alloc and has then allocated nothing. They need an attached thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/mutant.h"
#include "gcruntime/gc/arena_record.h"
#include "gcruntime/gc/escape.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/origin.h"
#include "gcruntime/gc/type_info.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/size_class.h"

namespace tailrace::gc {

namespace internal {
// Over kMaxSmallBytes. The payload is zeroed if it is scanned.
void* allocate_large(std::size_t payload_bytes, std::uint16_t type, std::uint32_t count,
                     bool noscan);
// The rest of an allocation for which the cache has no slot. Entered inside the section, and leaves it.
void* refill_scanned(std::size_t size_class, std::uint64_t header);
void* refill_noscan(std::size_t size_class);
// Tells the pacer what the thread has allocated since it last did. Outside the section.
void flush_counts(Mutator& self, std::uint64_t at_least_bytes = 0) noexcept;
// A free slot becomes an object that can be traced. Section.
TAILRACE_ALWAYS_INLINE void* finish_scanned(void* slot, std::size_t size_class,
                                            std::uint64_t header) {
  auto* words = static_cast<std::uint64_t*>(slot);
  heap::zero_slot(words, heap::kSizeClassTable[size_class].bytes);
  words[0] = header;
  note_allocated_at(slot, Header::type(header));
  return slot;
}
}  // namespace internal

// The slot of a small scanned object: header written, payload zeroed.
TAILRACE_ALWAYS_INLINE void* allocate_scanned_slot(std::size_t size_class, std::uint16_t type,
                                                   std::uint64_t flags, std::uint32_t count) {
  Mutator* self = mutator();
  const std::uint64_t header = Header::pack(type, flags, count);
  if (!base::mutant(base::Mutant::kAllocationUnflagged)) enter_section();
  heap::CacheSlot& cached = self->cache.slots[size_class][false];
  if (base::mutant(base::Mutant::kAllocationUnflagged) && cached.free_bits != 0) {
    base::mutant_delay(512);
  }
  // The way out is a tail call, so that the fast path saves no registers for it.
  if (cached.free_bits == 0) [[unlikely]]
    return internal::refill_scanned(size_class, header);
  void* slot = internal::finish_scanned(heap::take_slot(self->cache, cached, size_class),
                                        size_class, header);
  leave_section();
  return slot;
}

// The slot of a small noscan object; its contents are undefined.
TAILRACE_ALWAYS_INLINE void* allocate_noscan_slot(std::size_t size_class) {
  Mutator* self = mutator();
  if (!base::mutant(base::Mutant::kAllocationUnflagged)) enter_section();
  heap::CacheSlot& cached = self->cache.slots[size_class][true];
  if (cached.free_bits == 0) [[unlikely]]
    return internal::refill_noscan(size_class);
  void* slot = heap::take_slot(self->cache, cached, size_class);
  internal::note_allocated_at(slot, 0);
  leave_section();
  return slot;
}

// Where an object goes. kHere: the arena of the calling fiber, if it has one and there is room; else, and for
// kHeap, the collected heap.
enum class Place : std::uint8_t { kHere, kHeap };
// Where the text or the backing of a handle at that address goes: where the handle lives. One that is not in
// the arena and grew there would take each of its backings out of it, by a fade.
TAILRACE_ALWAYS_INLINE Place place_for(const void* handle) noexcept {
  Mutator* const self = mutator();
  return self->arena == nullptr ||
                 !internal::lives_in_arena(*self, reinterpret_cast<std::uintptr_t>(handle))
             ? Place::kHeap
             : Place::kHere;
}

// `count` elements of `element_bytes` bytes (together payload_bytes), traced as `type`; zeroed.
TAILRACE_ALWAYS_INLINE void* allocate_scanned(std::size_t payload_bytes, std::uint16_t type,
                                              std::uint32_t count, Place place = Place::kHere) {
  if (Arena* const arena = mutator()->arena; arena != nullptr && place == Place::kHere) {
    if (void* const payload = internal::arena_allocate(arena, payload_bytes, type, count)) {
      return payload;
    }
  }
  const std::size_t bytes = payload_bytes + kHeaderBytes;
  if (bytes > heap::kMaxSmallBytes) {
    return internal::allocate_large(payload_bytes, type, count, false);
  }
  return static_cast<char*>(allocate_scanned_slot(heap::size_class_of(bytes), type, 0, count)) +
         kHeaderBytes;
}
// At least one byte; aligned to 16 from 32 bytes on (8 below). Contents undefined.
TAILRACE_ALWAYS_INLINE void* allocate_noscan(std::size_t bytes, Place place = Place::kHere) {
  if (bytes == 0) bytes = 1;
  if (Arena* const arena = mutator()->arena; arena != nullptr && place == Place::kHere) {
    // The header tells publish() their number.
    if (void* const payload =
            internal::arena_allocate(arena, bytes, 0, static_cast<std::uint32_t>(bytes))) {
      return payload;
    }
  }
  if (bytes > heap::kMaxSmallBytes) return internal::allocate_large(bytes, 0, 0, true);
  return allocate_noscan_slot(heap::size_class_of(bytes));
}

// How many payload bytes an allocation of that many really gives, one byte less than the slot has:
// a past-the-end pointer must still lie within its object. For containers that choose a capacity.
constexpr std::size_t usable_scanned_bytes(std::size_t payload_bytes) {
  const std::size_t bytes = payload_bytes + kHeaderBytes + 1;
  const std::size_t slot =
      bytes <= heap::kMaxSmallBytes
          ? heap::kSizeClassTable[heap::size_class_of(bytes)].bytes
          : (bytes + heap::kPageBytes - 1) / heap::kPageBytes * heap::kPageBytes;
  return slot - kHeaderBytes - 1;
}
constexpr std::size_t usable_noscan_bytes(std::size_t bytes) {
  const std::size_t slot = bytes + 1 <= heap::kMaxSmallBytes
                               ? heap::kSizeClassTable[heap::size_class_of(bytes + 1)].bytes
                               : (bytes + heap::kPageBytes) / heap::kPageBytes * heap::kPageBytes;
  return slot - 1;
}

}  // namespace tailrace::gc
