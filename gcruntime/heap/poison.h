// Free slots under the verify build and AddressSanitizer: filled with a pattern (verify), so that a write
// through a dangling pointer is seen when the slot is next handed out, and poisoned (ASan), so that any
// access names itself at once. Nothing in other builds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/base/annotations.h"

namespace tailrace::heap {

// Verify builds stop on a managed object that still points to such a word's slot.
inline constexpr std::uint64_t kPoison = 0xdbdbdbdbdbdbdbdb;

#if defined(TAILRACE_VERIFY) || TAILRACE_ASAN
void poison_free_memory(std::uintptr_t address, std::size_t bytes) noexcept;
// The slots of a word's 64 whose bit is set.
void poison_slots(std::uintptr_t word_base, std::size_t slot_bytes, std::uint64_t bits) noexcept;
// Stops the program if one of these free slots was written to.
void check_free_slots(const char* word_base, std::size_t slot_bytes, std::uint64_t bits) noexcept;
#if defined(TAILRACE_VERIFY)
// Whether nobody wrote there since it was poisoned.
bool poison_intact(std::uintptr_t address, std::size_t bytes) noexcept;
#endif
#else
inline void poison_free_memory(std::uintptr_t, std::size_t) noexcept {}
inline void poison_slots(std::uintptr_t, std::size_t, std::uint64_t) noexcept {}
inline void check_free_slots(const char*, std::size_t, std::uint64_t) noexcept {}
#endif

}  // namespace tailrace::heap
