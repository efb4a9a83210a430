// Runs of free pages of one range of the reservation: best fit, neighbours merged at once, but zeroed ones
// (never touched since they came from the kernel) with zeroed ones only: they need no zeroing again.
//
// Free runs up to 127 pages stand in a list for their length, longer ones in one list of their own. Their
// first and last page lead to the run's Span through the span table, which is how neighbours are found.
// The caller holds the page lock (heap.cc), or the world is stopped.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "gcruntime/heap/span.h"

namespace tailrace::heap {

class PageRuns {
 public:
  // The range [first_page, first_page + pages), aligned to huge pages.
  void initialise(std::size_t first_page, std::size_t pages) noexcept;

  // A span of exactly that many pages, in that state and on no list, its pages in the span table; null: the
  // range is used up. `may_grow` false: only from resident ones. The state is set here, under the caller's
  // lock: whoever takes or frees a neighbour next would take a span that still says kFree for a free one.
  Span* allocate(std::size_t pages, SpanState state, bool may_grow) noexcept;
  // Takes a span back; its page infos are already kFree.
  void free(Span* span) noexcept;

  // Giving free runs back to the OS, in pieces, so that nobody waits while the kernel works: takes one of
  // the longest runs that are resident, at most kReleasePages of it, off the lists; null if at most
  // keep_bytes are. The caller gives its memory back and then gives the span back, zeroed.
  static constexpr std::size_t kReleasePages = 4096;
  Span* take_resident(std::size_t keep_bytes) noexcept;
  void put_zeroed(Span* span) noexcept;
  // All of that at once; returns the bytes.
  std::size_t release(std::size_t keep_bytes) noexcept;

  // Pages from the range's start that were ever given out.
  std::size_t grown_pages() const noexcept { return grown_; }
  std::size_t first_page() const noexcept { return first_; }
  std::size_t free_pages() const noexcept { return free_; }
  std::size_t free_zeroed_pages() const noexcept { return free_zeroed_; }
  std::size_t used_pages() const noexcept { return grown_ - free_; }

 private:
  static constexpr std::size_t kShortLists = 128;

  Span* take_fitting(std::size_t pages, bool zeroed_too) noexcept;
  bool grow(std::size_t pages) noexcept;
  void put(Span* span, bool zeroed) noexcept;
  Span* cut(Span* span, std::size_t pages) noexcept;
  void insert(Span* span) noexcept;
  void remove(Span* span) noexcept;
  static std::size_t list_of(std::size_t pages) noexcept { return pages < kShortLists ? pages : 0; }
  // The first short list from `from` on that is not empty; kShortLists if there is none.
  std::size_t occupied_from(std::size_t from) const noexcept {
    std::size_t word = from / 64;
    std::uint64_t bits = occupied_[word] & (~std::uint64_t{0} << from % 64);
    while (bits == 0) {
      if (++word == kShortLists / 64) return kShortLists;
      bits = occupied_[word];
    }
    return word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
  }

  std::size_t first_ = 0;
  std::size_t pages_ = 0;
  std::size_t grown_ = 0;
  std::size_t free_ = 0;
  std::size_t free_zeroed_ = 0;
  SpanList lists_[kShortLists];                    // [0]: runs of 128 pages and more
  std::uint64_t occupied_[kShortLists / 64] = {};  // a bit a list that is not empty
};

// The pages of a span that take_resident returned: the call into the kernel. No lock needed.
void give_pages_back(Span* span) noexcept;

// Span records come from memory that is never given back; a record whose span was merged is reused.
Span* allocate_span_record() noexcept;
void free_span_record(Span* span) noexcept;
std::size_t span_records_in_use() noexcept;
std::size_t span_record_sys_bytes() noexcept;

}  // namespace tailrace::heap
