// Giving everything back that is free, on demand; see collect.h.
#include <limits>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/mark_queue.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/scavenger.h"
#include "gcruntime/gc/world.h"

namespace tailrace::gc {

std::size_t free_os_memory() {
  // What the scavenger gives back meanwhile counts.
  const std::uint64_t before = read_scavenge_stats().released_bytes;
  collect();
  native([] { MarkQueue::instance().trim(0); });
  World::instance().trim_copies();
  scavenge_now(std::numeric_limits<std::size_t>::max());
  return read_scavenge_stats().released_bytes - before;
}

}  // namespace tailrace::gc
