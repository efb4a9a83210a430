// The heap's pages: the two ranges' free runs under the page lock, for the heap's own files.
//
// All functions take the lock themselves: inside sections, or on threads that are not attached. No other
// lock of the heap is held meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/heap/span.h"

namespace tailrace::heap {

struct Allowance;

// A span in that state, in no cache and on no list; its page infos still say kFree. `may_grow` false: only
// from memory that is resident. Null: no memory, or none below the ceiling, which `allowance` is told.
Span* allocate_pages(SpanState state, std::size_t pages, bool may_grow,
                     Allowance* allowance = nullptr) noexcept;

// Its page infos become kFree before the runs get the pages: who finds the old info finds the old span's
// record and bits, not the next one's [heap.sweep].
void free_pages(Span* span) noexcept;

// Fewer bytes are in spans than set_roomy_bytes (heap.h) said.
bool roomy() noexcept;

}  // namespace tailrace::heap
