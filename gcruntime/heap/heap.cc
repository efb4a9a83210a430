// The life of a small span: taken from page_runs with all slots free; cached by one worker, which takes
// its slots word by word; used up, then on no list until a sweep frees slots and puts it on its class's
// list, or gives its pages back. Only the sweep turns objects into free slots.
//
// Locks: one for pages and span records, one for each class's list; never both at once by mutators
// (refill takes a span from the list, or else pages). All are held inside flagged sections, so with the
// world stopped no stopped thread holds them.
#include "gcruntime/heap/heap.h"

#include <mutex>

#include "gcruntime/base/check.h"
#include "gcruntime/base/spin_lock.h"
#include "gcruntime/heap/page_runs.h"
#include "gcruntime/heap/poison.h"
#include "gcruntime/heap/quarantine.h"
#include "gcruntime/heap/span.h"
#include "gcruntime/os/reserved_memory.h"

namespace tailrace::heap {

PageMap page_map;

namespace {

// The arena's share is part of the reservation from the start: "is it a heap or an arena pointer" stays
// subtract-and-compare.
#if TAILRACE_TSAN
constexpr std::size_t kReservationBytes = std::size_t{32} << 30;
#else
constexpr std::size_t kReservationBytes = std::size_t{256} << 30;
#endif
constexpr std::size_t kSmallestReservationBytes = std::size_t{256} << 20;

base::SpinLock page_lock;  // guards the two PageRuns, and the span records
PageRuns small_runs;
PageRuns large_runs;
std::atomic<std::uint64_t> roomy_bytes{UINT64_MAX};

// Spans with free slots that no worker holds.
struct alignas(64) ClassLists {
  base::SpinLock lock;
  SpanList sparse;   // at most half full
  SpanList crowded;  // fuller: used when memory is tight
};
ClassLists class_lists[kSizeClasses][2];

ClassLists& lists_of(std::size_t size_class, bool noscan) {
  return class_lists[size_class][noscan];
}

SlotBits& bits_of(const Span* span) { return page_map.slot_bits[page_of(span->start)]; }

std::size_t slot_words(std::size_t size_class) {
  return (kSizeClassTable[size_class].slots + 63) / 64;
}
// The slots of a span's word: all ones but in the last.
std::uint64_t valid_slots(std::size_t size_class, std::size_t word) {
  const std::size_t left = kSizeClassTable[size_class].slots - word * 64;
  return left >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
}

// In quarantine, which only the verify build has.
bool withheld([[maybe_unused]] const Span& span) {
#if defined(TAILRACE_VERIFY)
  return span.quarantined != 0;
#else
  return false;
#endif
}
std::uint64_t withheld([[maybe_unused]] const Span& span, [[maybe_unused]] std::size_t word) {
#if defined(TAILRACE_VERIFY)
  return quarantined_slots(span, word);
#else
  return 0;
#endif
}

Span* allocate_pages(PageRuns& runs, std::size_t pages, SpanState state, bool may_grow) {
  const std::lock_guard guard(page_lock);
  return runs.allocate(pages, state, may_grow);
}

Span* new_small_span(std::size_t size_class, bool noscan, bool may_grow) {
  const std::size_t pages = kSizeClassTable[size_class].pages;
  Span* span = allocate_pages(small_runs, pages, SpanState::kSmall, may_grow);
  if (span == nullptr) return nullptr;
  span->size_class = static_cast<std::uint8_t>(size_class);
  span->noscan = noscan;
  span->cached = true;
  SlotBits& bits = bits_of(span);
  for (std::size_t i = 0; i < kMaxSlots / 64; ++i) {
    // Relaxed: published by the release of set_page_info.
    bits.mark[i].store(0, std::memory_order_relaxed);
    bits.alloc[i].store(0, std::memory_order_relaxed);
  }
  poison_free_memory(span->start, span->bytes());
  const std::size_t first = page_of(span->start);
  for (std::size_t i = 0; i < pages; ++i) {
    set_page_info(first + i, PageInfo::small(size_class, noscan, i));
  }
  return span;
}

bool roomy() {
  const std::lock_guard guard(page_lock);
  return (small_runs.used_pages() + large_runs.used_pages()) * kPageBytes <
         roomy_bytes.load(std::memory_order_relaxed);
}

// The slots of a word that has holes are cold lines, one a slot: all of them are asked for at once, so that
// they come while the first ones are used. (Where nothing is live the processor sees the pattern itself.)
void prefetch_slots(const CacheSlot& slot, std::size_t slot_bytes) {
  for (std::uint64_t bits = slot.free_bits; bits != 0; bits &= bits - 1) {
    const char* at = slot.word_base + static_cast<std::size_t>(std::countr_zero(bits)) * slot_bytes;
    __builtin_prefetch(at, 1);
    if (slot_bytes > 64) __builtin_prefetch(at + 64, 1);
  }
}

Span* acquire_span(std::size_t size_class, bool noscan) {
  ClassLists& lists = lists_of(size_class, noscan);
  const auto pop = [&](SpanList& list) {
    const std::lock_guard guard(lists.lock);
    Span* span = list.pop_front();
    if (span != nullptr) span->cached = true;
    return span;
  };
  if (Span* span = pop(lists.sparse)) return span;
  if (Span* span = new_small_span(size_class, noscan, /*may_grow=*/false)) return span;
  if (roomy()) {
    if (Span* span = new_small_span(size_class, noscan, /*may_grow=*/true)) return span;
  }
  if (Span* span = pop(lists.crowded)) return span;
  return new_small_span(size_class, noscan, /*may_grow=*/true);
}

}  // namespace

void initialise() noexcept {
  static const bool done = [] {
    std::size_t bytes = kReservationBytes;
    void* reserved = nullptr;
    for (; bytes >= kSmallestReservationBytes; bytes /= 2) {
      reserved = os::reserve_memory(bytes, os::kHugePageBytes);
      if (reserved != nullptr) break;
    }
    TAILRACE_CHECK(
        reserved != nullptr,
        "no address space for the heap: raise the address space limit (ulimit -v) or set "
        "vm.overcommit_memory to 0 or 1");
    const std::size_t pages = bytes / kPageBytes;
    const std::size_t small_pages = pages / 2;
    const std::size_t large_pages = pages / 4;
    const auto table = [](std::size_t table_bytes) {
      void* memory = os::reserve_memory(table_bytes, os::kPageBytes);
      TAILRACE_CHECK(memory != nullptr, "no address space for the heap's tables");
      return memory;
    };
    page_map.infos = static_cast<std::atomic<std::uint32_t>*>(table(pages * 4));
    page_map.spans = static_cast<std::atomic<Span*>*>(table(pages * 8));
    page_map.slot_bits = static_cast<SlotBits*>(table(small_pages * sizeof(SlotBits)));
    page_map.small_bytes = small_pages * kPageBytes;
    page_map.large_bytes = large_pages * kPageBytes;
    page_map.base = reinterpret_cast<std::uintptr_t>(reserved);
    page_map.bytes = bytes;
    os::prefer_huge_pages(reserved, page_map.small_bytes + page_map.large_bytes);
    small_runs.initialise(0, small_pages);
    large_runs.initialise(small_pages, large_pages);
    return true;
  }();
  static_cast<void>(done);
}

bool refill(CacheSlot& slot, std::size_t size_class, bool noscan) noexcept {
  const std::size_t words = slot_words(size_class);
  for (;;) {
    if (slot.span != nullptr) {
      SlotBits& bits = bits_of(slot.span);
      while (slot.next_word < words) {
        const std::size_t word = slot.next_word++;
        // Relaxed: the span is this cache's alone.
        const std::uint64_t free = ~bits.alloc[word].load(std::memory_order_relaxed) &
                                   valid_slots(size_class, word) & ~withheld(*slot.span, word);
        if (free == 0) continue;
        const std::size_t slot_bytes = kSizeClassTable[size_class].bytes;
        slot.free_bits = free;
        slot.word_base = reinterpret_cast<char*>(slot.span->start) + word * 64 * slot_bytes;
        slot.alloc_word = &bits.alloc[word];
        if (free != valid_slots(size_class, word)) prefetch_slots(slot, slot_bytes);
        check_free_slots(slot.word_base, slot_bytes, free);
        return true;
      }
      slot.span->cached = false;
    }
    slot.span = acquire_span(size_class, noscan);
    slot.next_word = 0;
    if (slot.span == nullptr) return false;
  }
}

Span* allocate_large_span(std::size_t bytes, bool noscan, bool& fresh) noexcept {
  if (bytes > page_map.large_bytes) return nullptr;
  const std::size_t pages = (bytes + kPageBytes - 1) / kPageBytes;
  Span* span = allocate_pages(large_runs, pages, SpanState::kLarge, true);
  if (span == nullptr) return nullptr;
  fresh = span->zeroed;
  base::unpoison_memory(reinterpret_cast<void*>(span->start), span->bytes());
  span->noscan = noscan;
  // Relaxed: published by set_page_info.
  span->large_mark.store(0, std::memory_order_relaxed);
  span->large_alloc.store(0, std::memory_order_relaxed);
  const std::size_t first = page_of(span->start);
  for (std::size_t i = 0; i < pages; ++i) set_page_info(first + i, PageInfo::large(noscan));
  return span;
}

void flush_cache(WorkerCache& cache) noexcept {
  for (std::size_t size_class = 0; size_class < kSizeClasses; ++size_class) {
    for (const bool noscan : {false, true}) {
      CacheSlot& slot = cache.slots[size_class][noscan];
      if (slot.span != nullptr) slot.span->cached = false;
      slot = CacheSlot{};
    }
  }
}

void return_cache(WorkerCache& cache) noexcept {
  for (std::size_t size_class = 0; size_class < kSizeClasses; ++size_class) {
    for (const bool noscan : {false, true}) {
      CacheSlot& slot = cache.slots[size_class][noscan];
      if (slot.span != nullptr) {
        ClassLists& lists = lists_of(size_class, noscan);
        const std::lock_guard guard(lists.lock);
        slot.span->cached = false;
        if (slot.free_bits != 0 || slot.next_word < slot_words(size_class)) {
          lists.sparse.push_front(slot.span);
        }
      }
      slot = CacheSlot{};
    }
  }
}

ObjectPlace find_object(std::uintptr_t address) noexcept {
  ObjectPlace place;
  const std::size_t page = page_of(address);
  const std::uint32_t info = page_info(page);
  switch (PageInfo::kind(info)) {
    case PageInfo::kSmall: {
      const std::size_t first = page - PageInfo::index(info);
      const SizeClass& size = kSizeClassTable[PageInfo::size_class(info)];
      const std::uintptr_t start = page_address(first);
      const std::size_t index = ((address - start) * std::uint64_t{size.reciprocal}) >> 32;
      if (index >= size.slots) return place;  // the unused tail of the span
      SlotBits& bits = page_map.slot_bits[first];
      place.slot = start + index * size.bytes;
      place.slot_bytes = size.bytes;
      place.noscan = PageInfo::noscan(info);
      place.mark_word = &bits.mark[index / 64];
      place.alloc_word = &bits.alloc[index / 64];
      place.bit = std::uint64_t{1} << (index % 64);
      return place;
    }
    case PageInfo::kLarge: {
      Span* span = span_of_page(page);
      place.slot = span->start;
      place.slot_bytes = span->bytes();
      place.noscan = span->noscan;
      place.mark_word = &span->large_mark;
      place.alloc_word = &span->large_alloc;
      place.bit = 1;
      return place;
    }
    case PageInfo::kFree:
      break;
  }
  return place;
}

namespace {

void free_span(PageRuns& runs, Span* span) {
  const std::size_t first = page_of(span->start);
  for (std::size_t i = 0; i < span->pages; ++i) set_page_info(first + i, 0);
  // Nobody stopped holds it; but threads that are not attached read the levels.
  const std::lock_guard guard(page_lock);
  runs.free(span);
}

// Returns the pages to step over.
std::size_t sweep_small(Span* span, SweepResult& result) {
  const std::size_t size_class = span->size_class;
  const std::size_t slot_bytes = kSizeClassTable[size_class].bytes;
  const std::size_t pages = span->pages;
  SlotBits& bits = bits_of(span);
  std::size_t live = 0;
  std::size_t freed = 0;
  for (std::size_t word = 0; word < slot_words(size_class); ++word) {
    // Relaxed: the world is stopped.
    const std::uint64_t allocated = bits.alloc[word].load(std::memory_order_relaxed);
    const std::uint64_t kept = allocated & bits.mark[word].load(std::memory_order_relaxed);
    live += static_cast<std::size_t>(std::popcount(kept));
    freed += static_cast<std::size_t>(std::popcount(allocated & ~kept));
    poison_slots(span->start + word * 64 * slot_bytes, slot_bytes, allocated & ~kept);
    bits.alloc[word].store(kept, std::memory_order_relaxed);
    bits.mark[word].store(0, std::memory_order_relaxed);
  }
  result.live_bytes += live * slot_bytes;
  result.live_objects += live;
  result.freed_bytes += freed * slot_bytes;
  result.freed_objects += freed;
  const std::size_t slots = kSizeClassTable[size_class].slots;
  if (live == 0 && !withheld(*span)) {
    free_span(small_runs, span);
  } else if (live < slots) {
    ClassLists& lists = lists_of(size_class, span->noscan);
    (live * 2 > slots ? lists.crowded : lists.sparse).push_front(span);
  }
  return pages;
}

std::size_t sweep_large(Span* span, SweepResult& result) {
  const std::size_t pages = span->pages;
  const bool marked = span->large_mark.load(std::memory_order_relaxed) != 0;
  if (marked) {
    result.live_bytes += span->bytes();
    ++result.live_objects;
    span->large_mark.store(0, std::memory_order_relaxed);
  } else {
    // Relaxed: the world is stopped. Clear: freed already, by the sweep that withheld it.
    if (span->large_alloc.load(std::memory_order_relaxed) != 0) {
      result.freed_bytes += span->bytes();
      ++result.freed_objects;
      poison_free_memory(span->start, span->bytes());
    }
    if (withheld(*span)) {
      span->large_alloc.store(0, std::memory_order_relaxed);
    } else {
      free_span(large_runs, span);
    }
  }
  return pages;
}

}  // namespace

SweepResult sweep() noexcept {
  SweepResult result;
  for (auto& by_kind : class_lists) {
    for (ClassLists& lists : by_kind) {
      lists.sparse.clear();
      lists.crowded.clear();
    }
  }
  const auto walk = [&](PageRuns& runs, auto&& sweep_span) {
    const std::size_t end = runs.first_page() + runs.grown_pages();
    for (std::size_t page = runs.first_page(); page < end;) {
      page += PageInfo::kind(page_info(page)) == PageInfo::kFree
                  ? 1
                  : sweep_span(span_of_page(page), result);
    }
  };
  walk(small_runs, sweep_small);
  walk(large_runs, sweep_large);
  return result;
}

GrownPages grown_pages() noexcept {
  return {small_runs.grown_pages(), large_runs.first_page(),
          large_runs.first_page() + large_runs.grown_pages()};
}

Span* take_idle_run(std::size_t keep_bytes) noexcept {
  const std::lock_guard guard(page_lock);
  Span* run = large_runs.take_resident(keep_bytes / 2);
  return run != nullptr ? run : small_runs.take_resident(keep_bytes / 2);
}

void put_idle_run(Span* run) noexcept {
  const std::lock_guard guard(page_lock);
  (page_of(run->start) < large_runs.first_page() ? small_runs : large_runs).put_zeroed(run);
}

void set_roomy_bytes(std::uint64_t bytes) noexcept {
  // Relaxed: a rule of thumb, read at the next look.
  roomy_bytes.store(bytes, std::memory_order_relaxed);
}

HeapLevels levels() noexcept {
  HeapLevels levels;
  const std::lock_guard guard(page_lock);
  for (const PageRuns* runs : {&small_runs, &large_runs}) {
    levels.inuse_bytes += (runs->grown_pages() - runs->free_pages()) * kPageBytes;
    levels.idle_bytes += runs->free_pages() * kPageBytes;
    levels.released_bytes += runs->free_zeroed_pages() * kPageBytes;
    levels.tables_sys_bytes += runs->grown_pages() * (4 + 8);
  }
  levels.tables_sys_bytes += small_runs.grown_pages() * sizeof(SlotBits);
  levels.span_records = span_records_in_use();
  levels.span_record_sys_bytes = span_record_sys_bytes();
  return levels;
}

}  // namespace tailrace::heap
