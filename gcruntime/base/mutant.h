// Ways in which the runtime can be broken on purpose, to show that torture notices. Only the library of
// the mutants build (TAILRACE_MUTANTS, gcruntime/torture/CMakeLists.txt) knows them; everywhere else
// mutant() is the constant false and the hooks are no code at all.
//
// One mutant is chosen, once, before any thread is started.
#pragma once

#if defined(TAILRACE_MUTANTS)
#include <atomic>
#include <cstdint>
#include <span>
#endif

namespace tailrace::base {

enum class Mutant : unsigned char {
  kNone,
  kNoRegisterScan,         // the interrupted thread's registers are not looked at
  kNoVectorScan,           // of them, the vector state is left out
  kNoRedZone,              // nor the 128 bytes below its stack pointer
  kNoWakeFence,            // a submitter looks for sleepers before its entry can be seen
  kLateStackPointer,       // saved_sp is published after the state that says it is valid
  kCachedWorker,           // the thread-local worker is kept over a suspension
  kExceptionsNotSwapped,   // what is caught stays with the thread
  kParkedNotScanned,       // parked fibers' stacks are left out
  kSwitchUnflagged,        // a switch is no flagged section
  kAllocationUnflagged,    // nor is an allocation
  kNoBarrier,              // stores do not shade
  kOneHandshake,           // the barrier and black allocation go on in one handshake
  kShadeUnflagged,         // the barrier's slow path is no flagged section
  kHoistedTest,            // the barrier's test stands above the load of the pointer
  kClaimNotAwaited,        // a fiber is resumed while its stack is copied
  kTwoRounds,              // marking ends after two rounds, clean or not
  kNoBlackAllocation,      // what is allocated while marking runs is white
  kNoRescan,               // stacks are scanned in the first round only
  kEpochLost,              // a fiber is taken for clean though it ran
  kLateCopyDropped,        // a deep stack that was copied at the switch is not scanned
  kChannelWithoutBarrier,  // what is written to another fiber's stack is not shaded
  kHandshakeSkipped,       // a round asks nobody for the running stacks
  kOffInOne,               // the barrier and black allocation go off in one handshake
  kSweepForgets,           // a marker drops what leads into the group behind
  kArenaNoRoot,            // open arenas are not walked
  kArenaFreedInWalk,       // an arena that ends in the collector's walk frees its blocks at once
  kArenaSweptEarly,        // blocks that were left since the marking ended are swept by its marks
  kArenaHolesOpen,         // holes are taken before the sweep
  kArenaHoleInUse,         // and where something lives
  kArenaSweepSlips,        // the sweep takes a marked object for dead
  kEscapeIgnored,          // a store from the arena to the heap does not fade
  kEscapeOutside,          // nor one to Roots and other stacks
  kEscapeAtomic,           // nor one by an Atomic's exchanges
  kEscapeWeak,             // nor one into a Weak
  kEscapeSend,             // nor a send
  kEscapeOwnStack,         // one to the own stack does
  kEscapeSameArena,        // and one within the arena
  kEscapeToFaded,          // nor one into a faded object of the arena
  kFadeShallow,            // what an object reaches does not fade with it
  kFadeNoTexts,            // nor what it reaches that has no pointers
  kFadeNoMaybes,           // nor what a word that may be a number leads to
  kFadeNoInner,            // what is pointed into does not fade
  kFadeLate,               // it fades after the store
  kFadeUnmarked,           // what fades while marking runs is not shaded
  kHandOverIgnored,        // what is handed to other fibers does not fade
  kReferenceIgnored,       // an address of the stack that is handed over is nothing
  kFramesIgnored,          // nor what frames above the arena's point to
  kRescanFromQueues,       // later rounds look at fibers in queues, not at all fibers
};

#if defined(TAILRACE_MUTANTS)
struct MutantName {
  Mutant mutant;
  const char* name;
  const char* what;
};
std::span<const MutantName> mutant_names() noexcept;
// "" is kNone. False: there is none of that name.
bool choose_mutant(const char* name, std::uint64_t seed) noexcept;

extern Mutant chosen_mutant;  // constant once threads run
inline bool mutant(Mutant which) noexcept { return chosen_mutant == which; }
// Widens a window: mostly nothing, one time in so many up to so many half milliseconds. From the seed.
void mutant_delay(unsigned one_in = 8, unsigned halves = 1) noexcept;
#else
constexpr bool mutant(Mutant) noexcept { return false; }
constexpr void mutant_delay(unsigned = 8, unsigned = 1) noexcept {}
#endif

}  // namespace tailrace::base
