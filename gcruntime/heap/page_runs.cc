#include "gcruntime/heap/page_runs.h"

#include <algorithm>
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

Span* PageRuns::Lists::last_of_longest() const noexcept {
  if (!lists_[0].empty()) return lists_[0].last();
  for (std::size_t word = kShortLists / 64; word-- > 0;) {
    if (occupied_[word] == 0) continue;
    return lists_[word * 64 + static_cast<std::size_t>(std::bit_width(occupied_[word])) - 1].last();
  }
  return nullptr;
}

void PageRuns::insert(Span* span, bool old) noexcept {
  const std::size_t first = page_of(span->start);
  set_span(first, span);
  set_span(first + span->pages - 1, span);
  lists_for(span->zeroed).insert(span, /*first=*/!span->zeroed && !old);
  free_ += span->pages;
  if (span->zeroed) free_zeroed_ += span->pages;
}

void PageRuns::remove(Span* span) noexcept {
  lists_for(span->zeroed).remove(span);
  free_ -= span->pages;
  if (span->zeroed) free_zeroed_ -= span->pages;
}

// Of two runs that fit equally well the resident one: it costs no page fault.
Span* PageRuns::take_fitting(std::size_t pages, bool zeroed_too) noexcept {
  if (pages < kShortLists) {
    const std::size_t resident = resident_lists_.occupied_from(pages);
    const std::size_t zeroed = zeroed_too ? zeroed_lists_.occupied_from(pages) : kShortLists;
    const std::size_t length = std::min(resident, zeroed);
    if (length < kShortLists) return lists_for(zeroed < resident).of(length).first();
  }
  Span* best = nullptr;
  for (const bool zeroed : {false, true}) {
    if (zeroed && !zeroed_too) break;
    for (Span* span = lists_for(zeroed).longest().first(); span != nullptr; span = span->next) {
      if (span->pages >= pages && (best == nullptr || span->pages < best->pages)) best = span;
    }
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

// The range is used up: free neighbours, resident and zeroed ones together, that are long enough; null: there
// are none. The run counts as resident, for it is to be zeroed and used.
Span* PageRuns::join(std::size_t pages) noexcept {
  const std::size_t limit = first_ + grown_;
  for (std::size_t begin = first_; begin < limit;) {
    std::size_t end = begin;
    while (end < limit && end - begin < pages) {
      const Span* span = span_of_page(end);
      if (span->state != SpanState::kFree) break;
      end += span->pages;
    }
    if (end - begin < pages) {
      begin = end < limit ? end + span_of_page(end)->pages : limit;
      continue;
    }
    Span* joined = span_of_page(begin);
    remove(joined);
    while (page_of(joined->start) + joined->pages < end) {
      Span* next = span_of_page(page_of(joined->start) + joined->pages);
      remove(next);
      joined->pages += next->pages;
      free_span_record(next);
    }
    joined->zeroed = false;
    insert(joined);
    return joined;
  }
  return nullptr;
}

Span* PageRuns::allocate(std::size_t pages, SpanState state, bool may_grow) noexcept {
  Span* span = take_fitting(pages, may_grow);
  if (span == nullptr) {
    if (!may_grow) return nullptr;
    span = grow(pages) ? take_fitting(pages, true) : join(pages);
  }
  if (span == nullptr || cut(span, 0, pages, /*rest_is_old=*/false) == nullptr) return nullptr;
  span->state = state;
  const std::size_t first = page_of(span->start);
  for (std::size_t page = first; page < first + pages; ++page) set_span(page, span);
  return span;
}

// Takes a free run off its list, cut to `pages` after the first `skip`; null if there is no memory for the
// rests' records.
Span* PageRuns::cut(Span* span, std::size_t skip, std::size_t pages, bool rest_is_old) noexcept {
  const std::size_t begins[] = {0, skip + pages};
  const std::size_t lengths[] = {skip, span->pages - skip - pages};
  Span* rests[2] = {};
  for (int i = 0; i < 2; ++i) {
    if (lengths[i] == 0) continue;
    rests[i] = allocate_span_record();
    if (rests[i] != nullptr) continue;
    if (rests[0] != nullptr) free_span_record(rests[0]);
    return nullptr;
  }
  remove(span);
  for (int i = 0; i < 2; ++i) {
    if (rests[i] == nullptr) continue;
    rests[i]->start = span->start + begins[i] * kPageBytes;
    rests[i]->pages = static_cast<std::uint32_t>(lengths[i]);
    rests[i]->zeroed = span->zeroed;
    insert(rests[i], rest_is_old);
  }
  span->start += skip * kPageBytes;
  span->pages = static_cast<std::uint32_t>(pages);
  return span;
}

void PageRuns::free(Span* span) noexcept { put(span, false); }
const Span* PageRuns::put_zeroed(Span* span) noexcept {
  releasing_ -= span->pages;
  put(span, true);
  return span;
}

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

// The last huge page that a run holds whole: what is left of the run stands before it, where the next
// allocation cuts.
Span* PageRuns::cut_whole() noexcept {
  std::size_t looks = 0;
  for (Span* span = resident_lists_.longest().last(); span != nullptr && looks < kWholeLooks;
       span = span->previous, ++looks) {
    const std::size_t begin = page_of(span->start);
    const std::size_t end = (begin + span->pages) / kReleasePages * kReleasePages;
    if (end < begin + kReleasePages) continue;
    return cut(span, end - kReleasePages - begin, kReleasePages, /*rest_is_old=*/true);
  }
  return nullptr;
}

Span* PageRuns::take_resident(std::size_t keep_bytes, bool whole) noexcept {
  if (free_resident_pages() * kPageBytes <= keep_bytes) return nullptr;
  Span* piece = cut_whole();
  if (piece == nullptr && !whole) {
    Span* span = resident_lists_.last_of_longest();
    if (span == nullptr) return nullptr;
    const std::size_t pages = std::min<std::size_t>(span->pages, kReleasePages);
    piece = cut(span, span->pages - pages, pages, /*rest_is_old=*/true);
  }
  if (piece == nullptr) return nullptr;
  piece->state = SpanState::kReleasing;
  set_span(page_of(piece->start), piece);
  set_span(page_of(piece->start) + piece->pages - 1, piece);
  releasing_ += piece->pages;
  return piece;
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
