// The heap: one reservation of address space, cut into ranges for small spans, large spans and arena
// blocks, and what stands between a worker cache and the pages. What ends a marking and frees is sweep.h.
//
// One per process. The functions here know no sections: gc/ calls them inside flagged sections, or on
// threads that are not attached, which is what makes the SpinLocks inside safe. Of the collector's phase
// they know what they are told: `black`, that the thread allocates marked objects.
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

// No page is taken from the kernel that would bring resident_bytes() over that; UINT64_MAX: none is refused.
// Any thread.
void set_resident_ceiling(std::uint64_t bytes) noexcept;
// Of one attempt to take pages: by how much it may pass the ceiling, and whether that is what it met.
struct Allowance {
  std::uint64_t over_bytes = 0;
  bool refused = false;
};

// Takes the next word or the next span for a slot of the cache, and sweeps a little for it if need be. `black`:
// the word's free slots are marked before any of them is handed out. False: no memory, or none within the
// allowance; while a sweep is under way the next attempt may succeed. Section.
bool refill(WorkerCache& cache, CacheSlot& slot, std::size_t size_class, bool noscan, bool black,
            Allowance* allowance = nullptr) noexcept;

// Marks what is free of the words at hand: the thread's objects are black from here on. Its own thread, or
// the collector for it. Section.
void blacken_cache(WorkerCache& cache) noexcept;

// A slot of a cached word that has free ones, its allocation bit set and counted. Contents are undefined.
// Section.
TAILRACE_ALWAYS_INLINE void* take_slot(WorkerCache& cache, CacheSlot& slot,
                                       std::size_t size_class) {
  const int index = std::countr_zero(slot.free_bits);
  const std::uint64_t bit = slot.free_bits & -slot.free_bits;
  slot.free_bits ^= bit;
  // The load relaxed: the span is this cache's alone. Release pairs with ObjectPlace::allocated: a mark bit
  // set by refill or blacken_cache comes before the allocation bit.
  slot.alloc_word->store(slot.alloc_word->load(std::memory_order_relaxed) | bit,
                         std::memory_order_release);
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
// `fresh` tells that its memory is zero already. Its allocation bit is not set yet, its mark bit is if
// `black`. The caller sets the allocation bit (release) in the same section.
Span* allocate_large_span(WorkerCache& cache, std::size_t bytes, bool noscan, bool& fresh,
                          bool black, Allowance* allowance = nullptr) noexcept;

// Empties the cache: its spans go back to their lists. In the answer to the handshake after a marking, before
// the new generation is adopted; when the world is stopped; at the end of a thread. Section, or the
// collector for a thread that is stopped or in a native scope.
void return_cache(WorkerCache& cache) noexcept;

// Giving free pages back to the OS, all but `keep_bytes`, piece by piece: take_idle_run takes a run of at
// most a huge page out of circulation (null: done), give_pages_back (page_runs.h) hands its memory to the
// kernel, put_idle_run puts the run back. No lock is held in between. Not by a thread that can be stopped
// between the three (native scope, or not attached): who finds the range used up waits for it.
Span* take_idle_run(std::size_t keep_bytes) noexcept;
void put_idle_run(Span* run) noexcept;
// Until what others have taken is back: some hundred microseconds. Returns the bytes. By who may call
// take_idle_run.
std::size_t await_idle_runs() noexcept;

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
// In spans, or free and not given back, with the pages' tables and the spans' records; and of that what is
// free. Any thread, in a section or not.
std::uint64_t resident_bytes() noexcept;
std::uint64_t idle_resident_bytes() noexcept;

// The page numbers that walks of the whole heap need to visit: [0, small_end) and
// [large_begin, large_end); the arenas' are [arena_begin, arena_end). They only grow. Section.
struct GrownPages {
  std::size_t small_end = 0;
  std::size_t large_begin = 0;
  std::size_t large_end = 0;
  std::size_t arena_begin = 0;
  std::size_t arena_end = 0;
};
GrownPages grown_pages() noexcept;

// Makes the reservation if that has not happened; every attach of a thread calls it. Stops the program
// with a message if not even a small one can be had.
void initialise() noexcept;

}  // namespace tailrace::heap
