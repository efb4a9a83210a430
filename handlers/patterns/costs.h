// What one call costs: managed objects and bytes, and calls of operator new, on the calling thread.
// For the tests and the benchmark of this folder.
#pragma once

#include <cstdint>

#include "gcruntime/gc/allocs_per_run.h"
#include "server/test_allocations.h"

namespace tailrace::patterns {

struct Costs {
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
  std::uint64_t mallocs = 0;  // AddressSanitizer has operators of its own: then always 0
};

template <typename F>
Costs costs_of(F&& f) {
  constexpr std::uint64_t kRuns = 10;
  const gc::AllocCounts used = gc::allocs_per_run(kRuns, f);
  const std::uint64_t before = http::counted_allocations();
  for (std::uint64_t i = 0; i < kRuns; ++i) f();
  const std::uint64_t mallocs = http::counted_allocations() - before;
  return {used.objects + used.large_objects, used.bytes + used.large_bytes, mallocs / kRuns};
}

#if TAILRACE_ASAN
inline constexpr bool kMallocsCounted = false;
#else
inline constexpr bool kMallocsCounted = true;
#endif

}  // namespace tailrace::patterns
