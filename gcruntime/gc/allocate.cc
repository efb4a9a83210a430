#include "gcruntime/gc/allocate.h"

#include <new>

#include "gcruntime/gc/collector.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/memory_limit.h"
#include "gcruntime/gc/memory_wait.h"
#include "gcruntime/heap/span.h"
#include "gcruntime/heap/sweep.h"

namespace tailrace::gc::internal {
namespace {

// How much a thread allocates before it tells the collector: the shared counter is touched rarely.
constexpr std::uint64_t kFlushBytes = 32 * 1024;

}  // namespace

void flush_counts(Mutator& self, std::uint64_t at_least_bytes) noexcept {
  heap::WorkerCache& cache = self.cache;
  const std::uint64_t allocated = all_bytes(cache.counts);
  const std::uint64_t untold = allocated - cache.flushed_bytes;
  if (untold < at_least_bytes) return;
  cache.flushed_bytes = allocated;
  if (heap::sweep_under_way()) {
    const HoldTimer timer(HoldKind::kSweep);
    const Section section;
    heap::sweep_for(untold);
  }
  Collector::instance().note_allocated(untold);
}

namespace {

// [gc.black] In a section, so the answer stays true to its end.
bool black() noexcept {
  return base::phase() >= kPhaseBlack && !base::mutant(base::Mutant::kNoBlackAllocation);
}

// In the section, and in one again at the end, perhaps on another thread: until the cache has a slot.
TAILRACE_NOINLINE void find_room(std::size_t size_class, bool noscan, bool refused) {
  RoomSearch search(heap::kSizeClassTable[size_class].pages * heap::kPageBytes);
  for (;;) {
    leave_section();
    heap::Allowance allowance{search.next(refused)};
    Mutator* self = mutator();
    enter_section();
    heap::CacheSlot& slot = self->cache.slots[size_class][noscan];
    if (slot.free_bits != 0 ||
        heap::refill(self->cache, slot, size_class, noscan, black(), &allowance)) {
      return;
    }
    refused = allowance.refused;
  }
}

// In the section, and perhaps on another thread at the end: a slot of a refilled cache. What is thrown for
// want of memory is thrown outside the section.
void* take_refilled(std::size_t size_class, bool noscan) {
  Mutator* self = mutator();
  heap::CacheSlot& slot = self->cache.slots[size_class][noscan];
  heap::Allowance allowance;
  if (!heap::refill(self->cache, slot, size_class, noscan, black(), &allowance)) [[unlikely]] {
    find_room(size_class, noscan, allowance.refused);
    self = mutator();
  }
  return heap::take_slot(self->cache, self->cache.slots[size_class][noscan], size_class);
}

// After a cache was refilled: answers the collector and tells the pacer.
void after_refill() noexcept {
  check_may_wait();
  poll();
  flush_counts(*mutator(), kFlushBytes);
  watch_growth();
}

}  // namespace

void* refill_scanned(std::size_t size_class, std::uint64_t header) {
  void* slot = finish_scanned(take_refilled(size_class, false), size_class, header);
  leave_section();
  after_refill();
  return slot;
}

void* refill_noscan(std::size_t size_class) {
  void* slot = take_refilled(size_class, true);
  note_allocated_at(slot, 0);
  leave_section();
  after_refill();
  return slot;
}

namespace {

// A large object's slot, or null. It has no header yet (zero is "not traceable"), but its allocation bit:
// it keeps its memory and is not looked into.
char* take_large_slot(std::size_t bytes, std::uint16_t type, bool noscan, bool& fresh,
                      heap::Allowance& allowance) noexcept {
  char* slot = nullptr;
  Mutator* self = mutator();
  enter_section();
  if (heap::Span* span =
          heap::allocate_large_span(self->cache, bytes, noscan, fresh, black(), &allowance)) {
    slot = reinterpret_cast<char*>(span->start);
    if (!noscan) *reinterpret_cast<std::uint64_t*>(slot) = 0;
    note_allocated_at(slot, type);
    // Release: the header's zero comes before the bit.
    span->large_alloc.store(1, std::memory_order_release);
    bump(self->cache.counts.large_bytes, span->bytes());
    bump(self->cache.counts.large_objects, 1);
  }
  leave_section();
  return slot;
}

}  // namespace

void* allocate_large(std::size_t payload_bytes, std::uint16_t type, std::uint32_t count,
                     bool noscan) {
  const std::size_t header_bytes = noscan ? 0 : kHeaderBytes;
  const std::size_t bytes = payload_bytes + header_bytes;
  if (bytes < payload_bytes) throw std::bad_alloc();
  // Before the memory is taken: the request that crosses the goal waits, not the one after it.
  check_may_wait();
  poll();
  flush_counts(*mutator(), kFlushBytes);
  bool fresh = false;
  heap::Allowance allowance;
  char* slot = take_large_slot(bytes, type, noscan, fresh, allowance);
  if (slot == nullptr) {
    RoomSearch search((bytes + heap::kPageBytes - 1) / heap::kPageBytes * heap::kPageBytes);
    do {
      allowance = {search.next(allowance.refused)};
      slot = take_large_slot(bytes, type, noscan, fresh, allowance);
    } while (slot == nullptr);
  }
  if (!noscan) {
    // Outside the section: zeroing megabytes must not delay a stop.
    if (!fresh) __builtin_memset(slot + kHeaderBytes, 0, payload_bytes);
    // Release: the zeroed words come before the header that makes them traceable.
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(slot), Header::pack(type, 0, count),
                     __ATOMIC_RELEASE);
  }
  flush_counts(*mutator(), kFlushBytes);
  watch_growth();
  return slot + header_bytes;
}

}  // namespace tailrace::gc::internal
