// The cells behind Root<T>: chunks of words outside the heap, scanned by the collector. A free cell
// holds the next free one's address with the lowest bit set, which no scan takes for a pointer.
#pragma once

#include <cstddef>

namespace tailrace::gc {

using VisitRoot = void (*)(void* visitor, void* object);
// Every non-null root, as the table stands; roots may be written meanwhile.
void for_each_root(VisitRoot visit, void* visitor) noexcept;
std::size_t root_table_bytes() noexcept;

}  // namespace tailrace::gc
