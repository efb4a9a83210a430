// A small span's slots as bits: which words it has, which of their bits stand for slots, how full it is.
// For the heap's own files.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "gcruntime/heap/page_map.h"
#include "gcruntime/heap/quarantine.h"
#include "gcruntime/heap/size_class.h"
#include "gcruntime/heap/span.h"

namespace tailrace::heap {

inline SlotBits& bits_of(const Span& span) noexcept {
  return page_map.slot_bits[page_of(span.start)];
}

constexpr std::size_t slot_words(std::size_t size_class) noexcept {
  return (kSizeClassTable[size_class].slots + 63) / 64;
}
// The slots of a span's word: all ones but in the last.
constexpr std::uint64_t valid_slots(std::size_t size_class, std::size_t word) noexcept {
  const std::size_t left = kSizeClassTable[size_class].slots - word * 64;
  return left >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
}

// In quarantine, which only the verify build has: how many slots of the span, and which of a word.
inline std::size_t withheld([[maybe_unused]] const Span& span) noexcept {
#if defined(TAILRACE_VERIFY)
  return span.quarantined;
#else
  return 0;
#endif
}
inline std::uint64_t withheld([[maybe_unused]] const Span& span,
                              [[maybe_unused]] std::size_t word) noexcept {
#if defined(TAILRACE_VERIFY)
  return quarantined_slots(span, word);
#else
  return 0;
#endif
}

struct Fill {
  std::size_t live = 0;  // slots that are allocated
  std::size_t free = 0;  // and that can be
};
inline Fill fill_of(const Span& span, std::size_t live) noexcept {
  return {live, kSizeClassTable[span.size_class].slots - live - withheld(span)};
}
// Of a span that nobody else allocates from.
inline Fill fill_of(const Span& span) noexcept {
  const SlotBits& bits = bits_of(span);
  std::size_t live = 0;
  for (std::size_t word = 0; word < slot_words(span.size_class); ++word) {
    // Relaxed: see above.
    live +=
        static_cast<std::size_t>(std::popcount(bits.alloc[word].load(std::memory_order_relaxed)));
  }
  return fill_of(span, live);
}
// Whether it has slots that are worth their cold lines [heap.crowded].
inline bool sparse(const Span& span, const Fill& fill) noexcept {
  return fill.free != 0 && fill.live * 2 <= kSizeClassTable[span.size_class].slots;
}

}  // namespace tailrace::heap
