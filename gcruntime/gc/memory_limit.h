// The soft memory limit: what counts against it, and what allocation does at it.
//
// What counts: the heap's resident pages (in spans, and idle ones that were not given back) and their
// tables, fibers' stacks, the runtime's other tables, malloc, and what else the process has resident (its
// image, other mappings). The heap's part is exact at any time; the rest is a figure, read anew by every cycle and, while
// the heap grows, ten times a second.
//
// [gc.limit] No page is taken from the kernel for managed memory that would bring the sum over the limit.
// Who needs one gives idle pages back, and then waits for a cycle (memory_wait.h). If two whole cycles have
// ended since and there is no room for it, allocation throws MemoryLimitExceeded. Near the limit, from 95 %
// on, idle pages are given back at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

namespace tailrace::gc {

inline constexpr std::uint64_t kNoMemoryLimit = UINT64_MAX;

// Sets the limit (kNoMemoryLimit: none) and returns the old one. Any thread; in no section.
std::uint64_t set_memory_limit(std::uint64_t bytes);
std::uint64_t memory_limit() noexcept;

// What counts beside the heap, as of the last look: an atomic load. For the pacer.
std::uint64_t non_heap_bytes() noexcept;
// All that counts now.
std::uint64_t accounted_bytes() noexcept;
// Looks again at what is not heap: some microseconds, or a millisecond where malloc has many free blocks.
// Any thread, in no section and under no lock of the collector's.
void refresh_accounts() noexcept;

// Live data, and what else counts, leave no room under the limit; or what the fiber works on has ended, by
// its deadline or by cancellation, before there was room. Nothing was allocated, and whoever catches it can
// go on.
class MemoryLimitExceeded : public std::bad_alloc {
 public:
  enum class Why : std::uint8_t { kLiveData, kEnded, kTooManyWait };
  MemoryLimitExceeded(Why why, std::uint64_t wanted_bytes) noexcept;

  // Names the limit, the live bytes and the remedy.
  const char* what() const noexcept override { return text_; }
  Why why() const noexcept { return why_; }
  std::uint64_t limit_bytes() const noexcept { return limit_bytes_; }
  std::uint64_t live_bytes() const noexcept { return live_bytes_; }

 private:
  std::uint64_t limit_bytes_;
  std::uint64_t live_bytes_;
  Why why_;
  char text_[256];
};

struct MemoryLimitStats {
  std::uint64_t stalls = 0;          // allocations that waited; how long, holds.h tells
  std::uint64_t refusals = 0;        // that threw
  std::uint64_t malloc_bytes = 0;    // of the last look: malloc's part of non_heap_bytes
  std::uint64_t resident_bytes = 0;  // of the last look: the process's
  bool exhausted = false;            // live data fills the limit: who needs room is refused at once
};
MemoryLimitStats read_memory_limit_stats() noexcept;

namespace internal {

// Idle pages go back to the OS, as far as needed and if there are any, so that no more than 95 % of the limit
// is accounted for: 64 MiB of them at most, some milliseconds' work. True: more is to go. In no section.
bool give_back_near_limit() noexcept;
// From the allocation's slow path, after pages were taken: the 95 %, and the look ten times a second.
void watch_growth() noexcept;
// By how much who draws on the reserve may pass the limit: a hundredth over it, or over what the heap held
// when the limit was set below that, or the rest of the process grew. Draws do not raise it.
std::uint64_t reserve_bytes() noexcept;
// The last look is a tenth of a second old.
bool accounts_are_old() noexcept;
// A look then, at what can be had without the world's lock.
void refresh_old_accounts() noexcept;

}  // namespace internal
}  // namespace tailrace::gc
