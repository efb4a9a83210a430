#include "gcruntime/gc/malloc_count.h"

#include <cstdlib>
#include <new>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/mutator.h"

namespace tailrace::gc {

void count_malloc(std::size_t bytes) noexcept {
  Mutator* const self = base::current_mutator();
  if (self == nullptr) return;
  bump(self->cache.counts.malloc_bytes, bytes);
  bump(self->cache.counts.malloc_objects, 1);
}

}  // namespace tailrace::gc

#if !TAILRACE_ASAN && !TAILRACE_TSAN && !defined(TAILRACE_VERIFY)

#define TAILRACE_OPERATOR [[gnu::weak, gnu::noinline, gnu::visibility("default")]]

namespace {

// A null result: no memory, and nobody who could make some.
template <typename Take>
void* take(std::size_t bytes, Take from_malloc) {
  for (;;) {
    if (void* const block = from_malloc(bytes == 0 ? 1 : bytes)) {
      tailrace::gc::count_malloc(bytes);
      return block;
    }
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

}  // namespace

// The library's other forms, arrays and those that do not throw, call these.
TAILRACE_OPERATOR void* operator new(std::size_t bytes) {
  return take(bytes, [](std::size_t wanted) { return std::malloc(wanted); });
}
TAILRACE_OPERATOR void* operator new(std::size_t bytes, std::align_val_t alignment) {
  const auto to = static_cast<std::size_t>(alignment);
  return take(bytes, [to](std::size_t wanted) {
    return wanted > SIZE_MAX - to ? nullptr : std::aligned_alloc(to, (wanted + to - 1) / to * to);
  });
}
TAILRACE_OPERATOR void operator delete(void* block) noexcept { std::free(block); }
TAILRACE_OPERATOR void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
// By way of those without a size: a program may replace only these.
TAILRACE_OPERATOR void operator delete(void* block, std::size_t) noexcept {
  ::operator delete(block);
}
TAILRACE_OPERATOR void operator delete(void* block, std::size_t, std::align_val_t to) noexcept {
  ::operator delete(block, to);
}

#endif
