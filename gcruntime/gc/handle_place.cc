#include "gcruntime/gc/handle_place.h"

#include <unistd.h>

#include <atomic>
#include <cstring>

#include "gcruntime/base/thread_state.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/heap/page_map.h"

namespace tailrace::gc::internal {
namespace {

struct Range {
  std::atomic<std::uintptr_t> low{0};  // 0: free, 1: being filled
  std::atomic<std::uintptr_t> high{0};
};
constinit Range ranges[kHandleRanges];
constinit std::atomic<std::size_t> ranges_used{0};  // places of `ranges` that were ever taken
constinit std::atomic<bool> too_many{false};

bool in_a_range(std::uintptr_t address) noexcept {
  // Acquire pairs with add_handle_range's release, here and below: a range that is seen is whole. A range
  // that goes at the same time is another thread's stack, which this one had no business on.
  const std::size_t used = ranges_used.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < used; ++i) {
    const std::uintptr_t low = ranges[i].low.load(std::memory_order_acquire);
    if (low > 1 && address >= low && address < ranges[i].high.load(std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

// "... [with Handle = tailrace::gc::Member<Node>]" is how a compiler spells it: the part that matters.
[[noreturn, gnu::cold]] void stop(const char* what, const char* type,
                                  std::uintptr_t address) noexcept {
  const auto put = [](const char* text, std::size_t bytes) {
    if (::write(STDERR_FILENO, text, bytes) < 0) __builtin_trap();
  };
  const char* name = std::strstr(type, "Handle = ");
  name = name == nullptr ? type : name + std::strlen("Handle = ");
  std::size_t bytes = std::strlen(name);
  if (bytes > 0 && name[bytes - 1] == ']') --bytes;
  put("a bare ", 7);
  put(name, bytes);
  put("\n", 1);
  base::check_failed_value(__FILE__, __LINE__, "a handle's place", what, address);
}

}  // namespace

void add_handle_range(const void* low, const void* high) noexcept {
  for (std::size_t i = 0; i < kHandleRanges; ++i) {
    std::uintptr_t free = 0;
    // Acquire-release: takes the place after whoever left it.
    if (!ranges[i].low.compare_exchange_strong(free, 1, std::memory_order_acq_rel)) continue;
    // Relaxed: published by low's release.
    ranges[i].high.store(reinterpret_cast<std::uintptr_t>(high), std::memory_order_relaxed);
    ranges[i].low.store(reinterpret_cast<std::uintptr_t>(low), std::memory_order_release);
    std::size_t used = ranges_used.load(std::memory_order_relaxed);
    while (used < i + 1 && !ranges_used.compare_exchange_weak(
                               used, i + 1, std::memory_order_release, std::memory_order_relaxed)) {
    }
    return;
  }
  too_many.store(true, std::memory_order_relaxed);
}

void remove_handle_range(const void* low) noexcept {
  for (Range& range : ranges) {
    // Relaxed: only the thread whose stack it is adds and removes it.
    if (range.low.load(std::memory_order_relaxed) == reinterpret_cast<std::uintptr_t>(low)) {
      // Release pairs with the acquire of who takes the place next.
      range.low.store(0, std::memory_order_release);
      return;
    }
  }
}

void check_handle_place(std::uintptr_t address, const char* type) noexcept {
  if (heap::contains(address)) return;
  const Mutator* self = base::current_mutator();
  if (self != nullptr && self->on_own_stack(address)) return;
  // Another's stack: a closure on its way to a new fiber, a result for whoever waits.
  if (in_a_range(address) || too_many.load(std::memory_order_relaxed)) return;
  if (self == nullptr) {
    stop(
        "constructed by a thread that is not attached: hold a tailrace::gc::ThreadScope on it, or "
        "run "
        "the code on a fiber; its address:",
        type, address);
  }
  stop(
      "constructed where the collector does not look (a static, malloc memory, a std container, an "
      "exception, a std::function): use Root<T> there; its address:",
      type, address);
}

}  // namespace tailrace::gc::internal
