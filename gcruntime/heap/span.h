// Span: a run of pages with one purpose. States: free (in page_runs' lists), small (slots of one class),
// large (one object), releasing (on no list while its pages are given back to the OS).
//
//   free -> small, large, arena  page_runs allocates it
//   small, large -> free         the sweep found no live slot
//   arena -> free                nobody has use for the block (arena_blocks.h)
//   free -> releasing -> free    on demand; neighbours do not merge with it meanwhile
// Fields are written under the page lock while the span is free or on its way. In use, it is on exactly one
// list (span_lists.h), or one worker cache holds it, or one thread sweeps it: whoever took it off its list has
// it alone, with its allocation bits.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/heap/size_class.h"

namespace tailrace::heap {

enum class SpanState : std::uint8_t { kFree, kSmall, kLarge, kArena, kReleasing };

struct Span {
  Span* next = nullptr;  // of the list the span is on: free runs, or one of span_lists.h
  Span* previous = nullptr;
  std::uintptr_t start = 0;
  std::uint32_t pages = 0;
  SpanState state = SpanState::kFree;
  std::uint8_t size_class = 0;  // of a small span
  bool noscan = false;
  bool zeroed = false;  // free: never touched since it came from the kernel, so it reads as zero
  bool cached = false;  // small: a worker cache allocates from it
  // The generation in which it was made or swept; another than the heap's: it is unswept [heap.sweep].
  std::atomic<std::uint32_t> generation{0};
#if defined(TAILRACE_VERIFY)
  std::uint16_t quarantined = 0;  // how many of its slots are; see quarantine.h
#endif
  // Large: the single slot's bits.
  std::atomic<std::uint64_t> large_mark{0};
  std::atomic<std::uint64_t> large_alloc{0};

  std::size_t bytes() const noexcept { return std::size_t{pages} * kPageBytes; }
};

// An intrusive list of spans.
class SpanList {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  Span* first() const noexcept { return first_; }
  Span* last() const noexcept { return last_; }
  void push_front(Span* span) noexcept {
    span->previous = nullptr;
    span->next = first_;
    (first_ != nullptr ? first_->previous : last_) = span;
    first_ = span;
  }
  void push_back(Span* span) noexcept {
    if (last_ == nullptr) return push_front(span);
    span->next = nullptr;
    span->previous = last_;
    last_ = last_->next = span;
  }
  void remove(Span* span) noexcept {
    (span->previous != nullptr ? span->previous->next : first_) = span->next;
    (span->next != nullptr ? span->next->previous : last_) = span->previous;
    span->next = span->previous = nullptr;
  }
  Span* pop_front() noexcept {
    Span* span = first_;
    if (span != nullptr) remove(span);
    return span;
  }
  Span* pop_back() noexcept {
    Span* span = last_;
    if (span != nullptr) remove(span);
    return span;
  }
  // The other list's spans come after this one's.
  void append(SpanList& other) noexcept {
    if (other.first_ == nullptr) return;
    other.first_->previous = last_;
    (last_ != nullptr ? last_->next : first_) = other.first_;
    last_ = other.last_;
    other.first_ = other.last_ = nullptr;
  }

 private:
  Span* first_ = nullptr;
  Span* last_ = nullptr;
};

}  // namespace tailrace::heap
