#include "gcruntime/heap/sweep.h"

#include <algorithm>
#include <atomic>

#include "gcruntime/base/check.h"
#include "gcruntime/heap/pages.h"
#include "gcruntime/heap/poison.h"
#include "gcruntime/heap/size_class.h"
#include "gcruntime/heap/slots.h"
#include "gcruntime/heap/span.h"
#include "gcruntime/heap/span_lists.h"

namespace tailrace::heap {
namespace {

// A sweeper tells the shared counters every so many pages.
constexpr std::uint64_t kBatchPages = 64;
// The most that sweep_for does for 32 KiB, and at one call.
constexpr std::uint64_t kPagesAShare = 32;
constexpr std::uint64_t kShareBytes = 32 * 1024;
constexpr std::uint64_t kMostPagesACall = 256;

// Relaxed, all: counts. They are complete for whoever has seen swept(), see Batch::tell.
struct alignas(64) Totals {
  std::atomic<std::uint64_t> freed_bytes{0};
  std::atomic<std::uint64_t> freed_objects{0};
  std::atomic<std::uint64_t> live_bytes{0};
  std::atomic<std::uint64_t> live_objects{0};
};
constinit Totals totals;

// The list from which the next span comes: a number below kLists, with the generation above it, so that a
// sweeper that slept through a cycle cannot push the next one's on. Large spans first: they free the most.
constexpr std::uint64_t kLists = 1 + 2 * kSizeClasses;
struct alignas(64) Cursor {
  std::atomic<std::uint64_t> at{0};
};
constinit Cursor cursor;

// Relaxed, all: rules of thumb, written by the collector when it allows the sweep.
struct alignas(64) Budget {
  std::atomic<std::uint64_t> bytes{UINT64_MAX};
  std::atomic<std::uint64_t> pages{0};      // that were unswept then
  std::atomic<std::uint64_t> allocated{0};  // since
};
constinit Budget budget;

// What one sweeper has done and not told yet.
class Batch {
 public:
  Batch() noexcept = default;
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  ~Batch() { tell(); }

  void count(std::uint64_t slot_bytes, std::uint64_t live, std::uint64_t freed) noexcept {
    live_bytes_ += live * slot_bytes;
    live_objects_ += live;
    freed_bytes_ += freed * slot_bytes;
    freed_objects_ += freed;
  }
  // Before the span is put away, so that it is not told too early.
  void count_pages(std::uint64_t pages) noexcept {
    if (pages_ >= kBatchPages) tell();
    pages_ += pages;
  }

 private:
  void tell() noexcept {
    if (pages_ == 0) return;
    totals.freed_bytes.fetch_add(freed_bytes_, std::memory_order_relaxed);
    totals.freed_objects.fetch_add(freed_objects_, std::memory_order_relaxed);
    totals.live_bytes.fetch_add(live_bytes_, std::memory_order_relaxed);
    totals.live_objects.fetch_add(live_objects_, std::memory_order_relaxed);
    // Release pairs with swept()'s acquire: who sees zero sees all bits as they were left, the spans on
    // their lists, and the totals.
    unswept_pages.count.fetch_sub(pages_, std::memory_order_release);
    pages_ = live_bytes_ = live_objects_ = freed_bytes_ = freed_objects_ = 0;
  }

