// The life of a small span: taken from the pages with all slots free; cached by one worker, which takes its
// slots word by word; used up, then full until a sweep frees slots or gives its pages back. Only the sweep
// turns objects into free slots, and only in spans that are on a list [heap.sweep].
//
// Locks: one for pages and span records, one for the lists of each class and kind, one for large spans;
// never two at once. All are held inside flagged sections or by threads that are not attached, so a stopped
// thread holds none.
#include "gcruntime/heap/heap.h"

#include "gcruntime/base/check.h"
#include "gcruntime/base/mutant.h"
#include "gcruntime/heap/pages.h"
#include "gcruntime/heap/poison.h"
#include "gcruntime/heap/slots.h"
#include "gcruntime/heap/span.h"
#include "gcruntime/heap/span_lists.h"
#include "gcruntime/heap/sweep.h"

namespace tailrace::heap {
namespace {

// What one refill sweeps at most: spans of its class, in search of a sparse one; pages of other classes, in
// search of free ones before fresh memory is taken; spans and pages when memory is tight.
constexpr std::size_t kSpansARefill = 16;
constexpr std::size_t kPagesARefill = 32;
constexpr std::size_t kSpansWhenTight = 64;
constexpr std::size_t kPagesWhenTight = 256;
constexpr std::size_t kLargeSpansACall = 64;

Span* new_small_span(std::size_t size_class, bool noscan, std::uint32_t generation, bool may_grow,
                     Allowance* allowance) noexcept {
  const std::size_t pages = kSizeClassTable[size_class].pages;
  Span* span = allocate_pages(SpanState::kSmall, pages, may_grow, allowance);
  if (span == nullptr) return nullptr;
  span->size_class = static_cast<std::uint8_t>(size_class);
  span->noscan = noscan;
  span->cached = true;
  // Relaxed: the span is ours until it goes on a list. The thread's generation, not the heap's: it may be
  // about to blacken words of it [heap.sweep].
  span->generation.store(generation, std::memory_order_relaxed);
  SlotBits& bits = bits_of(*span);
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

// The slots of a word that has holes are cold lines, one a slot: all of them are asked for at once, so that
// they come while the first ones are used. (Where nothing is live the processor sees the pattern itself.)
void prefetch_slots(const CacheSlot& slot, std::size_t slot_bytes) noexcept {
  for (std::uint64_t bits = slot.free_bits; bits != 0; bits &= bits - 1) {
    const char* at = slot.word_base + static_cast<std::size_t>(std::countr_zero(bits)) * slot_bytes;
    __builtin_prefetch(at, 1);
    if (slot_bytes > 64) __builtin_prefetch(at + 64, 1);
  }
}

// A thread that does not blacken must know of the last marking's end: its spans would be swept by marks that
// they do not have.
void check_generation(const WorkerCache& cache, bool black) noexcept {
  // Relaxed: the thread's phase and its generation change in one answer.
  TAILRACE_CHECK(black ||
                     cache.generation == sweep_state.generation.load(std::memory_order_relaxed) ||
                     base::mutant(base::Mutant::kNoBlackAllocation),
                 "a thread allocates unmarked objects in an ended generation");
}

// In the order of [heap.crowded], with what is still unswept taken for what it will be. The span that is used
// up, if any, goes back.
Span* acquire_span(const WorkerCache& cache, Span* used_up, std::size_t size_class, bool noscan,
                   Allowance* allowance) noexcept {
  ClassLists& lists = lists_of(size_class, noscan);
  const std::uint32_t generation = cache.generation;
  const auto fresh = [&](bool may_grow) {
    return new_small_span(size_class, noscan, generation, may_grow, allowance);
  };
  if (Span* span = lists.take_sparse(generation, used_up)) return span;
  const bool sweeping = sweep_under_way();
  if (sweeping) {
    if (Span* span = sweep_for_span(size_class, noscan, kSpansARefill, /*any=*/false)) return span;
  }
  if (Span* span = fresh(false)) return span;
  if (sweeping) {
    sweep_some(kPagesARefill);
    if (Span* span = lists.take_sparse(generation)) return span;
    if (Span* span = fresh(false)) return span;
  }
  if (roomy()) {
    if (Span* span = fresh(true)) return span;
  }
  if (Span* span = lists.take_crowded(generation)) return span;
  if (sweeping) {
    if (Span* span = sweep_for_span(size_class, noscan, kSpansWhenTight, /*any=*/true)) return span;
    sweep_some(kPagesWhenTight);
    if (Span* span = lists.take_sparse(generation)) return span;
    if (Span* span = lists.take_crowded(generation)) return span;
    if (Span* span = fresh(false)) return span;
  }
  return fresh(true);
}

}  // namespace

bool refill(WorkerCache& cache, CacheSlot& slot, std::size_t size_class, bool noscan, bool black,
            Allowance* allowance) noexcept {
  check_generation(cache, black);
  const std::size_t words = slot_words(size_class);
  for (;;) {
    if (slot.span != nullptr) {
      SlotBits& bits = bits_of(*slot.span);
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
        slot.mark_word = &bits.mark[word];
        // Relaxed: take_slot's release comes after it. Markers set bits of the same word.
        if (black) slot.mark_word->fetch_or(free, std::memory_order_relaxed);
        if (free != valid_slots(size_class, word)) prefetch_slots(slot, slot_bytes);
        check_free_slots(slot.word_base, slot_bytes, free);
        return true;
      }
    }
    slot.span = acquire_span(cache, slot.span, size_class, noscan, allowance);
    slot.next_word = 0;
    if (slot.span == nullptr) return false;
  }
}

void blacken_cache(WorkerCache& cache) noexcept {
  for (auto& kinds : cache.slots) {
    for (CacheSlot& slot : kinds) {
      if (slot.free_bits == 0) continue;
      // Relaxed: take_slot's release comes after it.
      slot.mark_word->fetch_or(slot.free_bits, std::memory_order_relaxed);
    }
  }
}

Span* allocate_large_span(WorkerCache& cache, std::size_t bytes, bool noscan, bool& fresh,
                          bool black, Allowance* allowance) noexcept {
  check_generation(cache, black);
  if (bytes > page_map.large_bytes) return nullptr;
  const std::size_t pages = (bytes + kPageBytes - 1) / kPageBytes;
  Span* span = nullptr;
  if (sweep_under_way()) {
    span = allocate_pages(SpanState::kLarge, pages, /*may_grow=*/false);
    if (span == nullptr) sweep_large_for(pages, kLargeSpansACall);
  }
  if (span == nullptr) {
    span = allocate_pages(SpanState::kLarge, pages, /*may_grow=*/true, allowance);
  }
  if (span == nullptr) return nullptr;
  fresh = span->zeroed;
  base::unpoison_memory(reinterpret_cast<void*>(span->start), span->bytes());
  span->noscan = noscan;
  // Relaxed, all: published by set_page_info.
  span->generation.store(cache.generation, std::memory_order_relaxed);
  span->large_mark.store(black ? 1 : 0, std::memory_order_relaxed);
  span->large_alloc.store(0, std::memory_order_relaxed);
  const std::size_t first = page_of(span->start);
  for (std::size_t i = 0; i < pages; ++i) set_page_info(first + i, PageInfo::large(noscan));
  // Whoever is to sweep it waits for this thread's answer, and so for the allocation bit.
  large_lists.put(span);
  return span;
}

void return_cache(WorkerCache& cache) noexcept {
  for (std::size_t size_class = 0; size_class < kSizeClasses; ++size_class) {
    for (const bool noscan : {false, true}) {
      CacheSlot& slot = cache.slots[size_class][noscan];
      if (slot.span == nullptr) continue;
      // So that only words at hand have marked free slots, as the verifier expects. Relaxed: marks of the
      // word's objects may be set meanwhile; who takes the rest is black and marks it again, or may be white.
      if (slot.free_bits != 0) {
        slot.mark_word->fetch_and(~slot.free_bits, std::memory_order_relaxed);
      }
      lists_of(size_class, noscan).put(slot.span, fill_of(*slot.span));
      slot = CacheSlot{};
    }
  }
}

}  // namespace tailrace::heap
