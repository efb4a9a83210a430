// For the tests of the sweep: a thread as the heap sees one, and objects found and marked by hand.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/heap/size_class.h"
#include "gcruntime/heap/span.h"
#include "gcruntime/heap/sweep.h"

namespace tailrace::heap {

// A cache, and whether its thread is in phase 2 or later.
struct HandMadeThread {
  WorkerCache cache;
  bool black = false;

  // Null: no memory.
  void* take(std::size_t size_class, bool noscan) {
    CacheSlot& slot = cache.slots[size_class][noscan];
    if (slot.free_bits == 0 && !refill(cache, slot, size_class, noscan, black)) return nullptr;
    return take_slot(cache, slot, size_class);
  }
  void* take_large(std::size_t bytes) {
    bool fresh = false;
    Span* span = allocate_large_span(cache, bytes, true, fresh, black);
    if (span == nullptr) return nullptr;
    span->large_alloc.store(1, std::memory_order_release);
    return reinterpret_cast<void*>(span->start);
  }
};

inline ObjectPlace place_of(const void* object) {
  return find_object(reinterpret_cast<std::uintptr_t>(object));
}
inline bool is_allocated(const void* object) {
  const ObjectPlace place = place_of(object);
  return place.slot == reinterpret_cast<std::uintptr_t>(object) && place.allocated();
}
inline void mark(const ObjectPlace& place) {
  place.mark_word->fetch_or(place.bit, std::memory_order_relaxed);
}
inline Span* span_at(const void* object) {
  return span_of_page(page_of(reinterpret_cast<std::uintptr_t>(object)));
}
inline SlotBits& slot_bits_at(const void* object) {
  return page_map.slot_bits[page_of(span_at(object)->start)];
}

// No span may come or go meanwhile.
template <typename F>
void for_each_allocated(F&& f) {
  const GrownPages grown = grown_pages();
  const auto walk = [&](std::size_t page, std::size_t end) {
    while (page < end) {
      if (PageInfo::kind(page_info(page)) == PageInfo::kFree) {
        ++page;
        continue;
      }
      const Span* span = span_of_page(page);
      const std::size_t slots =
          span->state == SpanState::kLarge ? 1 : kSizeClassTable[span->size_class].slots;
      const std::size_t bytes = span->bytes() / slots;
      for (std::size_t i = 0; i < slots; ++i) {
        const std::size_t slot_bytes =
            span->state == SpanState::kLarge ? bytes : kSizeClassTable[span->size_class].bytes;
        const ObjectPlace place = find_object(span->start + i * slot_bytes);
        if (place.allocated()) f(place);
      }
      page += span->pages;
    }
  };
  walk(0, grown.small_end);
  walk(grown.large_begin, grown.large_end);
}

}  // namespace tailrace::heap
