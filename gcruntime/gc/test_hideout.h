// For tests: keeps the only pointer to an object in a place that a compiler would have to be talked into
// (test_hideout.cc is assembly). The pointer is moved out of *place and back, never being nowhere.
#pragma once

#include <atomic>
#include <cstdint>

namespace tailrace::gc::test {

enum class Hideout {
  kCallerSaved,  // r10: only a signal's frame has it
  kCalleeSaved,  // r12
  kVector,       // the low half of xmm15
  kVectorHigh,   // the high half of ymm15; where there is no AVX, as kVector
  kRedZone,      // 112 bytes below the stack pointer
  kDisguised,    // r10, as its complement: nowhere; the negative control
};
inline constexpr Hideout kHideouts[] = {Hideout::kCallerSaved, Hideout::kCalleeSaved,
                                        Hideout::kVector, Hideout::kVectorHigh, Hideout::kRedZone};

// Moves *place into the hideout, clears all other caller-saved registers, sets *started, spins until *release
// is not zero or `spins` loops have passed, and moves it back.
void hide(Hideout where, void** place, std::atomic<int>* started, const std::atomic<int>* release,
          std::uint64_t spins);

// Moves six pointers into the six callee-saved registers, calls step(argument) until that returns non-zero,
// and moves them back.
void hold_over_calls(void* places[6], int (*step)(void*), void* argument);

}  // namespace tailrace::gc::test
