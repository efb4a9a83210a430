// What builds with debug checks (dev, asan, verify) know of the items in a pool: that they are in it. So
// an item that is put twice stops the program, and one that was written to while it was in the pool does
// so when it is next taken. Under AddressSanitizer any access to its own bytes stops it at once (but for
// managed objects with pointers, which the marker reads).
//
// Any thread. Nothing in release builds, nor under ThreadSanitizer: its locks would order what the pool
// has to order by itself.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"

#if TAILRACE_DCHECKS && !TAILRACE_TSAN
#define TAILRACE_POOL_GUARD 1
#include <array>
#include <mutex>
#include <unordered_map>
#else
#define TAILRACE_POOL_GUARD 0
#endif

namespace tailrace::gc::internal {

#if TAILRACE_POOL_GUARD
class PoolGuard {
 public:
  // Stops the program if the item is in the pool.
  void check_out(const void* item);
  // The item is about to be put; `poison`: its bytes are nobody's to read until it leaves.
  void enter(const void* item, std::size_t bytes, bool poison);
  // It has been taken, or is dropped.
  void leave(const void* item, std::size_t bytes, bool poison);

 private:
  // An item's address, negated: the verify build looks for addresses in malloc memory.
  struct Part {
    std::mutex mutex;
    std::unordered_map<std::uintptr_t, std::uint64_t> digests;
  };
  Part& part_of(const void* item) noexcept;

  std::array<Part, 16> parts_;
};
#else
class PoolGuard {
 public:
  void check_out(const void*) noexcept {}
  void enter(const void*, std::size_t, bool) noexcept {}
  void leave(const void*, std::size_t, bool) noexcept {}
};
#endif

}  // namespace tailrace::gc::internal
