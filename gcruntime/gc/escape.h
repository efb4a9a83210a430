// [arena.escape] Whether a store takes a pointer out of its arena, and what happens then.
//
//   destination \ value            null, foreign, heap, faded    unfaded object of the own arena
//   frames below with_arena        -                             -
//   unfaded object of the arena    -                             -
//   anything else: heap, faded     -                             it fades, with all it reaches,
//   objects, roots, frames above,                                before the store
//   other stacks
//   (An unfaded object of another arena as the value: its fiber never let it out, so this stops the program.)
//
// The block that the value lies in says whose it is, never the thread. All of it runs on the arena's own
// fiber, so nobody else changes what is faded meanwhile; the collector sees a fade bit before it can see the
// pointer that made it necessary. While the barrier is on, what fades is shaded in the same section
// [arena.fade]: it is the collector's from then on, and the cycle under way must not free it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/base/annotations.h"
#include "gcruntime/heap/page_map.h"

namespace tailrace::gc {

class Mutator;

namespace internal {

// Before `value` is stored into `slot`, the value being somewhere in the arena range. Numbers: the slot may not
// be constructed yet, and compilers warn of a pointer to it.
TAILRACE_NOINLINE void escape(std::uintptr_t slot, std::uintptr_t value) noexcept;
// The same for a word that may be no pointer: one into another fiber's arena is none.
TAILRACE_NOINLINE void escape_word(std::uintptr_t slot, std::uintptr_t word) noexcept;

TAILRACE_ALWAYS_INLINE void before_store(const void* slot, const void* value) noexcept {
  const auto word = reinterpret_cast<std::uintptr_t>(value);
  if (heap::in_arena_range(word)) [[unlikely]]
    escape(reinterpret_cast<std::uintptr_t>(slot), word);
}
TAILRACE_ALWAYS_INLINE void before_word_store(const void* slot, std::uintptr_t word) noexcept {
  if (heap::in_arena_range(word)) [[unlikely]]
    escape_word(reinterpret_cast<std::uintptr_t>(slot), word);
}

// Of a container that is about to move its elements, which may lead to what is not the caller's to let out:
// stops the program if they are unfaded and another arena's.
void check_own_backing(std::uintptr_t backing) noexcept;
TAILRACE_ALWAYS_INLINE void before_move(const void* backing) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(backing);
  if (heap::in_arena_range(address)) [[unlikely]]
    check_own_backing(address);
}

// Unfaded memory of somebody's arena.
bool is_unfaded(const void* pointer) noexcept;
// A handle in that place allocates in the calling fiber's arena: in frames below with_arena's, or in unfaded
// memory of the arena. The fiber has one.
bool lives_in_arena(Mutator& self, std::uintptr_t place) noexcept;

// The object that the pointer leads to, if it is unfaded and the caller's arena's, and all it reaches.
void fade(const void* pointer) noexcept;
// A faded object of the caller's arena of which only a table of the runtime knows: no scan has seen it.
void keep_faded(const void* object) noexcept;
// The same as fade() for what words (any bit patterns; whole ones of the range) point to.
void fade_words(const void* begin, std::size_t bytes) noexcept;
// The caller's arena, if it has one; it allocates on the heap from here on.
void fade_all() noexcept;
// What is handed to another fiber or thread: words that point into the arena fade; one that is an address of
// the caller's own stack takes the whole arena with it.
void hand_over(const void* begin, std::size_t bytes) noexcept;

}  // namespace internal
}  // namespace tailrace::gc
