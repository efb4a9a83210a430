// Escape: random graphs in arenas, of which parts are stored wherever a pointer can be: the own stack, the
// same arena, heap structures that all fibers read and write, Roots, Weaks, channels, payloads by value and by
// reference, callers' frames, results. Arenas are opened and closed all the time, nested, full, grown old
// over cycles, and end while the collector walks them; each one's blocks are the next one's.
// Oracle: a shadow of each arena's graph in plain memory says after each step what has faded, exactly; and
// every node knows what it should hold and what its pointers should lead to, so that whatever an arena's end
// or a sweep has taken too early is a wrong number, or an access to poisoned memory.
#include <cinttypes>
#include <cstdio>
#include <memory>

#include "gcruntime/gc/arena.h"
#include "gcruntime/torture/escape_owner.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {

void escapes(Run& run) {
  const gc::ArenaStats before = gc::read_arena_stats();
  escape::Shared shared(run);
  run.fibers(2 + 2 * run.workers(), [&](unsigned number, const Random& random) {
    const auto owner = std::make_unique<escape::Owner>(shared, number, random);
    do {
      owner->live();
    } while (run.more());
    owner->finish();
  });
  while (shared.channel.try_receive()) {
  }
  const gc::ArenaStats after = gc::read_arena_stats();
  run.expect_equal(after.open, before.open, "open arenas");
  // Relaxed: the fibers have ended.
  const auto read = [](const std::atomic<std::uint64_t>& figure) {
    return figure.load(std::memory_order_relaxed);
  };
  const std::uint64_t made = read(shared.made);
  const std::uint64_t faded = read(shared.faded);
  run.expect(faded > 0 && faded < made, "objects of arenas that faded", nullptr, faded, made);
  std::printf("torture escape: %" PRIu64 " arenas, %" PRIu64 " objects in them, %" PRIu64
              " faded before the end; %" PRIu64 " faded as a whole, %" PRIu64 " handed over\n",
              read(shared.arenas), made, faded, after.faded_whole - before.faded_whole,
              after.handed_over - before.handed_over);
}

}  // namespace tailrace::torture
