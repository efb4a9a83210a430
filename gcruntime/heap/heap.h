// The heap: one reservation of address space, cut into ranges for small spans, large spans and arena
// blocks, and what stands between a worker cache and the pages.
//
// One per process. The functions here know no collector phase and no sections: gc/ calls them inside
// flagged sections (or with the world stopped), which is what makes the SpinLocks inside safe.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "gcruntime/base/annotations.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/heap/size_class.h"
#include "gcruntime/heap/worker_cache.h"

namespace tailrace::heap {

struct Span;

// Takes the next word or the next span for the cache. False: no memory. Section.
bool refill(CacheSlot& slot, std::size_t size_class, bool noscan) noexcept;

// A slot of a cached word that has free ones, its allocation bit set and counted. Contents are undefined.
// Section.
TAILRACE_ALWAYS_INLINE void* take_slot(WorkerCache& cache, CacheSlot& slot,
                                       std::size_t size_class) {
  const int index = std::countr_zero(slot.free_bits);
  const std::uint64_t bit = slot.free_bits & -slot.free_bits;
  slot.free_bits ^= bit;
  // Relaxed: the span is this cache's alone, and the collector reads the bits when the thread is
  // stopped.
  slot.alloc_word->store(slot.alloc_word->load(std::memory_order_relaxed) | bit,
                         std::memory_order_relaxed);
  const std::size_t bytes = kSizeClassTable[size_class].bytes;
  gc::bump(cache.counts.bytes, bytes);
  gc::bump(cache.counts.objects, 1);
  char* address = slot.word_base + static_cast<std::size_t>(index) * bytes;
  // From here on the address is in one register or stack word. A compiler may put the addition off behind
  // the section's end, and a scan would then see the two summands [gc.alloc].
  asm volatile("" : "+r"(address));
  base::unpoison_memory(address, bytes);
  return address;
}

// Zeroes a slot. Word stores: a compiler turns the constant sizes into vector stores; the marker may
// not be looking, the slot is not an object yet.
TAILRACE_ALWAYS_INLINE void zero_slot(std::uint64_t* words, std::size_t bytes) {
  __builtin_memset(words, 0, bytes);
}

// A span of its own for an object of `bytes` (header included), of class kLarge; null: no memory.
// `fresh` tells that its memory is zero already. Its allocation bit is not set yet. Section.
Span* allocate_large_span(std::size_t bytes, bool noscan, bool& fresh) noexcept;

// Empties the cache. The spans' free slots are lost to allocation until the sweep that must follow.
// World stopped.
void flush_cache(WorkerCache& cache) noexcept;
// The same at the end of a thread: spans with free slots go back to their lists. Section.
void return_cache(WorkerCache& cache) noexcept;

// After marking, with the world stopped and all caches flushed: frees what is unmarked, clears marks,
// rebuilds the lists of spans with free slots.
struct SweepResult {
  std::uint64_t live_bytes = 0;
  std::uint64_t live_objects = 0;
  std::uint64_t freed_bytes = 0;
  std::uint64_t freed_objects = 0;
};
SweepResult sweep() noexcept;

// Giving free pages back to the OS, all but `keep_bytes`, piece by piece: take_idle_run takes a run of at
// most 32 MiB out of circulation (null: done), give_pages_back (page_runs.h) hands its memory to the
// kernel, put_idle_run puts the run back. Sections around the first and the last, not around the middle,
// which may take a millisecond and which nobody else need wait for.
Span* take_idle_run(std::size_t keep_bytes) noexcept;
void put_idle_run(Span* run) noexcept;

// While no more than that is in spans memory is not tight: spans that are over half full are passed over
// for fresh pages, because each slot taken from them costs a cold cache line. Any thread.
void set_roomy_bytes(std::uint64_t bytes) noexcept;

struct HeapLevels {
  std::uint64_t inuse_bytes = 0;     // in spans
  std::uint64_t idle_bytes = 0;      // in free runs
  std::uint64_t released_bytes = 0;  // of them: given back, or never touched
  std::uint64_t span_records = 0;    // in use
  std::uint64_t span_record_sys_bytes = 0;
  std::uint64_t tables_sys_bytes = 0;
};
HeapLevels levels() noexcept;

// The page numbers that walks of the whole heap need to visit: [0, small_end) and
// [large_begin, large_end). World stopped.
struct GrownPages {
  std::size_t small_end = 0;
  std::size_t large_begin = 0;
  std::size_t large_end = 0;
};
GrownPages grown_pages() noexcept;

// Makes the reservation if that has not happened; every attach of a thread calls it. Stops the program
// with a message if not even a small one can be had.
void initialise() noexcept;

}  // namespace tailrace::heap
