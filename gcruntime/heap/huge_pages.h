// Which of the heap's huge pages are taken apart. The kernel backs the heap with them (pages.cc asks for it),
// and fills up again, in the background, each of which a single small page is there: what is given back of a
// huge page in part comes back within a minute, unless that one is excepted first.
//
// An exception splits a mapping, of which a process may have some 65 000: no more than kMostApart are made at
// a time. It ends when the huge page has been given back whole, or when hardly any of it is free.
// Any thread. Both calls into the kernel are hints about memory that stays as it is: a late one does no harm.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tailrace::heap {

inline constexpr std::size_t kMostApart = 4096;

// That memory is about to be given back: excepts the huge pages that it does not cover whole, as far as there
// are exceptions left.
void take_apart(std::uintptr_t start, std::size_t bytes) noexcept;
// That memory is all given back: ends the exceptions of the huge pages within.
void put_together(std::uintptr_t start, std::size_t bytes) noexcept;
// Ends those of huge pages of which less than a 32nd is free. Some microseconds for each exception.
void put_dense_together() noexcept;

std::size_t huge_pages_apart() noexcept;

}  // namespace tailrace::heap
