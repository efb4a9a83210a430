// Request arenas: what a fiber allocates between two points dies at the second, without the collector.
//
//   gc::with_arena([&] { handle(request); });
//
// Inside, make<T> and the containers allocate from the arena by moving a pointer. A pointer that is stored
// where it may outlive the arena (escape.h) makes its object, with all it reaches, the collector's: it *fades*.
// So nothing that anybody can reach is lost, and what nobody kept costs nothing. What is to be kept is better
// published (publish.h) than left to fade: a faded object holds on to the block around it for a while.
//
// What may hold pointers into the arena when it ends, other than through stores that the barrier saw: frames
// above with_arena's, and its result. They are looked through, conservatively, and what they point to fades.
// Raw pointers into it in frames below are gone with them.
//
// What is handed to a fiber or thread by reference is so by the closure's own words: those are looked at. What lies
// behind malloc (a std::function's larger closures, what a shared_ptr leads to) is not, as ever, and must lead
// neither to managed objects nor to frames that hold handles. A container that another fiber grows by such a way
// stops the program.
//
// There is one arena a fiber: inside another one, with_arena runs in that. Fibers spawned inside have none and
// allocate on the heap; what is handed to them fades first, and where that is an address of the spawner's
// frames, the whole arena does. After an arena has grown to max_bytes, or has lived through a whole cycle, the
// fiber allocates on the heap. Attached threads without a fiber may have one too. Objects with destructors that
// have not faded are destroyed at its end, the newest first (arena_destructors.h).
//
// Sources: the regions of Go's design 70257, whose escape rule is derived anew (gcruntime/DESIGN.md).
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include "gcruntime/base/annotations.h"

namespace tailrace::gc {

struct ArenaOptions {
  // Of memory, in blocks and holes of blocks, beyond which its fiber allocates on the heap.
  std::uint64_t max_bytes = std::uint64_t{8} << 20;
  // What the arena is for, a request's route for instance; for the escape report. Lives for ever.
  const char* label = "";
};

namespace internal {
// Calls function(argument) within an arena. What frames above this call's point to when it returns fades.
TAILRACE_NOINLINE void run_in_arena(const ArenaOptions& options, void (*function)(void*),
                                    void* argument);
}  // namespace internal

// f's result, which may hold pointers to what it allocated. An exception passes. A suspension point, at its end too.
template <typename F>
std::invoke_result_t<F&> with_arena(F&& f, const ArenaOptions& options = {}) {
  using Result = std::invoke_result_t<F&>;
  if constexpr (std::is_void_v<Result>) {
    internal::run_in_arena(
        options, [](void* function) { (*static_cast<std::remove_reference_t<F>*>(function))(); },
        &f);
  } else {
    static_assert(!std::is_reference_v<Result>, "return a value or a pointer from with_arena");
    struct Call {
      std::remove_reference_t<F>* function;
      std::optional<Result> result;  // in a frame above run_in_arena's
    } call{&f, std::nullopt};
    internal::run_in_arena(
        options,
        [](void* argument) {
          auto* const self = static_cast<Call*>(argument);
          self->result.emplace((*self->function)());
        },
        &call);
    return *std::move(call.result);
  }
}

// The caller allocates in an arena now.
bool has_arena() noexcept;

// Monotonic unless said. Any thread.
struct ArenaStats {
  std::uint64_t opened = 0;
  std::uint64_t open = 0;   // now
  std::uint64_t bytes = 0;  // of arenas that ended: allocated in them, headers included
  std::uint64_t objects = 0;
  std::uint64_t faded_bytes = 0;
  std::uint64_t faded_objects = 0;
  std::uint64_t faded_whole = 0;        // arenas, by a capture by reference or by their age
  std::uint64_t spilled_objects = 0;    // that their arena had no room for
  std::uint64_t handed_over = 0;        // ended while the collector walked them
  std::uint64_t destroyed_objects = 0;  // whose destructors ran at an end
  std::uint64_t block_bytes = 0;        // now: of all blocks
  std::uint64_t left_blocks = 0;        // now: ended, with faded objects
  std::uint64_t hole_bytes = 0;         // now: of them, free for new arenas
  std::uint64_t kept_bytes = 0;         // now: of blocks that threads keep for their next arenas
};
ArenaStats read_arena_stats() noexcept;

}  // namespace tailrace::gc
