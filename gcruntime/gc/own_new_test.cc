// A program that replaces operator new(size_t) and operator delete(void*) and no other form: each block that it gave
// comes back to it, by whatever form the program's code frees it, and what it did not give does not.
//
// In a binary of its own, as the operators are the whole program's; not with the sanitizers, whose operators do not
// call a program's.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/malloc_count.h"
#include "gcruntime/gc/mutator.h"

namespace {

// Before each block.
struct alignas(16) Front {
  std::uint64_t magic;
  std::size_t bytes;
};
constexpr std::uint64_t kMagic = 0x6f776e206e657721;

struct Counts {
  std::atomic<std::uint64_t> blocks;
  std::atomic<std::uint64_t> freed_blocks;
  std::atomic<std::uint64_t> bytes;
  std::atomic<std::uint64_t> freed_bytes;
  std::atomic<std::uint64_t> foreign_blocks;  // were freed here
};
constinit Counts counts{};

}  // namespace

// The library's. Clang declares it only where it is told that code calls it.
void operator delete(void* block, std::size_t bytes) noexcept;

// g++ advises to replace the sized form too. Such programs exist.
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wsized-deallocation"
#endif

// Counted as whoever calls malloc itself may count it.
void* operator new(std::size_t bytes) {
  auto* const front = static_cast<Front*>(std::malloc(sizeof(Front) + bytes));
  if (front == nullptr) throw std::bad_alloc();
  *front = {kMagic, bytes};
  tailrace::gc::count_malloc(bytes);
  counts.blocks.fetch_add(1);
  counts.bytes.fetch_add(bytes);
  return front + 1;
}
void operator delete(void* block) noexcept {
  if (block == nullptr) return;
  Front* const front = static_cast<Front*>(block) - 1;
  if (front->magic != kMagic) {
    counts.foreign_blocks.fetch_add(1);
    return;
  }
  front->magic = 0;
  counts.freed_blocks.fetch_add(1);
  counts.freed_bytes.fetch_add(front->bytes);
  std::free(front);
}

namespace tailrace::gc {
namespace {

struct Freed {
  std::uint64_t blocks;
  std::uint64_t bytes;
};
// How many blocks, and bytes, came back while f ran; as many as were given.
template <typename F>
Freed freed_by(F&& f) {
  const Freed before{counts.freed_blocks.load(), counts.freed_bytes.load()};
  const Freed given{counts.blocks.load(), counts.bytes.load()};
  f();
  const Freed freed{counts.freed_blocks.load() - before.blocks,
                    counts.freed_bytes.load() - before.bytes};
  EXPECT_EQ(counts.blocks.load() - given.blocks, freed.blocks);
  EXPECT_EQ(counts.bytes.load() - given.bytes, freed.bytes);
  EXPECT_EQ(counts.foreign_blocks.load(), 0u);
  return freed;
}
// What compilers must not see through: they may leave out a new with its delete.
template <typename T>
T* seen(T* made) {
  asm volatile("" : "+r"(made) : : "memory");
  return made;
}

struct Sized {
  char bytes[42];
};
struct alignas(64) Aligned {
  char bytes[64];
};

TEST(OwnNew, ItsBlocksComeBackByTheSizedForm) {
  const Freed freed = freed_by([] { delete seen(new Sized); });
  EXPECT_EQ(freed.blocks, 1u);
  EXPECT_EQ(freed.bytes, sizeof(Sized));
}

TEST(OwnNew, ItsBlocksComeBackByTheOtherForms) {
  const Freed freed = freed_by([] {
    delete[] seen(new char[100]);
    delete seen(new (std::nothrow) Sized);
    ::operator delete(seen(::operator new(10)));
    ::operator delete (seen(::operator new(10)), std::size_t{10});
    std::allocator<Sized> allocator;
    allocator.deallocate(seen(allocator.allocate(3)), 3);
  });
  EXPECT_EQ(freed.blocks, 5u);
  EXPECT_EQ(freed.bytes, 100 + 4 * sizeof(Sized) + 20);
}

// Those forms were not replaced.
TEST(OwnNew, AlignedBlocksDoNotCome) {
  const Freed freed = freed_by([] {
    delete seen(new Aligned);
    delete[] seen(new Aligned[3]);
  });
  EXPECT_EQ(freed.blocks, 0u);
}

TEST(OwnNew, ItCountsForItself) {
  const ThreadScope scope;
  const AllocCounts before = thread_alloc_counts();
  delete seen(new Sized);
  const AllocCounts made = thread_alloc_counts() - before;
  EXPECT_EQ(made.malloc_objects, 1u);
  EXPECT_EQ(made.malloc_bytes, sizeof(Sized));
}

}  // namespace
}  // namespace tailrace::gc
