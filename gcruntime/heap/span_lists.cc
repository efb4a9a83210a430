#include "gcruntime/heap/span_lists.h"

#include "gcruntime/base/check.h"

namespace tailrace::heap {

constinit SweepState sweep_state;
constinit UnsweptPages unswept_pages;
constinit LargeLists large_lists;

namespace {

constinit ClassLists class_lists[kSizeClasses][2];

// Under the lock of the span's lists.
bool is_swept(const Span& span) noexcept {
  // Relaxed: the span is the caller's. Acquire pairs with end_marking's release: who sees the new
  // generation sees that sweeping is not allowed (below).
  return span.generation.load(std::memory_order_relaxed) ==
         sweep_state.generation.load(std::memory_order_acquire);
}

// A span of an ended generation comes to its list.
void add_unswept(const Span& span) noexcept {
  // Relaxed: see is_swept. A span that is late may hold marks that are set this moment.
  TAILRACE_CHECK(!sweep_state.allowed.load(std::memory_order_relaxed),
                 "a cache was returned after sweeping began: a thread has not answered");
  // Relaxed: nobody subtracts before allow_sweep, which every answer comes before.
  unswept_pages.count.fetch_add(span.pages, std::memory_order_relaxed);
}

Span* pop_unswept(SpanList& unswept, ClassLists::End end) noexcept {
  // Acquire pairs with allow_sweep's release: all marks were set before. Under the lock: if the list's spans
  // are those of a marking that has ended since the caller looked, this is false [heap.sweep].
  if (!sweep_state.allowed.load(std::memory_order_acquire)) return nullptr;
  const bool first = end == ClassLists::End::kFirst;
  Span* span = first ? unswept.pop_front() : unswept.pop_back();
  // The next one's record comes while this one is swept.
  if (!unswept.empty()) __builtin_prefetch(first ? unswept.first() : unswept.last());
  return span;
}

}  // namespace

ClassLists& lists_of(std::size_t size_class, bool noscan) noexcept {
  return class_lists[size_class][noscan];
}

void ClassLists::put_locked(Span* span, const Fill& fill) noexcept {
  span->cached = false;
  if (!is_swept(*span)) {
    add_unswept(*span);
    unswept_.push_front(span);
    return;
  }
  swept_pages_ += span->pages;
  (fill.free == 0 ? full_ : sparse(*span, fill) ? sparse_ : crowded_).push_back(span);
}

Span* ClassLists::take_locked(SpanList& list, std::uint32_t generation) noexcept {
  Span* span = list.first();
  // Relaxed: the lock orders it. A thread that has not answered yet would blacken a span of the new
  // generation, and no sweep before the next marking would clear that. Spans of both generations are never
  // on one list, so the first speaks for all.
  if (span == nullptr || span->generation.load(std::memory_order_relaxed) != generation) {
    return nullptr;
  }
  list.remove(span);
  swept_pages_ -= span->pages;
  span->cached = true;
  return span;
}

Span* ClassLists::take_sparse(std::uint32_t generation, Span* used_up) noexcept {
  const std::lock_guard guard(lock_);
  if (used_up != nullptr) put_locked(used_up, {});
  return take_locked(sparse_, generation);
}

Span* ClassLists::take_crowded(std::uint32_t generation) noexcept {
  const std::lock_guard guard(lock_);
  return take_locked(crowded_, generation);
}

Span* ClassLists::take_unswept(End end, Span* done, const Fill& fill) noexcept {
  const std::lock_guard guard(lock_);
  if (done != nullptr) put_locked(done, fill);
  return pop_unswept(unswept_, end);
}

void ClassLists::end_generation() noexcept {
  const std::lock_guard guard(lock_);
  for (SpanList* list : {&sparse_, &crowded_, &full_}) unswept_.append(*list);
  // Relaxed: as in add_unswept.
  unswept_pages.count.fetch_add(swept_pages_, std::memory_order_relaxed);
  swept_pages_ = 0;
}

void LargeLists::put(Span* span) noexcept {
  const std::lock_guard guard(lock_);
  if (!is_swept(*span)) {
    add_unswept(*span);
    unswept_.push_front(span);
    return;
  }
  swept_pages_ += span->pages;
  swept_.push_front(span);
}

Span* LargeLists::take_unswept() noexcept {
  const std::lock_guard guard(lock_);
  return pop_unswept(unswept_, ClassLists::End::kFirst);
}

void LargeLists::end_generation() noexcept {
  const std::lock_guard guard(lock_);
  unswept_.append(swept_);
  // Relaxed: as in add_unswept.
  unswept_pages.count.fetch_add(swept_pages_, std::memory_order_relaxed);
  swept_pages_ = 0;
}

}  // namespace tailrace::heap
