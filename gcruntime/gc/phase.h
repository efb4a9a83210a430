// What a collection cycle and the mutators agree on while marking runs beside the service.
//
// [gc.cycle] Phases of a thread (base/thread_state.h), each switched on in every thread by a handshake:
//   0 off        stores do nothing, allocation is white
//   1 barrier    every store of a managed pointer shades it
//   2 black      and what is allocated is marked from birth
//   3 cut-over   and a weak load of an unmarked object waits
//   4 leaving    stores do nothing, allocation is black still [gc.off]
// Rounds are numbered from 1 and never reused, over all cycles; a stack's scan word says in which one
// it was scanned last.
#pragma once

#include <atomic>
#include <cstdint>

namespace tailrace::gc {

inline constexpr std::uint8_t kPhaseOff = 0;
inline constexpr std::uint8_t kPhaseBarrier = 1;
inline constexpr std::uint8_t kPhaseBlack = 2;
inline constexpr std::uint8_t kPhaseCutOver = 3;
inline constexpr std::uint8_t kPhaseLeaving = 4;

// [gc.scan] The word of a stack that moves between threads (a fiber's): round << 2 | state.
//   kRan      it ran since that round's scan, or at it
//   kClean    it has not run since
//   kClaimed  its words are being read: whoever wants to run it waits
// Kept by whoever scans, and by whoever resumes the fiber while the barrier is on. With the barrier off
// nobody keeps it, which does no harm: a word of an earlier cycle counts for nothing.
class ScanWord {
 public:
  enum State : std::uint64_t { kRan = 0, kClean = 1, kClaimed = 2 };
  static constexpr std::uint64_t pack(std::uint64_t round, State state) {
    return round << 2 | state;
  }
  static constexpr std::uint64_t round(std::uint64_t word) { return word >> 2; }
  static constexpr State state(std::uint64_t word) { return static_cast<State>(word & 3); }
};

// Of the round that is open. Written by the collector before it asks for the round's handshake; read by
// those who resume fibers.
struct Rounds {
  std::atomic<std::uint64_t> open{0};   // 0: none
  std::atomic<std::uint64_t> first{1};  // of this cycle
  // Whose walk over parked stacks has ended, the latest [gc.shared]. Release by the collector, acquire by
  // those who resume fibers.
  std::atomic<std::uint64_t> walked{0};
};
extern Rounds rounds;

// True if a stack with that word has to be scanned in the round.
constexpr bool needs_scan(std::uint64_t word, std::uint64_t round, std::uint64_t first) {
  if (ScanWord::round(word) == round) return false;
  return ScanWord::state(word) != ScanWord::kClean || ScanWord::round(word) < first;
}

// A scanned object turned grey by a mutator since the collector last cleared it [gc.termination].
// Release by who shades, acquire by the collector.
extern std::atomic<bool> grey_appeared;

}  // namespace tailrace::gc
