// The program's malloc blocks, as the verify build knows them: every block that operator new gave out,
// with its size and the stack that asked for it [verify.malloc]. Other builds know none.
//
// Global operator new and delete are replaced by weak definitions: a program that brings its own keeps
// them, and its blocks are not known. Nor are those that C libraries get from malloc itself, nor
// exceptions. New blocks up to 1 MiB are filled with kNewByte, so that what an earlier owner left in them
// is not taken for theirs.
//
// A table of 256 shards, each with a spin lock that is held in a flagged section by threads that have
// one, so that no stopped thread holds it; the collector takes it to look at the shard's blocks, and a block
// leaves the table before its memory is freed: what is looked at is not freed meanwhile. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tailrace::gc::internal {

#if defined(TAILRACE_VERIFY)
inline constexpr unsigned char kNewByte = 0xcb;

struct MallocBlock {
  std::uintptr_t address = 0;
  std::size_t bytes = 0;
  std::uint32_t stack = 0;  // origin.h's number; 0: not known
};

// Each block of the table, its shard locked: `visit` must not allocate. By a thread that is not attached.
using VisitBlock = void (*)(void* visitor, const MallocBlock& block);
void for_each_malloc_block(VisitBlock visit, void* visitor) noexcept;

// The block leaves the table for good: it belongs to the runtime and holds addresses of slots by right.
void exclude_block(const void* address) noexcept;

// How many there are, and how many found no room (a shard keeps 16384 at most). Any thread; a snapshot.
struct MallocBlockCounts {
  std::uint64_t known = 0;
  std::uint64_t left_out = 0;
};
MallocBlockCounts malloc_block_counts() noexcept;
#else
inline void exclude_block(const void*) noexcept {}
#endif

}  // namespace tailrace::gc::internal
