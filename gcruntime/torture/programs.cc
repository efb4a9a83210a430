#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

constexpr Program kPrograms[] = {
    {"trees", "binary trees, short-lived and long-lived", binary_trees},
    {"list", "a list of up to 10 M nodes, cut, reversed and joined", long_list},
    {"array", "an array of up to 1 GiB of pointers, written at random", pointer_array},
    {"map", "maps that grow, shrink and rehash, against a plain reference", rehashing_map},
    {"relinking", "trees mirrored, rotated and grafted", relinking},
    {"hide", "hide-and-seek: the only pointer in one register, word or parked stack",
     hide_and_seek},
    {"fibers", "spawn, join, park, ready, steal, from inside and outside", fiber_storm},
    {"cheese", "heaps full of holes, filled again", swiss_cheese},
    {"exceptions", "handlers that suspend, migrate and rethrow", exceptions},
    {"timers", "sleeps and timed waits that wakers and deadlines race for", timer_storm},
    {"mutexes", "locks held over switches, by fibers and threads", mutex_storm},
    {"channels", "channels and selects that race, give up and are closed", channels},
    {"large", "large objects that come and go", large_objects},
    {"windows", "the interleavings that lose an object, built on purpose", windows},
    {"walker", "lists and queues that are consumed while they are marked", walker},
    {"tree-reverse", "trees mirrored by the reversal of their own pointers", tree_reverse},
    {"weak", "weak references to what others drop", weak_references},
    {"escape", "what request arenas let out, and nothing else", escapes},
    {"limit", "live data at the memory limit, replaced piece by piece", limit},
};

}  // namespace

std::span<const Program> programs() { return kPrograms; }

}  // namespace tailrace::torture
