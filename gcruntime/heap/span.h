// Span: a run of pages with one purpose. States: free (in page_runs' lists), small (slots of one class),
// large (one object), releasing (on no list while its pages are given back to the OS).
//
//   free -> small, large         page_runs allocates it
//   small, large -> free         the sweep found no live slot
//   free -> releasing -> free    on demand; neighbours do not merge with it meanwhile
// Fields are written under the page lock, or by the sweep with the world stopped, except `cached` and the
// allocation bits of a small span, which belong to the worker cache that holds it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/heap/size_class.h"

namespace tailrace::heap {

enum class SpanState : std::uint8_t { kFree, kSmall, kLarge, kReleasing };

struct Span {
  Span* next = nullptr;  // of the list the span is on: free runs, or spans with free slots
  Span* previous = nullptr;
  std::uintptr_t start = 0;
  std::uint32_t pages = 0;
  SpanState state = SpanState::kFree;
  std::uint8_t size_class = 0;  // of a small span
  bool noscan = false;
  bool zeroed = false;  // free: never touched since it came from the kernel, so it reads as zero
  bool cached = false;  // small: a worker cache allocates from it
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
  void clear() noexcept { first_ = last_ = nullptr; }

 private:
  Span* first_ = nullptr;
  Span* last_ = nullptr;
};

}  // namespace tailrace::heap
