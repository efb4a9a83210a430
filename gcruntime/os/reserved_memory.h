// Address ranges from the kernel: reserved at once, backed page by page on first touch.
#pragma once

#include <cstddef>

namespace tailrace::os {

inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

// Readable and writable address space without swap reservation (MAP_NORESERVE), zero on first touch,
// aligned to `alignment` (a power of two, at least 4096). Null if the kernel refuses: an address space
// limit, or strict overcommit (vm.overcommit_memory=2, which ignores MAP_NORESERVE).
void* reserve_memory(std::size_t bytes, std::size_t alignment) noexcept;
// Gives a whole reservation back.
void release_reservation(void* address, std::size_t bytes) noexcept;
// Drops the pages behind the range: they read as zero afterwards, and no longer count as resident
// (but for locked ones, on kernels before 5.18, which are only cleared).
void decommit_memory(void* address, std::size_t bytes) noexcept;
// Asks for 2 MiB pages. Only a hint: kernels may be set to refuse.
void prefer_huge_pages(void* address, std::size_t bytes) noexcept;
// Asks for small pages only, and that what is not there stays away. False: refused, as when the process has
// as many mappings as it may. True too where the kernel knows no huge pages.
bool avoid_huge_pages(void* address, std::size_t bytes) noexcept;

}  // namespace tailrace::os
