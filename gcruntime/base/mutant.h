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
  kNoRegisterScan,        // the interrupted thread's registers are not looked at
  kNoVectorScan,          // of them, the vector state is left out
  kNoRedZone,             // nor the 128 bytes below its stack pointer
  kNoWakeFence,           // a submitter looks for sleepers before its entry can be seen
  kLateStackPointer,      // saved_sp is published after the state that says it is valid
  kCachedWorker,          // the thread-local worker is kept over a suspension
  kExceptionsNotSwapped,  // what is caught stays with the thread
  kParkedNotScanned,      // parked fibers' stacks are left out
  kSwitchUnflagged,       // a switch is no flagged section
  kAllocationUnflagged,   // nor is an allocation
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
// Widens a window: mostly nothing, now and then up to half a millisecond. From the seed.
void mutant_delay() noexcept;
#else
constexpr bool mutant(Mutant) noexcept { return false; }
constexpr void mutant_delay() noexcept {}
#endif

}  // namespace tailrace::base
