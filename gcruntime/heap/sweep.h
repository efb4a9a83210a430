// The end of a marking, and the sweep: slots that are allocated and not marked become free, marks are
// cleared, spans without live slots give their pages back. It goes on beside the program, a few spans at a
// time, by whoever comes: allocations that need a span, mutators in proportion to what they allocate, and
// the collector or idle workers in the background.
//
// [heap.sweep] Generations. The heap's rises by one when a marking ends; a span has the one in which it was
// made or swept last. While they differ the span is *unswept*: its mark bits are the ended marking's result,
// and nobody allocates from it.
//
//   1. A sweep and an allocation never meet in a span. In use it is on one list, in one cache or with one
//      sweeper; it changes hands under its lists' lock, and only swept ones are handed to caches.
//   2. No mark is set in a span that is being swept or was. Threads set marks in their phases 1 to 3 only,
//      markers only before end_marking(). Each thread's answer to the handshake that turns its phase off
//      comes before allow_sweep() (release), and spans are taken for sweeping by those who see that
//      (acquire) while they hold the lists' lock. A thread that looked before the marking ended, and comes
//      late, takes the lock after end_marking() filled the list and so sees that sweeping is *not* allowed.
//      All is swept before the next marking begins: unswept_pages counts what is being swept too.
//   3. No mark survives. Black words of free slots stand in spans of the thread's own generation: a thread
//      that is black makes spans of, and takes spans with, the generation it knows, and changes to the next
//      one by the same answer that ends its blackness. So every span with a mark has the ended generation
//      and is swept, those made between end_marking() and the answer included.
//   4. Pages do not change their purpose while somebody marks: only the sweep frees them.
//
// All functions but end_marking and allow_sweep: any thread, inside a section or not attached.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tailrace::heap {

// What threads adopt when they are attached: with it the phase of the same moment, for who allocates with
// the last generation must be black.
std::uint32_t generation() noexcept;

// Marking is complete: all spans of this generation become unswept. Returns the next one, which each thread
// adopts when it has answered, its cache returned. Nothing is swept before allow_sweep(). Everything must be
// swept. The collector.
std::uint32_t end_marking() noexcept;
// All threads have answered. The collector.
void allow_sweep() noexcept;

// Sweeps about that many pages, at most; a call with 8 takes a microsecond. False: all is swept, and no other
// thread is at it either.
bool sweep_some(std::size_t pages) noexcept;
// No span is unswept, no sweep under way; sweep_totals() is complete. False between end_marking() and
// allow_sweep().
bool swept() noexcept;

// All shall be swept when mutators have allocated about that much more. After allow_sweep() or right before
// it; until then sweep_for does nothing. The collector.
void set_sweep_budget(std::uint64_t bytes_until_next_cycle) noexcept;
// The share of that many allocated bytes, less what others have swept in advance; what is too much for one
// call is left for the next. Section.
void sweep_for(std::uint64_t allocated_bytes) noexcept;

struct SweepTotals {
  std::uint64_t freed_bytes = 0;  // since the start of the program
  std::uint64_t freed_objects = 0;
  std::uint64_t live_bytes = 0;  // of what the last marking found, as far as it is swept
  std::uint64_t live_objects = 0;
};
SweepTotals sweep_totals() noexcept;

// --- For the heap's allocation -------------------------------------------------------------------

// Sweeping is allowed, and something may be left.
bool sweep_under_way() noexcept;

struct Span;
// Sweeps spans of a class, at most that many, until one fits: at most half full or, with `any`, with a free
// slot. It is the caller's; null: none was found.
Span* sweep_for_span(std::size_t size_class, bool noscan, std::size_t most, bool any) noexcept;
// Sweeps large spans, at most that many, until that many pages came free.
void sweep_large_for(std::size_t pages, std::size_t most) noexcept;

}  // namespace tailrace::heap
