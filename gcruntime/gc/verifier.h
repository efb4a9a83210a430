// The heap verifier: walks everything between mark and sweep, with the world stopped, and stops the
// program at the first thing that is not as it must be.
//
//  - every traced word of a marked object points outside the heap, or to an allocated, marked object;
//  - every other word of a marked scanned object points to no unmarked object (a forgotten member, an
//    integer used as a pointer, a pointer in Opaque);
//  - no free slot is marked; page infos, spans and bits agree; what is marked is what the marker counted,
//    where it stood alone (marked_objects is not 0).
// Runs after each marking in the verify build. About as dear as marking without prefetch.
#pragma once

#include <cstdint>

namespace tailrace::gc {

void verify_heap(std::uint64_t marked_objects) noexcept;

}  // namespace tailrace::gc
