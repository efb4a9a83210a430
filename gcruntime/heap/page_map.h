// Where heap memory lies, and what each of its pages is: flat tables indexed by page number, so that a
// pointer leads to its object without a lock or a search.
//
//   reservation: [ small spans | large spans | arena blocks ]   8 KiB pages
//   page infos:  one 4-byte word a page (below)
//   span table:  one Span* a page
//   slot bits:   128 bytes a page of the small range: 64 of mark bits, 64 of allocation bits; a span of
//                several pages uses its first page's. Mark bits stand in one cache line, where one
//                prefetch reaches them.
//   arena heads: one ArenaBlock for each 32 KiB of the arena range (arena_blocks.h); pages there have no infos
// The tables are reservations of their own, backed only where the heap has been.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/heap/size_class.h"

namespace tailrace::heap {

struct Span;
struct ArenaBlock;

// Arena blocks are made of whole units, aligned to them.
inline constexpr std::size_t kArenaBlockBytes = 32 * 1024;
inline constexpr std::size_t kArenaBlockPages = kArenaBlockBytes / kPageBytes;

struct SlotBits {
  std::atomic<std::uint64_t> mark[kMaxSlots / 64];
  std::atomic<std::uint64_t> alloc[kMaxSlots / 64];
};
static_assert(sizeof(SlotBits) == 128);

// Constant after heap::initialise().
struct PageMap {
  std::uintptr_t base = 0;        // of the reservation
  std::size_t bytes = 0;          // of the reservation; 0: not initialised, contains nothing
  std::size_t small_bytes = 0;    // of the small range, which comes first
  std::size_t large_bytes = 0;    // of the large range, which follows
  std::uintptr_t arena_base = 0;  // of the arena range, the last
  std::size_t arena_bytes = 0;
  std::atomic<std::uint32_t>* infos = nullptr;
  std::atomic<Span*>* spans = nullptr;
  SlotBits* slot_bits = nullptr;
  ArenaBlock* arena_heads = nullptr;
};
extern PageMap page_map;

inline bool contains(std::uintptr_t address) noexcept {
  return address - page_map.base < page_map.bytes;
}
// Request memory, faded or not.
inline bool in_arena_range(std::uintptr_t address) noexcept {
  return address - page_map.arena_base < page_map.arena_bytes;
}
inline std::size_t page_of(std::uintptr_t address) noexcept {
  return (address - page_map.base) / kPageBytes;
}
inline std::uintptr_t page_address(std::size_t page) noexcept {
  return page_map.base + page * kPageBytes;
}

// A page's info word: bits 0-1 kind, 2 noscan, 3-9 size class, 10-14 its number within the span.
class PageInfo {
 public:
  enum Kind : std::uint32_t { kFree = 0, kSmall = 1, kLarge = 2 };

  static constexpr std::uint32_t small(std::size_t size_class, bool noscan, std::size_t index) {
    return static_cast<std::uint32_t>(kSmall | (noscan ? 4u : 0u) | size_class << 3 | index << 10);
  }
  static constexpr std::uint32_t large(bool noscan) { return kLarge | (noscan ? 4u : 0u); }
  static constexpr Kind kind(std::uint32_t info) { return static_cast<Kind>(info & 3); }
  static constexpr bool noscan(std::uint32_t info) { return (info & 4) != 0; }
  static constexpr std::size_t size_class(std::uint32_t info) { return info >> 3 & 127; }
  static constexpr std::size_t index(std::uint32_t info) { return info >> 10 & 31; }
};
static_assert(kSizeClasses <= 128 && kMaxSpanPages <= 32);

inline std::uint32_t page_info(std::size_t page) noexcept {
  // Acquire pairs with the release in set_page_info: who sees the info sees the span's bits cleared.
  return page_map.infos[page].load(std::memory_order_acquire);
}
inline void set_page_info(std::size_t page, std::uint32_t info) noexcept {
  page_map.infos[page].store(info, std::memory_order_release);
}
inline Span* span_of_page(std::size_t page) noexcept {
  // Acquire pairs with set_span's release.
  return page_map.spans[page].load(std::memory_order_acquire);
}
inline void set_span(std::size_t page, Span* span) noexcept {
  page_map.spans[page].store(span, std::memory_order_release);
}

// Where an address within the heap lies: its slot, and the bit that stands for it.
struct ObjectPlace {
  std::uintptr_t slot = 0;  // first address of the slot; 0: no object there
  std::size_t slot_bytes = 0;
  bool noscan = false;
  std::atomic<std::uint64_t>* mark_word = nullptr;
  std::atomic<std::uint64_t>* alloc_word = nullptr;
  std::uint64_t bit = 0;

  // Acquire pairs with the release of take_slot and of large objects: who sees a slot allocated that was
  // blackened before sees its mark bit too.
  bool allocated() const noexcept {
    return (alloc_word->load(std::memory_order_acquire) & bit) != 0;
  }
  // Relaxed: the bit tells of nothing but itself.
  bool marked() const noexcept { return (mark_word->load(std::memory_order_relaxed) & bit) != 0; }
};
// For any address inside the reservation, interior ones included. Free slots have a place too. Of request
// memory faded objects only.
ObjectPlace find_object(std::uintptr_t address) noexcept;

}  // namespace tailrace::heap
