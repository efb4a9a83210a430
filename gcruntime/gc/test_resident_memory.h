// For tests of what the heap takes from the system: what the kernel counts.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdio>

#include "gcruntime/base/annotations.h"

namespace tailrace::gc::test {

// Without what is mapped from files, which stays or goes as the page cache likes. 0: not to be had, or not
// ours alone.
inline std::uint64_t resident_bytes() {
#if TAILRACE_ASAN || TAILRACE_TSAN || defined(TAILRACE_VERIFY)
  return 0;
#else
  unsigned long long pages = 0;
  unsigned long long resident = 0;
  unsigned long long shared = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  if (std::fscanf(file, "%llu %llu %llu", &pages, &resident, &shared) != 3) resident = shared;
  std::fclose(file);
  return (resident - shared) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
#endif
}

}  // namespace tailrace::gc::test
