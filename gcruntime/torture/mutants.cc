// The mutants' names and their delay. Compiled into the mutants build only.
#include <cstring>
#include <iterator>

#include "gcruntime/base/mutant.h"

namespace tailrace::base {
namespace {

constexpr MutantName kNames[] = {
    {Mutant::kNone, "", "unbroken"},
    {Mutant::kNoRegisterScan, "no-register-scan",
     "an interrupted thread's registers are not scanned"},
    {Mutant::kNoVectorScan, "no-vector-scan", "its vector registers are not scanned"},
    {Mutant::kNoRedZone, "no-red-zone", "the 128 bytes below its stack pointer are not scanned"},
    {Mutant::kNoWakeFence, "no-wake-fence", "sleepers are looked for before the entry can be seen"},
    {Mutant::kLateStackPointer, "late-stack-pointer",
     "a fiber is parked before its saved_sp says where"},
    {Mutant::kCachedWorker, "cached-worker", "the thread-local worker is kept over a suspension"},
    {Mutant::kExceptionsNotSwapped, "exceptions-not-swapped",
     "caught exceptions stay with the thread"},
    {Mutant::kParkedNotScanned, "parked-not-scanned", "parked fibers' stacks are not scanned"},
    {Mutant::kSwitchUnflagged, "switch-unflagged",
     "a thread may be stopped in the middle of a switch"},
    {Mutant::kAllocationUnflagged, "allocation-unflagged", "or in the middle of an allocation"},
    {Mutant::kNoBarrier, "no-barrier", "stores do not shade"},
    {Mutant::kOneHandshake, "one-handshake",
     "the barrier and black allocation go on in one handshake"},
    {Mutant::kShadeUnflagged, "shade-unflagged",
     "a handshake may be answered in the middle of a shade, and the phase is not read again"},
    {Mutant::kHoistedTest, "hoisted-test", "the barrier's test stands above the pointer's load"},
    {Mutant::kClaimNotAwaited, "claim-not-awaited", "a fiber is resumed while its stack is copied"},
    {Mutant::kTwoRounds, "two-rounds", "marking ends after two rounds"},
    {Mutant::kNoBlackAllocation, "no-black-allocation", "objects are white when marking runs"},
    {Mutant::kNoRescan, "no-rescan", "stacks are scanned in the first round only"},
    {Mutant::kEpochLost, "epoch-lost", "a fiber is taken for clean though it ran"},
    {Mutant::kLateCopyDropped, "late-copy-dropped",
     "a deep stack that was copied when its fiber was resumed is not scanned"},
    {Mutant::kChannelWithoutBarrier, "channel-without-barrier",
     "what is written to another fiber's stack is not shaded"},
    {Mutant::kHandshakeSkipped, "handshake-skipped",
     "later rounds ask nobody for the running stacks"},
    {Mutant::kOffInOne, "off-in-one", "the barrier and black allocation go off in one handshake"},
    {Mutant::kSweepForgets, "sweep-forgets",
     "a marker's sweep drops what leads into the group behind"},
    {Mutant::kArenaNoRoot, "arena-no-root", "open arenas are not walked"},
    {Mutant::kArenaFreedInWalk, "arena-freed-in-walk",
     "an arena that ends in the collector's walk frees its blocks at once"},
    {Mutant::kArenaSweptEarly, "arena-swept-early",
     "blocks that were left since the marking ended are swept by its marks"},
    {Mutant::kEscapeIgnored, "escape-ignored", "a store from an arena to the heap fades nothing"},
    {Mutant::kArenaHolesOpen, "arena-holes-open", "holes are taken between marking and the sweep"},
    {Mutant::kArenaHoleInUse, "arena-hole-in-use", "a hole is taken where an object lives"},
    {Mutant::kArenaSweepSlips, "arena-sweep-slips", "the sweep frees a marked object of an arena"},
    {Mutant::kEscapeOutside, "escape-outside", "a store to a Root or another stack fades nothing"},
    {Mutant::kEscapeAtomic, "escape-atomic", "an Atomic's exchange fades nothing"},
    {Mutant::kEscapeWeak, "escape-weak", "a weak reference fades nothing"},
    {Mutant::kEscapeSend, "escape-send", "a send fades nothing"},
    {Mutant::kEscapeOwnStack, "escape-own-stack", "a store to the own stack fades"},
    {Mutant::kEscapeSameArena, "escape-same-arena", "a store within the arena fades"},
    {Mutant::kFadeNoTexts, "fade-no-texts", "what has no pointers does not fade"},
    {Mutant::kFadeNoMaybes, "fade-no-maybes",
     "what a word that may be a number leads to does not fade with its object"},
    {Mutant::kFadeNoInner, "fade-no-inner", "what is pointed into does not fade"},
    {Mutant::kReferenceIgnored, "reference-ignored",
     "a capture by reference does not close the arena"},
    {Mutant::kEscapeToFaded, "escape-to-faded",
     "a store into a faded object of the arena fades nothing"},
    {Mutant::kFadeShallow, "fade-shallow", "what an object reaches does not fade with it"},
    {Mutant::kFadeLate, "fade-late", "an object fades after the store"},
    {Mutant::kFadeUnmarked, "fade-unmarked", "what fades while marking runs is not shaded"},
    {Mutant::kHandOverIgnored, "hand-over-ignored",
     "what spawn, channels and the blocking pool take does not fade"},
    {Mutant::kFramesIgnored, "frames-ignored",
     "what the frames above an arena point to at its end does not fade"},
    {Mutant::kRescanFromQueues, "rescan-from-queues",
     "later rounds pass over fibers that are in no queue"},
};

std::atomic<std::uint64_t> delays{0};

}  // namespace

Mutant chosen_mutant = Mutant::kNone;

std::span<const MutantName> mutant_names() noexcept { return kNames; }

bool choose_mutant(const char* name, std::uint64_t seed) noexcept {
  // Relaxed: no other thread runs yet.
  delays.store(seed * 0x9E3779B97F4A7C15u, std::memory_order_relaxed);
  for (const MutantName& each : kNames) {
    if (std::strcmp(each.name, name) != 0) continue;
    chosen_mutant = each.mutant;
    return true;
  }
  return false;
}

void mutant_delay(unsigned one_in, unsigned halves) noexcept {
  // Relaxed: numbers that differ are all it takes.
  std::uint64_t word = delays.fetch_add(0x9E3779B97F4A7C15u, std::memory_order_relaxed);
  word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
  word ^= word >> 27;
  if ((word >> 40) % one_in != 0) return;
  const std::uint64_t most = std::uint64_t{16'384} * halves;
  for (std::uint64_t spin = (word >> 8) % most; spin > 0; --spin) __builtin_ia32_pause();
}

}  // namespace tailrace::base
