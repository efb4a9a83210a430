// Counts what the program takes from malloc, for the counts of who asked: calls of operator new, and of those
// who call malloc themselves and say so (server/buffer.cc).
//
// Global operator new and delete are replaced by weak definitions: a program that brings its own keeps it, and
// counts nothing. The sanitizers have operators of their own, and the verify build those of malloc_blocks.cc,
// which count too. C libraries' own calls are in no fiber's counts; mallinfo2 has them (memory_limit.h).
#pragma once

#include <cstddef>

namespace tailrace::gc {

// So many bytes, as asked for, were taken by the calling thread or the fiber on it; nothing on a thread that is
// not attached. Signal handlers excepted, anywhere: two plain additions.
void count_malloc(std::size_t bytes) noexcept;

}  // namespace tailrace::gc
