// The reservation, its tables and its free pages; and the way from an address to its slot.
#include "gcruntime/heap/pages.h"

#include <sched.h>

#include <algorithm>
#include <iterator>
#include <mutex>

#include "gcruntime/base/check.h"
#include "gcruntime/base/spin_lock.h"
#include "gcruntime/heap/arena_blocks.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/huge_pages.h"
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
PageRuns arena_runs;
PageRuns* const all_runs[] = {&small_runs, &large_runs, &arena_runs};

PageRuns& runs_of(SpanState state) noexcept {
  switch (state) {
    case SpanState::kSmall:
      return small_runs;
    case SpanState::kArena:
      return arena_runs;
    default:
      return large_runs;
  }
}
// Pieces taken and put back; under the page lock.
std::uint64_t releases_begun = 0;
std::uint64_t releases_ended = 0;
// Allocations that wait for what is on its way; under the page lock.
std::size_t waiting = 0;
std::atomic<std::uint64_t> roomy_bytes{UINT64_MAX};
// Relaxed, these three: figures; the two sums are written under the page lock.
std::atomic<std::uint64_t> resident_ceiling{UINT64_MAX};
std::atomic<std::uint64_t> resident_sum{0};
std::atomic<std::uint64_t> idle_resident_sum{0};

// Of the pages that were ever given out, whether they are resident or not.
std::size_t table_bytes() noexcept {
  return (small_runs.grown_pages() + large_runs.grown_pages()) * (4 + 8) +
         small_runs.grown_pages() * sizeof(SlotBits) + arena_runs.grown_pages() * 8 +
         arena_runs.grown_pages() / kArenaBlockPages * sizeof(ArenaBlock);
}

// Under the page lock, after each change of the runs.
void note_resident() noexcept {
  std::size_t idle = 0;
  std::size_t all = 0;
  for (const PageRuns* runs : all_runs) {
    idle += runs->free_resident_pages();
    all += runs->grown_pages() - runs->free_zeroed_pages();
  }
  idle_resident_sum.store(idle * kPageBytes, std::memory_order_relaxed);
  resident_sum.store(all * kPageBytes + table_bytes() + span_record_sys_bytes(),
                     std::memory_order_relaxed);
}

// Under the page lock.
bool below_ceiling(std::size_t pages, const Allowance* allowance) noexcept {
  const std::uint64_t ceiling = resident_ceiling.load(std::memory_order_relaxed);
  const std::uint64_t over = allowance != nullptr ? allowance->over_bytes : 0;
  const std::uint64_t after = resident_bytes() + pages * kPageBytes;
  return after <= ceiling || after - ceiling <= over;
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
    const std::size_t arena_pages = pages - small_pages - large_pages;
    page_map.arena_heads = static_cast<ArenaBlock*>(
        table((arena_pages / kArenaBlockPages * sizeof(ArenaBlock) + os::kPageBytes - 1) /
              os::kPageBytes * os::kPageBytes));
    page_map.small_bytes = small_pages * kPageBytes;
    page_map.large_bytes = large_pages * kPageBytes;
    page_map.base = reinterpret_cast<std::uintptr_t>(reserved);
    page_map.arena_base = page_map.base + (small_pages + large_pages) * kPageBytes;
    page_map.arena_bytes = arena_pages * kPageBytes;
    page_map.bytes = bytes;
    os::prefer_huge_pages(reserved, page_map.small_bytes + page_map.large_bytes);
    small_runs.initialise(0, small_pages);
    large_runs.initialise(small_pages, large_pages);
    arena_runs.initialise(small_pages + large_pages, arena_pages);
    return true;
  }();
  static_cast<void>(done);
}

// [heap.release] Where the range is used up but for what is on its way to the kernel, that is waited for: a
// piece takes some hundred microseconds, whoever has it can be stopped by nobody meanwhile, and no other is
// taken while somebody waits.
Span* allocate_pages(SpanState state, std::size_t pages, bool may_grow,
                     Allowance* allowance) noexcept {
  PageRuns& runs = runs_of(state);
  for (bool waits = false;; waits = true) {
    {
      const std::lock_guard guard(page_lock);
      if (waits) --waiting;
      const bool refused = may_grow && !below_ceiling(pages, allowance);
      Span* span = runs.allocate(pages, state, may_grow && !refused);
      if (span != nullptr) note_resident();
      if (allowance != nullptr) allowance->refused = span == nullptr && refused;
      // At the ceiling the wait is the caller's, outside this section.
      if (span != nullptr || !may_grow || refused || runs.releasing_pages() == 0) return span;
      ++waiting;
    }
    ::sched_yield();
  }
}

