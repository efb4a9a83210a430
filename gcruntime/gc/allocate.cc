#include "gcruntime/gc/allocate.h"

#include <new>

#include "gcruntime/gc/collector.h"
#include "gcruntime/heap/span.h"

namespace tailrace::gc::internal {
namespace {

// How much a thread allocates before it tells the collector: the shared counter is touched rarely.
constexpr std::uint64_t kFlushBytes = 32 * 1024;

}  // namespace

void flush_counts(Mutator& self, std::uint64_t at_least_bytes) noexcept {
  heap::WorkerCache& cache = self.cache;
  const std::uint64_t allocated = cache.counts.bytes + cache.counts.large_bytes;
  const std::uint64_t untold = allocated - cache.flushed_bytes;
  if (untold < at_least_bytes) return;
  cache.flushed_bytes = allocated;
  Collector::instance().note_allocated(untold);
}

void after_refill() noexcept {
  poll();
  flush_counts(*mutator(), kFlushBytes);
}

void out_of_memory(std::size_t) { throw std::bad_alloc(); }

void* allocate_large(std::size_t payload_bytes, std::uint16_t type, std::uint32_t count,
                     bool noscan) {
  Mutator* self = mutator();
  const std::size_t header_bytes = noscan ? 0 : kHeaderBytes;
  const std::size_t bytes = payload_bytes + header_bytes;
  if (bytes < payload_bytes) out_of_memory(payload_bytes);
  // Before the memory is taken: the request that crosses the goal waits, not the one after it.
  poll();
  flush_counts(*self, kFlushBytes);
  bool fresh = false;
  char* slot = nullptr;
  enter_section();
  heap::Span* span = heap::allocate_large_span(bytes, noscan, fresh);
  if (span != nullptr) {
    slot = reinterpret_cast<char*>(span->start);
    // No header yet (zero is "not traceable"), then the allocation bit: from here on the slot is an
    // object that keeps its memory but is not looked into.
    if (!noscan) *reinterpret_cast<std::uint64_t*>(slot) = 0;
    span->large_alloc.store(1, std::memory_order_release);
    bump(self->cache.counts.large_bytes, span->bytes());
    bump(self->cache.counts.large_objects, 1);
  }
  leave_section();
  if (slot == nullptr) out_of_memory(bytes);
  if (!noscan) {
    // Outside the section: zeroing megabytes must not delay a stop.
    if (!fresh) __builtin_memset(slot + kHeaderBytes, 0, payload_bytes);
    // Release: the zeroed words come before the header that makes them traceable.
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(slot), Header::pack(type, 0, count),
                     __ATOMIC_RELEASE);
  }
  flush_counts(*mutator(), kFlushBytes);
  return slot + header_bytes;
}

}  // namespace tailrace::gc::internal
