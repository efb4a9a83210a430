#include "gcruntime/heap/huge_pages.h"

#include <atomic>
#include <bit>

#include "gcruntime/heap/page_map.h"
#include "gcruntime/os/reserved_memory.h"

namespace tailrace::heap {
namespace {

// Atomic operations here are relaxed: the bits order nothing, they only keep count of hints.
constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::size_t kMostHugePages = (std::size_t{256} << 30) / os::kHugePageBytes;
constexpr std::size_t kPagesInOne = os::kHugePageBytes / kPageBytes;

constinit std::atomic<std::uint64_t> apart[kMostHugePages / 64]{};
constinit std::atomic<std::size_t> apart_count{0};

std::size_t huge_page_of(std::uintptr_t address) noexcept {
  return (address - page_map.base) / os::kHugePageBytes;
}
void* address_of(std::size_t huge_page) noexcept {
  return reinterpret_cast<void*>(page_map.base + huge_page * os::kHugePageBytes);
}

void take_one_apart(std::size_t huge_page) noexcept {
  std::atomic<std::uint64_t>& word = apart[huge_page / 64];
  const std::uint64_t bit = std::uint64_t{1} << huge_page % 64;
  if ((word.load(kRelaxed) & bit) != 0 || apart_count.load(kRelaxed) >= kMostApart) return;
  if (!os::avoid_huge_pages(address_of(huge_page), os::kHugePageBytes)) return;
  if ((word.fetch_or(bit, kRelaxed) & bit) == 0) apart_count.fetch_add(1, kRelaxed);
}

void put_one_together(std::size_t huge_page) noexcept {
  std::atomic<std::uint64_t>& word = apart[huge_page / 64];
  const std::uint64_t bit = std::uint64_t{1} << huge_page % 64;
  if ((word.load(kRelaxed) & bit) == 0 || (word.fetch_and(~bit, kRelaxed) & bit) == 0) return;
  apart_count.fetch_sub(1, kRelaxed);
  os::prefer_huge_pages(address_of(huge_page), os::kHugePageBytes);
}

// By the page infos, which tell of free pages whether they are resident or not.
bool dense(std::size_t huge_page) noexcept {
  std::size_t free = 0;
  for (std::size_t i = 0; i < kPagesInOne; ++i) {
    if (PageInfo::kind(page_info(huge_page * kPagesInOne + i)) == PageInfo::kFree) ++free;
  }
  return free < kPagesInOne / 32;
}

}  // namespace

void take_apart(std::uintptr_t start, std::size_t bytes) noexcept {
  const std::uintptr_t end = start + bytes;
  if (start % os::kHugePageBytes != 0) take_one_apart(huge_page_of(start));
  if (end % os::kHugePageBytes != 0) take_one_apart(huge_page_of(end));
}

void put_together(std::uintptr_t start, std::size_t bytes) noexcept {
  const std::size_t end = (start + bytes - page_map.base) / os::kHugePageBytes;
  for (std::size_t i = huge_page_of(start + os::kHugePageBytes - 1); i < end; ++i) {
    put_one_together(i);
  }
}

void put_dense_together() noexcept {
  if (apart_count.load(kRelaxed) == 0) return;
  for (std::size_t word = 0; word < kMostHugePages / 64; ++word) {
    for (std::uint64_t bits = apart[word].load(kRelaxed); bits != 0; bits &= bits - 1) {
      const std::size_t each = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
      if (dense(each)) put_one_together(each);
    }
  }
}

std::size_t huge_pages_apart() noexcept { return apart_count.load(kRelaxed); }

}  // namespace tailrace::heap
