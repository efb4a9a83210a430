#include "gcruntime/heap/page_runs.h"

#include <new>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/os/reserved_memory.h"

namespace tailrace::heap {
namespace {

// Growth takes whole huge pages, so that a fault fills 2 MiB of neighbours.
constexpr std::size_t kGrowthPages = os::kHugePageBytes / kPageBytes;

constexpr std::size_t kRecordChunkBytes = 256 * 1024;
constinit Span* free_records = nullptr;
constinit char* record_at = nullptr;
constinit char* record_end = nullptr;
constinit std::size_t record_count = 0;
constinit std::size_t record_sys_bytes = 0;

}  // namespace

Span* allocate_span_record() noexcept {
  Span* span = free_records;
  if (span != nullptr) {
    free_records = span->next;
  } else {
    if (record_end - record_at < static_cast<std::ptrdiff_t>(sizeof(Span))) {
      record_at = static_cast<char*>(os::reserve_memory(kRecordChunkBytes, os::kPageBytes));
      if (record_at == nullptr) {
        record_end = nullptr;
        return nullptr;
      }
      record_end = record_at + kRecordChunkBytes;
      record_sys_bytes += kRecordChunkBytes;
    }
    span = reinterpret_cast<Span*>(record_at);
    record_at += sizeof(Span);
  }
  ++record_count;
  return ::new (span) Span();
}

void free_span_record(Span* span) noexcept {
  span->next = free_records;
  free_records = span;
  --record_count;
}

std::size_t span_records_in_use() noexcept { return record_count; }
std::size_t span_record_sys_bytes() noexcept { return record_sys_bytes; }

void PageRuns::initialise(std::size_t first_page, std::size_t pages) noexcept {
  first_ = first_page;
  pages_ = pages;
}

void PageRuns::insert(Span* span) noexcept {
  const std::size_t first = page_of(span->start);
  set_span(first, span);
  set_span(first + span->pages - 1, span);
  list_for(span->pages).push_front(span);
  free_ += span->pages;
  if (span->zeroed) free_zeroed_ += span->pages;
}

void PageRuns::remove(Span* span) noexcept {
  list_for(span->pages).remove(span);
  free_ -= span->pages;
  if (span->zeroed) free_zeroed_ -= span->pages;
}

Span* PageRuns::take_fitting(std::size_t pages) noexcept {
  for (std::size_t length = pages; length < kShortLists; ++length) {
    if (Span* span = lists_[length].first()) return span;
  }
  Span* best = nullptr;
  for (Span* span = lists_[0].first(); span != nullptr; span = span->next) {
    if (span->pages >= pages && (best == nullptr || span->pages < best->pages)) best = span;
  }
  return best;
}

bool PageRuns::grow(std::size_t pages) noexcept {
  std::size_t wanted = (pages + kGrowthPages - 1) / kGrowthPages * kGrowthPages;
  if (wanted > pages_ - grown_) wanted = pages_ - grown_;  // less than wanted is left: try that
  if (wanted < pages) return false;
  Span* span = allocate_span_record();
  if (span == nullptr) return false;
  span->start = page_address(first_ + grown_);
  span->pages = static_cast<std::uint32_t>(wanted);
  span->zeroed = true;
  // Fresh memory is merged with fresh memory only: it is worth keeping apart, it needs no zeroing.
  if (grown_ > 0) {
    Span* last = span_of_page(first_ + grown_ - 1);
    if (last->state == SpanState::kFree && last->zeroed) {
      remove(last);
      span->start = last->start;
      span->pages += last->pages;
      free_span_record(last);
    }
  }
  grown_ += wanted;
  insert(span);
  return true;
}

Span* PageRuns::allocate(std::size_t pages, bool may_grow) noexcept {
  Span* span = take_fitting(pages);
  if (span == nullptr) {
    if (!may_grow || !grow(pages)) return nullptr;
    span = take_fitting(pages);
  }
  Span* rest = nullptr;
  if (span->pages > pages) {
    rest = allocate_span_record();
    if (rest == nullptr) return nullptr;
  }
  remove(span);
  if (rest != nullptr) {
    rest->start = span->start + pages * kPageBytes;
    rest->pages = static_cast<std::uint32_t>(span->pages - pages);
    rest->zeroed = span->zeroed;
    span->pages = static_cast<std::uint32_t>(pages);
    insert(rest);
  }
  const std::size_t first = page_of(span->start);
  for (std::size_t page = first; page < first + pages; ++page) set_span(page, span);
  return span;
}

void PageRuns::free(Span* span) noexcept {
  span->state = SpanState::kFree;
  span->zeroed = false;
  const std::size_t begin = page_of(span->start);
  const auto absorb = [&](std::size_t page) {
    Span* neighbour = span_of_page(page);
    if (neighbour == nullptr || neighbour->state != SpanState::kFree || neighbour->zeroed) return;
    remove(neighbour);
    if (neighbour->start < span->start) span->start = neighbour->start;
    span->pages += neighbour->pages;
    free_span_record(neighbour);
  };
  const std::size_t end = begin + span->pages;
  if (end < first_ + grown_) absorb(end);
  if (begin > first_) absorb(begin - 1);
  insert(span);
}

std::size_t PageRuns::release(std::size_t keep_bytes) noexcept {
  std::size_t released = 0;
  const auto enough = [&] { return (free_ - free_zeroed_) * kPageBytes <= keep_bytes; };
  for (std::size_t i = 0; i < kShortLists && !enough(); ++i) {
    const std::size_t list = (kShortLists - i) % kShortLists;  // 0 (the longest), 127, 126, ...
    for (Span* span = lists_[list].first(); span != nullptr && !enough(); span = span->next) {
      if (span->zeroed) continue;
      base::unpoison_memory(reinterpret_cast<void*>(span->start), span->bytes());
      os::decommit_memory(reinterpret_cast<void*>(span->start), span->bytes());
      span->zeroed = true;
      free_zeroed_ += span->pages;
      released += span->bytes();
    }
  }
  if (released > 0) merge_zeroed();
  return released;
}

// free() keeps zeroed runs apart from others; once both are zeroed nothing does.
void PageRuns::merge_zeroed() noexcept {
  const std::size_t end = first_ + grown_;
  Span* before = nullptr;  // the zeroed free run that ends where the walk stands
  for (std::size_t page = first_; page < end;) {
    Span* span = span_of_page(page);
    page += span->pages;
    if (span->state != SpanState::kFree || !span->zeroed) {
      before = nullptr;
      continue;
    }
    if (before != nullptr) {
      remove(before);
      remove(span);
      before->pages += span->pages;
      free_span_record(span);
      insert(before);
    } else {
      before = span;
    }
  }
}

}  // namespace tailrace::heap
