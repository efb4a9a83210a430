// Where objects came from, for the verifier's messages: the call stack of each allocation and the cycle that
// freed it. In the verify build only; elsewhere all of this is empty.
//
// One word for every 16 bytes of heap (address space of its own, backed where objects begin): number of the
// stack, type, cycle of the end. Stacks are kept once each, in a table of at most kMostStacks; when
// half of that is used, new ones are kept by their innermost frames. Recording is lock-free and allocates nothing: it runs in the section
// of the allocation. The walk follows frame pointers within the own stack.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tailrace::gc::internal {

#if defined(TAILRACE_VERIFY)
inline constexpr std::size_t kMostStacks = std::size_t{1} << 16;
inline constexpr std::size_t kMostFrames = 16;

// An object of that type (0: none) was given out at `slot`. Section, on an attached thread.
void note_allocated_at(const void* slot, std::uint16_t type) noexcept;
// With the world stopped, after marking: what this cycle frees is on record as freed by it.
void note_freed(std::uint64_t cycle) noexcept;

struct Origin {
  std::uint16_t type = 0;
  std::uint64_t freed_cycle = 0;  // 0: not freed yet
  std::uint32_t stack = 0;        // 0: not known
};
Origin origin_of(std::uintptr_t slot) noexcept;
// "name of what: allocated by" and the stack's frames, one a line, as function (file:line) where the
// program can be asked by addr2line; else as offsets into the program. Writes to stderr only.
void print_origin(const char* what, std::uintptr_t slot) noexcept;
void print_origin(const char* what, std::uintptr_t slot, const Origin& origin) noexcept;
void print_stack(std::uint32_t number) noexcept;

// The number of the calling thread's stack from that frame (__builtin_frame_address) outwards; 0: the table
// is full. In a section if the thread is attached; one that is not says where its stack lies.
std::uint32_t stack_from(const void* frame) noexcept;
std::uint32_t stack_from(const void* frame, std::uintptr_t low, std::uintptr_t high) noexcept;

// Text to stderr without stdio: the world may be stopped.
void put(const char* text) noexcept;
void put_decimal(std::uint64_t value) noexcept;
void put_hexadecimal(std::uint64_t value) noexcept;
#else
inline void note_allocated_at(const void*, std::uint16_t) noexcept {}
inline void note_freed(std::uint64_t) noexcept {}
#endif

}  // namespace tailrace::gc::internal
