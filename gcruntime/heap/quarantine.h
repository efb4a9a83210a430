// Slots that nobody gets: freed and poisoned by a sweep, while a word somewhere in malloc memory still
// points to them [verify.malloc]. A use through that word then meets poison and not another object. In
// the verify build only.
//
// To everybody but the allocator a quarantined slot is a free one: its allocation bit is clear, so no
// scan takes a stale word for a pointer to it. Its span counts its quarantined slots and does not go
// back to the pages while it has any. At most kMostQuarantined slots and kMostQuarantinedBytes of them.
// Changed by the collector with the world stopped; read in sections.
#pragma once

#if defined(TAILRACE_VERIFY)

#include <cstddef>
#include <cstdint>

namespace tailrace::heap {

struct Span;

inline constexpr std::size_t kMostQuarantined = 1024;
inline constexpr std::size_t kMostQuarantinedBytes = std::size_t{16} << 20;

struct Quarantined {
  std::uintptr_t slot = 0;
  std::size_t slot_bytes = 0;
  std::uint64_t seen_cycle = 0;  // the last one that found a word that points to it
  // Of the block that word stood in, when it was first seen.
  std::uintptr_t block = 0;
  std::uint32_t block_stack = 0;
};

// An allocated and unmarked slot, which the sweep that follows frees. False: there is no room.
bool quarantine(const Quarantined& entry) noexcept;
// Null: not in quarantine. The entry's place changes with the next call of one of the others.
Quarantined* find_quarantined(std::uintptr_t slot) noexcept;
// From the next sweep on the slots are free like others.
void leave_quarantine(const Quarantined* entry) noexcept;
// All of them, in no order.
Quarantined* quarantined_begin() noexcept;
Quarantined* quarantined_end() noexcept;
std::size_t quarantined_bytes() noexcept;

// Of the 64 slots of that word of a small span, those in quarantine. Section.
std::uint64_t quarantined_slots(const Span& span, std::size_t word) noexcept;

}  // namespace tailrace::heap

#endif
