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
  // Resident runs stand first in each list: they cost no page fault.
  const std::size_t index = list_of(span->pages);
  SpanList& list = lists_[index];
  span->zeroed ? list.push_back(span) : list.push_front(span);
  occupied_[index / 64] |= std::uint64_t{1} << index % 64;
  free_ += span->pages;
  if (span->zeroed) free_zeroed_ += span->pages;
}

void PageRuns::remove(Span* span) noexcept {
  const std::size_t index = list_of(span->pages);
  lists_[index].remove(span);
  if (lists_[index].first() == nullptr) {
    occupied_[index / 64] &= ~(std::uint64_t{1} << index % 64);
  }
  free_ -= span->pages;
  if (span->zeroed) free_zeroed_ -= span->pages;
}

Span* PageRuns::take_fitting(std::size_t pages, bool zeroed_too) noexcept {
  if (pages < kShortLists) {
    for (std::size_t length = occupied_from(pages); length < kShortLists;
         length = length + 1 < kShortLists ? occupied_from(length + 1) : kShortLists) {
      Span* span = lists_[length].first();
      if (zeroed_too || !span->zeroed) return span;
    }
  }
  Span* best = nullptr;
  for (Span* span = lists_[0].first(); span != nullptr; span = span->next) {
    if (span->zeroed && !zeroed_too) break;
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

Span* PageRuns::allocate(std::size_t pages, SpanState state, bool may_grow) noexcept {
  Span* span = take_fitting(pages, may_grow);
  if (span == nullptr) {
    if (!may_grow || !grow(pages)) return nullptr;
    span = take_fitting(pages, true);
  }
  if (span == nullptr || cut(span, pages) == nullptr) return nullptr;
  span->state = state;
  const std::size_t first = page_of(span->start);
  for (std::size_t page = first; page < first + pages; ++page) set_span(page, span);
  return span;
}

// Takes a free run off its list, cut to that many pages; null if there is no memory for the rest's record.
Span* PageRuns::cut(Span* span, std::size_t pages) noexcept {
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
  return span;
}

void PageRuns::free(Span* span) noexcept { put(span, false); }
void PageRuns::put_zeroed(Span* span) noexcept { put(span, true); }

// No two free neighbours are both zeroed or both not: a range of runs given back one by one is one run
// again, or it would fall to pieces that no large object fits.
void PageRuns::put(Span* span, bool zeroed) noexcept {
  span->state = SpanState::kFree;
  span->zeroed = zeroed;
  const std::size_t begin = page_of(span->start);
  const auto absorb = [&](std::size_t page) {
    Span* neighbour = span_of_page(page);
    if (neighbour == nullptr || neighbour->state != SpanState::kFree ||
        neighbour->zeroed != zeroed) {
      return;
    }
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

Span* PageRuns::take_resident(std::size_t keep_bytes) noexcept {
  if ((free_ - free_zeroed_) * kPageBytes <= keep_bytes) return nullptr;
  for (std::size_t i = 0; i < kShortLists; ++i) {
    const std::size_t list = (kShortLists - i) % kShortLists;  // 0 (the longest), 127, 126, ...
    for (Span* span = lists_[list].first(); span != nullptr; span = span->next) {
      if (span->zeroed) continue;
      if (cut(span, span->pages < kReleasePages ? span->pages : kReleasePages) == nullptr)
        return nullptr;
      span->state = SpanState::kReleasing;
      set_span(page_of(span->start), span);
      set_span(page_of(span->start) + span->pages - 1, span);
      return span;
    }
  }
  return nullptr;
}

std::size_t PageRuns::release(std::size_t keep_bytes) noexcept {
  std::size_t released = 0;
  while (Span* span = take_resident(keep_bytes)) {
    give_pages_back(span);
    released += span->bytes();
    put_zeroed(span);
  }
  return released;
}

void give_pages_back(Span* span) noexcept {
  base::unpoison_memory(reinterpret_cast<void*>(span->start), span->bytes());
  os::decommit_memory(reinterpret_cast<void*>(span->start), span->bytes());
}

}  // namespace tailrace::heap
