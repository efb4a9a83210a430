// What arenas have done so far: the sums over all threads, and what blocks hold.
#include <algorithm>
#include <mutex>

#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/arena_record.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/world.h"
#include "gcruntime/heap/arena_blocks.h"

namespace tailrace::gc {

ArenaCounts World::arena_counts() {
  ArenaCounts sum;
  native([&] {
    const std::lock_guard guard(mutex_);
    sum = ended_arenas_;
    for_each_mutator([&](Mutator& each) { add_counts(sum, each.arena_counts); });
  });
  return sum;
}

ArenaDead read_arena_dead() {
  const heap::ArenaSweep swept = heap::arena_sweep_totals();
  const ArenaCounts counts = World::instance().arena_counts();
  // An arena may end between the looks at two of its thread's counts.
  return {counts.objects - std::min(counts.faded_objects, counts.objects) + swept.freed_objects,
          counts.bytes - std::min(counts.faded_bytes, counts.bytes) + swept.freed_bytes};
}

ArenaStats read_arena_stats() noexcept {
  const ArenaCounts counts = World::instance().arena_counts();
  ArenaStats stats;
  stats.opened = counts.opened;
  stats.open = counts.opened - std::min(counts.ended, counts.opened);
  stats.bytes = counts.bytes;
  stats.objects = counts.objects;
  stats.faded_bytes = counts.faded_bytes;
  stats.faded_objects = counts.faded_objects;
  stats.faded_whole = counts.faded_whole;
  stats.spilled_objects = counts.spilled_objects;
  stats.handed_over = counts.handed_over;
  stats.destroyed_objects = counts.destroyed_objects;
  const heap::ArenaBlockStats blocks = heap::arena_block_stats();
  stats.block_bytes = blocks.block_bytes;
  stats.left_blocks = blocks.left_blocks;
  stats.hole_bytes = blocks.hole_bytes;
  stats.kept_bytes = counts.kept_blocks * heap::kArenaBlockBytes;
  return stats;
}

}  // namespace tailrace::gc
