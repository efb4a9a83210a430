#include "gcruntime/os/reserved_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "gcruntime/base/check.h"

namespace tailrace::os {

void* reserve_memory(std::size_t bytes, std::size_t alignment) noexcept {
  const std::size_t mapped_bytes = bytes + alignment - kPageBytes;
  void* mapped = ::mmap(nullptr, mapped_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  const auto begin = reinterpret_cast<std::uintptr_t>(mapped);
  const std::uintptr_t aligned = (begin + alignment - 1) & ~(alignment - 1);
  if (aligned > begin) ::munmap(mapped, aligned - begin);
  const std::uintptr_t end = begin + mapped_bytes;
  if (end > aligned + bytes) {
    ::munmap(reinterpret_cast<void*>(aligned + bytes), end - aligned - bytes);
  }
  return reinterpret_cast<void*>(aligned);
}

void release_reservation(void* address, std::size_t bytes) noexcept {
  TAILRACE_CHECK(::munmap(address, bytes) == 0, "munmap of a reservation of ours");
}

void decommit_memory(void* address, std::size_t bytes) noexcept {
  if (::madvise(address, bytes, MADV_DONTNEED) == 0) return;
  // Locked pages (mlockall) are refused: Linux 5.18 has an advice of its own for them.
  TAILRACE_CHECK(errno == EINVAL, "madvise on a reservation of ours");
#if !defined(MADV_DONTNEED_LOCKED)
  constexpr int MADV_DONTNEED_LOCKED = 24;  // NOLINT(readability-identifier-naming): the kernel's
#endif
  if (::madvise(address, bytes, MADV_DONTNEED_LOCKED) == 0) return;
  std::memset(address, 0, bytes);
}

void prefer_huge_pages(void* address, std::size_t bytes) noexcept {
  static_cast<void>(::madvise(address, bytes, MADV_HUGEPAGE));  // a hint; refusal changes nothing
}

bool avoid_huge_pages(void* address, std::size_t bytes) noexcept {
  return ::madvise(address, bytes, MADV_NOHUGEPAGE) == 0 || errno == EINVAL;
}

}  // namespace tailrace::os
