// Runs of free pages of one range of the reservation: best fit, neighbours merged at once, but zeroed ones
// (never touched since they came from the kernel) with zeroed ones only: they need no zeroing again.
//
// Free runs up to 127 pages stand in a list for their length, longer ones in one list of their own; resident
// ones, the last freed first, and zeroed ones apart. Their first and last page lead to the run's Span through
// the span table, which is how neighbours are found.
// The caller holds the page lock (pages.cc), or the world is stopped.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "gcruntime/heap/span.h"
#include "gcruntime/os/reserved_memory.h"

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

  // Giving free runs back to the OS, in pieces, so that nobody waits while the kernel works: takes a piece of
  // at most kReleasePages off the lists; null if at most keep_bytes are resident. The caller gives its memory
  // back and then gives the span back, zeroed.
  // Whole huge pages come first, of the runs that have been free the longest: to take apart one that the
  // kernel backs in one piece costs its translation, and more system calls. Then (unless `whole` asks for
  // those only) the longest runs, of one length the oldest.
  static constexpr std::size_t kReleasePages = os::kHugePageBytes / kPageBytes;
  Span* take_resident(std::size_t keep_bytes, bool whole = false) noexcept;
  // Returns the run that it is part of then.
  const Span* put_zeroed(Span* span) noexcept;
  // All of that at once; returns the bytes.
  std::size_t release(std::size_t keep_bytes) noexcept;

  // Pages from the range's start that were ever given out.
  std::size_t grown_pages() const noexcept { return grown_; }
  std::size_t first_page() const noexcept { return first_; }
  std::size_t free_pages() const noexcept { return free_; }
  std::size_t free_zeroed_pages() const noexcept { return free_zeroed_; }
  std::size_t free_resident_pages() const noexcept { return free_ - free_zeroed_; }
  // Taken by take_resident and not put back yet: neither free nor in use.
  std::size_t releasing_pages() const noexcept { return releasing_; }
  std::size_t used_pages() const noexcept { return grown_ - free_ - releasing_; }

 private:
  static constexpr std::size_t kShortLists = 128;
  // How many of the longest runs are looked at for a whole huge page, under the lock.
  static constexpr std::size_t kWholeLooks = 32;

  // Runs that are resident, or those that are zeroed.
  class Lists {
   public:
    SpanList& of(std::size_t pages) noexcept { return lists_[list_of(pages)]; }
    SpanList& longest() noexcept { return lists_[0]; }
    void insert(Span* span, bool first) noexcept {
      const std::size_t index = list_of(span->pages);
      first ? lists_[index].push_front(span) : lists_[index].push_back(span);
      occupied_[index / 64] |= std::uint64_t{1} << index % 64;
    }
    void remove(Span* span) noexcept {
      const std::size_t index = list_of(span->pages);
      lists_[index].remove(span);
      if (lists_[index].empty()) occupied_[index / 64] &= ~(std::uint64_t{1} << index % 64);
    }
    // The first short list from `from` on that is not empty; kShortLists if there is none.
    std::size_t occupied_from(std::size_t from) const noexcept {
      for (std::size_t word = from / 64; word < kShortLists / 64; ++word) {
        const std::uint64_t bits =
            word == from / 64 ? occupied_[word] & ~std::uint64_t{0} << from % 64 : occupied_[word];
        if (bits != 0) return word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
      }
      return kShortLists;
    }
    // The oldest of the longest runs; null: there is none.
    Span* last_of_longest() const noexcept;

   private:
    static std::size_t list_of(std::size_t pages) noexcept {
      return pages < kShortLists ? pages : 0;
    }

    SpanList lists_[kShortLists];                    // [0]: runs of 128 pages and more
    std::uint64_t occupied_[kShortLists / 64] = {};  // a bit a list that is not empty
  };
  Lists& lists_for(bool zeroed) noexcept { return zeroed ? zeroed_lists_ : resident_lists_; }

  Span* take_fitting(std::size_t pages, bool zeroed_too) noexcept;
  bool grow(std::size_t pages) noexcept;
  Span* join(std::size_t pages) noexcept;
  void put(Span* span, bool zeroed) noexcept;  // merged: it is `span` that stays
  Span* cut(Span* span, std::size_t skip, std::size_t pages, bool rest_is_old) noexcept;
  Span* cut_whole() noexcept;
  void insert(Span* span, bool old = false) noexcept;
  void remove(Span* span) noexcept;

  std::size_t first_ = 0;
  std::size_t pages_ = 0;
  std::size_t grown_ = 0;
  std::size_t free_ = 0;
  std::size_t free_zeroed_ = 0;
  std::size_t releasing_ = 0;
  Lists resident_lists_;
  Lists zeroed_lists_;
};

// The pages of a span that take_resident returned: the call into the kernel. No lock needed.
void give_pages_back(Span* span) noexcept;

// Span records come from memory that is never given back; a record whose span was merged is reused.
Span* allocate_span_record() noexcept;
void free_span_record(Span* span) noexcept;
std::size_t span_records_in_use() noexcept;
std::size_t span_record_sys_bytes() noexcept;

}  // namespace tailrace::heap
