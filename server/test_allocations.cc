// See test_allocations.h. A file of its own, so that the replaced operators are not inlined.
#include "server/test_allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

#include "gcruntime/base/annotations.h"

namespace tailrace::http {
namespace {

std::atomic<std::uint64_t> allocations{0};
thread_local bool exempt = false;

}  // namespace

// Relaxed, all: a count.
std::uint64_t counted_allocations() noexcept { return allocations.load(std::memory_order_relaxed); }
void count_allocations_of_this_thread(bool count) noexcept { exempt = !count; }

namespace {

[[maybe_unused]] void* counted_malloc(std::size_t bytes) {
  if (!exempt) allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}

}  // namespace
}  // namespace tailrace::http

// AddressSanitizer has its own.
#if !TAILRACE_ASAN
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return tailrace::http::counted_malloc(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif
