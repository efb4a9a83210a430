// Reservations: address space first, memory on touch, and back to nothing.
#include "gcruntime/os/reserved_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

#include "gcruntime/os/clock.h"

namespace tailrace::os {
namespace {

std::size_t resident_pages(const char* memory, std::size_t pages) {
  std::vector<unsigned char> state(pages);
  EXPECT_EQ(::mincore(const_cast<char*>(memory), pages * kPageBytes, state.data()), 0);
  std::size_t count = 0;
  for (const unsigned char page : state) count += page & 1;
  return count;
}

TEST(ReservedMemory, IsAlignedAndReadsAsZero) {
  for (const std::size_t alignment : {kPageBytes, std::size_t{65536}, kHugePageBytes}) {
    constexpr std::size_t kBytes = 3 * kPageBytes;
    auto* memory = static_cast<char*>(reserve_memory(kBytes, alignment));
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % alignment, 0u);
    for (std::size_t i = 0; i < kBytes; ++i) ASSERT_EQ(memory[i], 0);
    memory[kBytes - 1] = 1;
    release_reservation(memory, kBytes);
  }
}

TEST(ReservedMemory, CostsNothingUntilItIsTouched) {
  constexpr std::size_t kPages = 1024;
  auto* memory = static_cast<char*>(reserve_memory(kPages * kPageBytes, kPageBytes));
  ASSERT_EQ(::madvise(memory, kPages * kPageBytes, MADV_NOHUGEPAGE), 0);
  EXPECT_EQ(resident_pages(memory, kPages), 0u);
  for (std::size_t page = 0; page < 10; ++page) memory[page * kPageBytes] = 1;
  EXPECT_EQ(resident_pages(memory, kPages), 10u);
  decommit_memory(memory, 5 * kPageBytes);
  EXPECT_EQ(resident_pages(memory, kPages), 5u);
  for (std::size_t page = 0; page < 10; ++page)
    EXPECT_EQ(memory[page * kPageBytes], page < 5 ? 0 : 1);
  release_reservation(memory, kPages * kPageBytes);
}

// A program that locks its memory (mlockall) keeps a heap that works.
TEST(ReservedMemory, LockedPagesReadAsZeroAfterwardsToo) {
  constexpr std::size_t kPages = 4;
  auto* memory = static_cast<char*>(reserve_memory(kPages * kPageBytes, kPageBytes));
  // Not by mlock, which the sanitizers leave out.
  ASSERT_EQ(::syscall(SYS_mlock, memory, kPages * kPageBytes), 0);
  ASSERT_NE(::madvise(memory, kPages * kPageBytes, MADV_DONTNEED), 0);  // the kernel does refuse
  for (std::size_t page = 0; page < kPages; ++page) memory[page * kPageBytes] = 1;
  decommit_memory(memory, 3 * kPageBytes);
  for (std::size_t page = 0; page < kPages; ++page)
    EXPECT_EQ(memory[page * kPageBytes], page < 3 ? 0 : 1);
  release_reservation(memory, kPages * kPageBytes);
}

TEST(ReservedMemory, WhatNoMachineHasIsNull) {
  EXPECT_EQ(reserve_memory(std::size_t{1} << 60, kPageBytes), nullptr);
}

TEST(Clock, GoesForward) {
  const std::int64_t begin = now_ns();
  const std::int64_t cpu_begin = thread_cpu_ns();
  std::int64_t last = begin;
  for (int i = 0; i < 100'000; ++i) {
    const std::int64_t now = now_ns();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_GT(last, begin);
  EXPECT_GT(thread_cpu_ns(), cpu_begin);
  EXPECT_LE(coarse_now_ns(), now_ns());
}

}  // namespace
}  // namespace tailrace::os
