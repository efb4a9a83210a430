// The verify build's look into malloc memory, where the collector does not look: words that point to
// objects which the cycle frees [verify.malloc]. Such a word may be dead by nature (the tail of a vector,
// an object after its end), so the program goes on: the word is reported once for each pair of stacks,
// and the object is poisoned and quarantined, so that a use through the word meets poison and never
// another object. A write through it is past doubt: that stops the program.
//
// A slot stays in quarantine while a word of a known block points to it, and kQuarantineCycles more; one
// cycle more while the quarantine is over half full. The collector's thread only.
#pragma once

#if defined(TAILRACE_VERIFY)

#include <cstddef>
#include <cstdint>

namespace tailrace::gc::internal {

inline constexpr std::uint64_t kQuarantineCycles = 8;
inline constexpr std::size_t kMostReportsACycle = 8;
inline constexpr std::size_t kMostReports = 64;  // in all; the rest is only counted

// With the world stopped, between marking and the sweep. `cycle` is the number of the one under way.
void find_stale_words(std::uint64_t cycle) noexcept;
// Prints what was found last; the world runs again, as looking up the lines of stacks takes long.
void report_stale_words() noexcept;

// Any thread.
struct StaleWordCounts {
  std::uint64_t words = 0;        // that pointed to objects when these died
  std::uint64_t pairs = 0;        // of stacks, a block's and an object's
  std::uint64_t quarantined = 0;  // objects that were put there
  std::uint64_t no_room = 0;      // objects for which there was no room
};
StaleWordCounts stale_word_counts() noexcept;

}  // namespace tailrace::gc::internal

#endif
