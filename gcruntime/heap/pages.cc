// The reservation, its tables and its free pages; and the way from an address to its slot.
#include "gcruntime/heap/pages.h"

#include <mutex>

#include "gcruntime/base/check.h"
#include "gcruntime/base/spin_lock.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/heap/page_runs.h"
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

Span* allocate_pages(SpanState state, std::size_t pages, bool may_grow) noexcept {
  PageRuns& runs = state == SpanState::kSmall ? small_runs : large_runs;
  const std::lock_guard guard(page_lock);
  return runs.allocate(pages, state, may_grow);
}

void free_pages(Span* span) noexcept {
  const std::size_t first = page_of(span->start);
  for (std::size_t i = 0; i < span->pages; ++i) set_page_info(first + i, 0);
  PageRuns& runs = span->state == SpanState::kSmall ? small_runs : large_runs;
  const std::lock_guard guard(page_lock);
  runs.free(span);
}

bool roomy() noexcept {
  const std::lock_guard guard(page_lock);
  return (small_runs.used_pages() + large_runs.used_pages()) * kPageBytes <
         roomy_bytes.load(std::memory_order_relaxed);
}

void set_roomy_bytes(std::uint64_t bytes) noexcept {
  // Relaxed: a rule of thumb, read at the next look.
  roomy_bytes.store(bytes, std::memory_order_relaxed);
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

GrownPages grown_pages() noexcept {
  const std::lock_guard guard(page_lock);
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
