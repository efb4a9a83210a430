// For tests: keeps the only pointer to an object in a place that a compiler would have to be talked into
// (test_hideout.cc is assembly). Pointers come and go disguised, as their complement, so that no caller's
// frame holds a copy by accident.
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
  kDisguised,    // nowhere: the negative control
};
inline constexpr Hideout kHideouts[] = {Hideout::kCallerSaved, Hideout::kCalleeSaved, Hideout::kVector,
                                        Hideout::kVectorHigh, Hideout::kRedZone};

// Takes ~*disguised into the hideout, sets *started, spins until *release is not zero or `spins` loops have
// passed, and puts it back.
void hide(Hideout where, std::uintptr_t* disguised, std::atomic<int>* started,
          const std::atomic<int>* release, std::uint64_t spins);

// Keeps six pointers in the six callee-saved registers while it calls step(argument) until that returns
// non-zero.
void hold_over_calls(std::uintptr_t disguised[6], int (*step)(void*), void* argument);

}  // namespace tailrace::gc::test