void free_pages(Span* span) noexcept {
  if (span->state != SpanState::kArena) {
    const std::size_t first = page_of(span->start);
    for (std::size_t i = 0; i < span->pages; ++i) set_page_info(first + i, 0);
  }
  PageRuns& runs = runs_of(span->state);
  const std::lock_guard guard(page_lock);
  runs.free(span);
  note_resident();
}

bool roomy() noexcept {
  const std::lock_guard guard(page_lock);
  return (small_runs.used_pages() + large_runs.used_pages() + arena_runs.used_pages()) *
             kPageBytes <
         roomy_bytes.load(std::memory_order_relaxed);
}

std::uint64_t resident_bytes() noexcept { return resident_sum.load(std::memory_order_relaxed); }
std::uint64_t idle_resident_bytes() noexcept {
  return idle_resident_sum.load(std::memory_order_relaxed);
}
void set_resident_ceiling(std::uint64_t bytes) noexcept {
  resident_ceiling.store(bytes, std::memory_order_relaxed);
}

void set_roomy_bytes(std::uint64_t bytes) noexcept {
  // Relaxed: a rule of thumb, read at the next look.
  roomy_bytes.store(bytes, std::memory_order_relaxed);
}

ObjectPlace find_object(std::uintptr_t address) noexcept {
  if (in_arena_range(address)) return find_faded(arena_block_of(address), address);
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
          large_runs.first_page() + large_runs.grown_pages(), arena_runs.first_page(),
          arena_runs.first_page() + arena_runs.grown_pages()};
}

Span* take_idle_run(std::size_t keep_bytes) noexcept {
  const std::lock_guard guard(page_lock);
  std::size_t idle = 0;
  for (const PageRuns* runs : all_runs) idle += runs->free_resident_pages();
  if (idle * kPageBytes <= keep_bytes || waiting != 0) return nullptr;
  // From the range that has most first.
  PageRuns* in_turn[std::size(all_runs)];
  std::copy(std::begin(all_runs), std::end(all_runs), in_turn);
  std::sort(std::begin(in_turn), std::end(in_turn), [](const PageRuns* a, const PageRuns* b) {
    return a->free_resident_pages() > b->free_resident_pages();
  });
  Span* run = nullptr;
  for (const bool whole : {true, false}) {
    for (PageRuns* runs : in_turn) {
      run = runs->take_resident(0, whole);
      if (run != nullptr) break;
    }
    if (run != nullptr) break;
  }
  if (run != nullptr) ++releases_begun;
  note_resident();
  return run;
}

void put_idle_run(Span* run) noexcept {
  // The huge pages that it lies in, as far as they are given back now.
  std::uintptr_t begin = run->start & ~(os::kHugePageBytes - 1);
  std::uintptr_t end =
      (run->start + run->bytes() + os::kHugePageBytes - 1) & ~(os::kHugePageBytes - 1);
  {
    const std::lock_guard guard(page_lock);
    const std::size_t page = page_of(run->start);
    PageRuns& runs = page < large_runs.first_page()   ? small_runs
                     : page < arena_runs.first_page() ? large_runs
                                                      : arena_runs;
    const Span* merged = runs.put_zeroed(run);
    begin = std::max(begin, merged->start);
    end = std::min(end, merged->start + merged->bytes());
    note_resident();
    ++releases_ended;
  }
  put_together(begin, end - begin);
}

std::size_t await_idle_runs() noexcept {
  std::uint64_t wait_for = UINT64_MAX;
  std::size_t bytes = 0;
  for (;;) {
    {
      const std::lock_guard guard(page_lock);
      std::size_t pages = 0;
      for (const PageRuns* runs : all_runs) pages += runs->releasing_pages();
      if (wait_for == UINT64_MAX) bytes = pages * kPageBytes;
      // As many as are on their way now; or none is.
      wait_for = std::min(wait_for, releases_begun);
      if (releases_ended >= wait_for || pages == 0) return bytes;
    }
    ::sched_yield();
  }
}

HeapLevels levels() noexcept {
  HeapLevels levels;
  const std::lock_guard guard(page_lock);
  for (const PageRuns* runs : all_runs) {
    levels.inuse_bytes += runs->used_pages() * kPageBytes;
    // What is on its way to the kernel is idle and not released yet.
    levels.idle_bytes += (runs->free_pages() + runs->releasing_pages()) * kPageBytes;
    levels.released_bytes += runs->free_zeroed_pages() * kPageBytes;
  }
  levels.tables_sys_bytes = table_bytes();
  levels.span_records = span_records_in_use();
  levels.span_record_sys_bytes = span_record_sys_bytes();
  return levels;
}

}  // namespace tailrace::heap
