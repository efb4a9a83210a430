// What a mutator allocates from without a lock: for each size class and kind one span, of which one
// 64-slot word of free slots at a time is at hand.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/heap/alloc_counts.h"
#include "gcruntime/heap/size_class.h"

namespace tailrace::heap {

struct Span;

// One (class, kind). All zero: nothing cached, the fast path falls through to the slow one.
struct CacheSlot {
  std::uint64_t free_bits = 0;                       // of the word at hand: 1 = free and ours
  char* word_base = nullptr;                         // address of that word's first slot
  std::atomic<std::uint64_t>* alloc_word = nullptr;  // allocation bits of those 64 slots
  std::atomic<std::uint64_t>* mark_word = nullptr;   // and their mark bits
  Span* span = nullptr;
  std::uint32_t next_word = 0;  // the next word of the span to look at
};

// Owned by its mutator; the collector acts for it while the mutator is stopped or in a native scope.
struct WorkerCache {
  CacheSlot slots[kSizeClasses][2];  // [class][noscan]
  gc::AllocCounts counts;            // since the thread was attached
  std::uint64_t flushed_bytes = 0;   // of counts (small and large): told to the pacer already
  // heap::generation() as the thread knows it: adopted when it is attached and in its answer to the
  // handshake after a marking, once return_cache has emptied the cache [heap.sweep].
  std::uint32_t generation = 0;
};

}  // namespace tailrace::heap
