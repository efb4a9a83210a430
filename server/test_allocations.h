// Counts calls of operator new in the whole test program, so that a test can say that a request
// makes none.
#pragma once

#include <cstdint>

namespace tailrace::http {

// By all threads that count; they do unless told otherwise.
std::uint64_t counted_allocations() noexcept;
void count_allocations_of_this_thread(bool count) noexcept;

}  // namespace tailrace::http
