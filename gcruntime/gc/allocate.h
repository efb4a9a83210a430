// Allocation of managed objects: the inline fast path over the thread's worker cache.
//
// [gc.alloc] Taking a free slot, setting its allocation bit, zeroing it and writing its header happen in
// one flagged section: the collector sees either a free slot or an object whose words it can trace.
// After the section the only pointer to the object is in a register or on the stack, where the
// conservative scan finds it.
//
// These calls may wait for the collector (and later for memory), so they are suspension points; they
// need an attached thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/type_info.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/size_class.h"

namespace tailrace::gc {

namespace internal {
// Over kMaxSmallBytes. The payload is zeroed if it is scanned.
void* allocate_large(std::size_t payload_bytes, std::uint16_t type, std::uint32_t count,
                     bool noscan);
// After a cache was refilled: answers the collector and tells the pacer; outside the section.
void after_refill() noexcept;
// Tells the pacer what the thread has allocated since it last did. Outside the section.
void flush_counts(Mutator& self, std::uint64_t at_least_bytes = 0) noexcept;
[[noreturn]] void out_of_memory(std::size_t bytes);
}  // namespace internal

// The slot of a small scanned object: header written, payload zeroed. `slot_bytes` is the class's.
TAILRACE_ALWAYS_INLINE void* allocate_scanned_slot(std::size_t size_class, std::uint16_t type,
                                                   std::uint64_t flags, std::uint32_t count) {
  Mutator* self = mutator();
  enter_section();
  heap::Slot slot = heap::take_slot(self->cache, size_class, /*noscan=*/false);
  if (slot.address == nullptr) [[unlikely]] {
    leave_section();
    internal::out_of_memory(heap::kSizeClassTable[size_class].bytes);
  }
  auto* words = reinterpret_cast<std::uint64_t*>(slot.address);
  heap::zero_slot(words, heap::kSizeClassTable[size_class].bytes);
  words[0] = Header::pack(type, flags, count);
  leave_section();
  if (slot.refilled) [[unlikely]] internal::after_refill();
  return slot.address;
}

// The slot of a small noscan object; its contents are undefined.
TAILRACE_ALWAYS_INLINE void* allocate_noscan_slot(std::size_t size_class) {
  Mutator* self = mutator();
  enter_section();
  heap::Slot slot = heap::take_slot(self->cache, size_class, /*noscan=*/true);
  leave_section();
  if (slot.address == nullptr) [[unlikely]] {
    internal::out_of_memory(heap::kSizeClassTable[size_class].bytes);
  }
  if (slot.refilled) [[unlikely]] internal::after_refill();
  return slot.address;
}

// `count` elements of `element_bytes` bytes (together payload_bytes), traced as `type`; zeroed.
inline void* allocate_scanned(std::size_t payload_bytes, std::uint16_t type, std::uint32_t count) {
  const std::size_t bytes = payload_bytes + kHeaderBytes;
  if (bytes > heap::kMaxSmallBytes) {
    return internal::allocate_large(payload_bytes, type, count, false);
  }
  return static_cast<char*>(allocate_scanned_slot(heap::size_class_of(bytes), type, 0, count)) +
         kHeaderBytes;
}
// At least one byte; aligned to 16 from 32 bytes on (8 below). Contents undefined.
inline void* allocate_noscan(std::size_t bytes) {
  if (bytes > heap::kMaxSmallBytes) return internal::allocate_large(bytes, 0, 0, true);
  return allocate_noscan_slot(heap::size_class_of(bytes == 0 ? 1 : bytes));
}

// How many payload bytes an allocation of that many really gives, one byte less than the slot has:
// a past-the-end pointer must still lie within its object. For containers that choose a capacity.
constexpr std::size_t usable_scanned_bytes(std::size_t payload_bytes) {
  const std::size_t bytes = payload_bytes + kHeaderBytes + 1;
  const std::size_t slot = bytes <= heap::kMaxSmallBytes
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