  std::uint64_t pages_ = 0;
  std::uint64_t live_bytes_ = 0;
  std::uint64_t live_objects_ = 0;
  std::uint64_t freed_bytes_ = 0;
  std::uint64_t freed_objects_ = 0;
};

// From here on the span is one of this generation; its holder makes it known by a list or a cache.
void set_swept(Span& span) noexcept {
  // Relaxed, both: the generation does not rise while anything is unswept, this span included; the span is
  // handed on under a lock.
  span.generation.store(sweep_state.generation.load(std::memory_order_relaxed),
                        std::memory_order_relaxed);
}

Fill sweep_slots(Span& span, Batch& batch) noexcept {
  const std::size_t size_class = span.size_class;
  const std::size_t slot_bytes = kSizeClassTable[size_class].bytes;
  SlotBits& bits = bits_of(span);
  std::size_t live = 0;
  std::size_t freed = 0;
  for (std::size_t word = 0; word < slot_words(size_class); ++word) {
    // Relaxed, all: the span is the caller's, and nobody marks. Marks without an allocation bit are free
    // slots of black words.
    const std::uint64_t allocated = bits.alloc[word].load(std::memory_order_relaxed);
    const std::uint64_t kept = allocated & bits.mark[word].load(std::memory_order_relaxed);
    live += static_cast<std::size_t>(std::popcount(kept));
    freed += static_cast<std::size_t>(std::popcount(allocated & ~kept));
    poison_slots(span.start + word * 64 * slot_bytes, slot_bytes, allocated & ~kept);
    bits.alloc[word].store(kept, std::memory_order_relaxed);
    bits.mark[word].store(0, std::memory_order_relaxed);
  }
  batch.count(slot_bytes, live, freed);
  batch.count_pages(span.pages);
  set_swept(span);
  return fill_of(span, live);
}

// Returns the pages that came free.
std::size_t sweep_large(Span* span, Batch& batch) noexcept {
  const std::size_t pages = span->pages;
  // Relaxed, all: as in sweep_slots.
  const bool allocated = span->large_alloc.load(std::memory_order_relaxed) != 0;
  const bool live = allocated && span->large_mark.load(std::memory_order_relaxed) != 0;
  batch.count(span->bytes(), live ? 1 : 0, allocated && !live ? 1 : 0);
  batch.count_pages(pages);
  if (allocated && !live) poison_free_memory(span->start, span->bytes());
  // Withheld ones are freed by a later sweep.
  if (!live && withheld(*span) == 0) {
    free_pages(span);
    return pages;
  }
  span->large_alloc.store(live ? 1 : 0, std::memory_order_relaxed);
  span->large_mark.store(0, std::memory_order_relaxed);
  set_swept(*span);
  large_lists.put(span);
  return 0;
}

// Returns how many it swept.
std::size_t sweep_pages(std::size_t pages) noexcept {
  Batch batch;
  std::size_t done = 0;
  while (done < pages) {
    // Acquire pairs with end_marking's release: who sees the new generation's sees that its lists must not
    // be touched yet, and does not take them for empty.
    std::uint64_t at = cursor.at.load(std::memory_order_acquire);
    const std::uint64_t number = at & UINT32_MAX;
    // Acquire: see swept(). Not allowed, an empty list says nothing.
    if (number == kLists || !sweep_state.allowed.load(std::memory_order_acquire)) break;
    if (number == 0) {
      if (Span* span = large_lists.take_unswept()) {
        done += span->pages;
        sweep_large(span, batch);
        continue;
      }
    } else {
      ClassLists& lists = lists_of((number - 1) / 2, (number - 1) % 2 != 0);
      Span* span = lists.take_unswept(ClassLists::End::kLast);
      bool any = false;
      while (span != nullptr) {
        any = true;
        done += span->pages;
        const Fill fill = sweep_slots(*span, batch);
        Span* put = span;
        if (fill.live == 0 && withheld(*span) == 0) {
          free_pages(span);
          put = nullptr;
        }
        if (done >= pages) {
          if (put != nullptr) lists.put(put, fill);
          break;
        }
        span = lists.take_unswept(ClassLists::End::kLast, put, fill);
      }
      if (any) continue;
    }
    // Relaxed: the list is empty for the rest of this generation, whoever says so.
    cursor.at.compare_exchange_strong(at, at + 1, std::memory_order_relaxed);
  }
  return done;
}

}  // namespace

std::uint32_t generation() noexcept {
  // Acquire pairs with end_marking's release: the lists hold no span of the last generation as swept.
  return sweep_state.told_generation.load(std::memory_order_acquire);
}

std::uint32_t end_marking() noexcept {
  TAILRACE_CHECK(swept(), "a marking ended before the last one's sweep did");
  // Relaxed: the next store publishes it.
  sweep_state.allowed.store(false, std::memory_order_relaxed);
  // Relaxed: only the collector writes it.
  const std::uint32_t next = sweep_state.generation.load(std::memory_order_relaxed) + 1;
  // Release pairs with the acquire in span_lists.cc: who puts a span on a list by the new generation sees that
  // sweeping is not allowed.
  sweep_state.generation.store(next, std::memory_order_release);
  // Release pairs with sweep_pages' acquire.
  cursor.at.store(std::uint64_t{next} << 32, std::memory_order_release);
  // Relaxed, all: read after allow_sweep's release.
  budget.bytes.store(UINT64_MAX, std::memory_order_relaxed);
  totals.live_bytes.store(0, std::memory_order_relaxed);
  totals.live_objects.store(0, std::memory_order_relaxed);
  for (std::size_t size_class = 0; size_class < kSizeClasses; ++size_class) {
    for (const bool noscan : {false, true}) lists_of(size_class, noscan).end_generation();
  }
  large_lists.end_generation();
  // Release pairs with generation()'s acquire.
  sweep_state.told_generation.store(next, std::memory_order_release);
  return next;
}

void allow_sweep() noexcept {
  // Release pairs with the acquire under each lists' lock: all answers, and so all marks, came before.
  sweep_state.allowed.store(true, std::memory_order_release);
}

bool swept() noexcept {
  // Acquire, both: pair with allow_sweep and with Batch::tell.
  return sweep_state.allowed.load(std::memory_order_acquire) &&
         unswept_pages.count.load(std::memory_order_acquire) == 0;
}

bool sweep_under_way() noexcept {
  // Acquire: pairs with allow_sweep. Relaxed: an early look; the lists decide.
  return unswept_pages.count.load(std::memory_order_relaxed) != 0 &&
         sweep_state.allowed.load(std::memory_order_acquire);
}

bool sweep_some(std::size_t pages) noexcept {
  if (sweep_under_way()) sweep_pages(pages);
  return !swept();
}

Span* sweep_for_span(std::size_t size_class, bool noscan, std::size_t most, bool any) noexcept {
  ClassLists& lists = lists_of(size_class, noscan);
  Batch batch;
  Span* span = lists.take_unswept(ClassLists::End::kFirst);
  for (std::size_t count = 1; span != nullptr; ++count) {
    const Fill fill = sweep_slots(*span, batch);
    if (any ? fill.free != 0 : sparse(*span, fill)) {
      span->cached = true;
      return span;
    }
    if (count == most) {
      lists.put(span, fill);
      return nullptr;
    }
    span = lists.take_unswept(ClassLists::End::kFirst, span, fill);
  }
  return nullptr;
}

void sweep_large_for(std::size_t pages, std::size_t most) noexcept {
  Batch batch;
  std::size_t freed = 0;
  for (std::size_t count = 0; count < most && freed < pages; ++count) {
    Span* span = large_lists.take_unswept();
    if (span == nullptr) return;
    freed += sweep_large(span, batch);
  }
}

void set_sweep_budget(std::uint64_t bytes_until_next_cycle) noexcept {
  // An eighth is kept in hand: threads tell of what they allocate when they have allocated it.
  const std::uint64_t bytes = bytes_until_next_cycle - bytes_until_next_cycle / 8;
  // Relaxed, all: rules of thumb.
  budget.allocated.store(0, std::memory_order_relaxed);
  budget.pages.store(unswept_pages.count.load(std::memory_order_relaxed),
                     std::memory_order_relaxed);
  budget.bytes.store(bytes, std::memory_order_relaxed);
}

void sweep_for(std::uint64_t allocated_bytes) noexcept {
  if (!sweep_under_way()) return;
  // Relaxed, all: rules of thumb.
  const std::uint64_t allocated =
      budget.allocated.fetch_add(allocated_bytes, std::memory_order_relaxed) + allocated_bytes;
  const std::uint64_t bytes = budget.bytes.load(std::memory_order_relaxed);
  const std::uint64_t pages = budget.pages.load(std::memory_order_relaxed);
  const std::uint64_t left = unswept_pages.count.load(std::memory_order_relaxed);
  const std::uint64_t may_be_left =
      allocated >= bytes ? 0
                         : static_cast<std::uint64_t>(static_cast<double>(pages) *
                                                      (static_cast<double>(bytes - allocated) /
                                                       static_cast<double>(bytes)));
  if (left <= may_be_left) return;
  const std::uint64_t share =
      std::clamp(allocated_bytes / kShareBytes * kPagesAShare, kPagesAShare, kMostPagesACall);
  sweep_pages(std::min(left - may_be_left, share));
}

SweepTotals sweep_totals() noexcept {
  // Relaxed, all: see Totals.
  return {totals.freed_bytes.load(std::memory_order_relaxed),
          totals.freed_objects.load(std::memory_order_relaxed),
          totals.live_bytes.load(std::memory_order_relaxed),
          totals.live_objects.load(std::memory_order_relaxed)};
}

}  // namespace tailrace::heap
