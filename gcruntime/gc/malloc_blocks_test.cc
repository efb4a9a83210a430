// Which blocks the verify build knows: what each form of new gives out, until its delete.
#include "gcruntime/gc/malloc_blocks.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "gcruntime/gc/test_support.h"

#if !defined(TAILRACE_VERIFY)
#error "of the verify build only: see sources.cmake"
#endif

namespace tailrace::gc {
namespace {

using test::Disguised;

// What is known of the blocks themselves.
TEST(MallocBlocks, EachFormOfNewIsKnownUntilItsDelete) {
  const auto known = [](const void* address, std::size_t bytes) {
    struct Search {
      std::uintptr_t address;
      std::size_t bytes;
      bool stack;
    } search{reinterpret_cast<std::uintptr_t>(address), 0, false};
    internal::for_each_malloc_block(
        [](void* argument, const internal::MallocBlock& block) {
          auto& found = *static_cast<Search*>(argument);
          if (block.address != found.address) return;
          found.bytes = block.bytes;
          found.stack = block.stack != 0;
        },
        &search);
    return search.bytes == bytes && search.stack == (bytes != 0);
  };
  struct alignas(128) Wide {
    char bytes[256];
  };
  // By way of functions that no compiler sees through: pairs of new and delete may be left out.
  const auto check = [&](void* block, std::size_t bytes, auto&& free) {
    asm volatile("" : "+r"(block));
    EXPECT_TRUE(known(block, bytes));
    const Disguised was(block);
    free(block);
    EXPECT_TRUE(known(reinterpret_cast<const void*>(was.address()), 0));
  };
  const std::align_val_t wide{alignof(Wide)};
  check(::operator new(24), 24, [](void* p) { ::operator delete(p); });
  check(::operator new(24), 24, [](void* p) { ::operator delete (p, std::size_t{24}); });
  check(::operator new[](40), 40, [](void* p) { ::operator delete[](p); });
  check(::operator new[](40), 40, [](void* p) { ::operator delete[](p, std::size_t{40}); });
  check(::operator new(24, std::nothrow), 24, [](void* p) { ::operator delete(p, std::nothrow); });
  check(::operator new[](24, std::nothrow), 24,
        [](void* p) { ::operator delete[](p, std::nothrow); });
  check(::operator new(300, wide), 300, [=](void* p) { ::operator delete(p, wide); });
  check(::operator new[](300, wide), 300,
        [=](void* p) { ::operator delete[](p, std::size_t{300}, wide); });
  check(::operator new(300, wide, std::nothrow), 300,
        [=](void* p) { ::operator delete(p, wide, std::nothrow); });
  check(::operator new[](300, wide, std::nothrow), 300,
        [=](void* p) { ::operator delete[](p, wide, std::nothrow); });
  check(::operator new(0), 1, [](void* p) { ::operator delete(p); });
  std::thread([&] { check(::operator new(72), 72, [](void* p) { ::operator delete(p); }); }).join();
}

TEST(MallocBlocks, MemoryThatCannotBeHadIsSaid) {
  volatile std::size_t bytes = SIZE_MAX / 2;
  EXPECT_THROW(static_cast<void>(::operator new(bytes)), std::bad_alloc);
  EXPECT_THROW(static_cast<void>(::operator new (bytes, std::align_val_t{64})), std::bad_alloc);
  EXPECT_EQ(::operator new(bytes, std::nothrow), nullptr);
}

TEST(MallocBlocks, TheTableGrowsAndShrinksWithTheBlocks) {
  const std::uint64_t before = internal::malloc_block_counts().known;
  {
    std::vector<std::unique_ptr<int>> many(200'000);
    for (auto& each : many) each = std::make_unique<int>(1);
    EXPECT_EQ(internal::malloc_block_counts().known, before + many.size() + 1);
    for (std::size_t i = 0; i < many.size(); i += 2) many[i].reset();
    EXPECT_EQ(internal::malloc_block_counts().known, before + many.size() / 2 + 1);
  }
  EXPECT_EQ(internal::malloc_block_counts().known, before);
  EXPECT_EQ(internal::malloc_block_counts().left_out, 0u);
}

TEST(MallocBlocks, AForkedChildCanAllocate) {
  std::atomic<bool> end{false};
  std::thread other([&] {
    while (!end.load(std::memory_order_relaxed))
      static_cast<void>(std::make_unique<std::vector<int>>(10));
  });
  for (int i = 0; i < 20; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int j = 0; j < 1000; ++j) static_cast<void>(std::make_unique<std::vector<int>>(10));
      ::_exit(0);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
  }
  end.store(true, std::memory_order_relaxed);
  other.join();
}

}  // namespace
}  // namespace tailrace::gc
