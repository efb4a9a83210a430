// See allocs_per_run.h. The reader is replaced by one of a later room: gc knows threads, not
// fibers.
#include "gcruntime/gc/allocs_per_run.h"

#include <atomic>

#include "gcruntime/gc/collect.h"

namespace tailrace::gc {
namespace {

using Reader = AllocCounts (*)() noexcept;
constinit std::atomic<Reader> reader{&thread_alloc_counts};

}  // namespace

// Relaxed: it is set to one function, which needs nothing else to be seen; before, no fiber runs.
AllocCounts own_alloc_counts() noexcept { return reader.load(std::memory_order_relaxed)(); }

// Relaxed: as above.
void internal::set_own_alloc_counts(Reader read) noexcept {
  reader.store(read, std::memory_order_relaxed);
}

}  // namespace tailrace::gc
