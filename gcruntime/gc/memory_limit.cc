#include "gcruntime/gc/memory_limit.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/finalizer.h"
#include "gcruntime/gc/mark_queue.h"
#include "gcruntime/gc/memory_wait.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root_table.h"
#include "gcruntime/gc/scavenger.h"
#include "gcruntime/gc/weak.h"
#include "gcruntime/gc/world.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

constexpr std::int64_t kOldNs = 100'000'000;
// malloc's figures take a walk over its free blocks, with its locks held: a hundredth of the time at most.
constexpr std::int64_t kMallocShare = 100;
// How much the heap grows before anybody looks at the clock.
constexpr std::uint64_t kWatchBytes = std::uint64_t{1} << 20;
// A release is worth a system call from here on, and nobody who allocates does more at once than that.
constexpr std::uint64_t kLeastRelease = std::uint64_t{1} << 20;
constexpr std::uint64_t kMostRelease = std::uint64_t{64} << 20;

// Relaxed, all: figures. The ceiling that follows from them is set under accounts_mutex.
constinit std::atomic<std::uint64_t> limit_bytes{kNoMemoryLimit};
constinit std::atomic<std::uint64_t> beside_heap_bytes{0};
constinit std::atomic<std::uint64_t> malloc_bytes{0};
constinit std::atomic<std::uint64_t> process_bytes{0};
constinit std::atomic<std::uint64_t> watched_bytes{0};
constinit std::atomic<std::int64_t> looked_ns{0};
constinit std::atomic<std::uint64_t> reserve_base{UINT64_MAX};  // of the heap's resident bytes

constinit std::mutex accounts_mutex;  // one looks at a time; natively. Guards the four below
std::int64_t malloc_due_ns = 0;
std::uint64_t own_bytes = 0;  // stacks and tables, as of the last whole look

struct Resident {
  std::uint64_t all = 0;
  std::uint64_t shared = 0;  // the image and other files
};
Resident last_resident;
int statm_file = -1;  // opened once: when descriptors run out is when the figure is wanted

// As the kernel counts it; as it did last if it does not tell.
Resident read_resident() noexcept {
  if (statm_file < 0) statm_file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (statm_file < 0) return last_resident;
  char text[128];
  const ssize_t got = ::pread(statm_file, text, sizeof text - 1, 0);
  if (got <= 0) return last_resident;
  text[got] = 0;
  char* at = text;
  std::strtoull(at, &at, 10);  // the size, which is address space
  const std::uint64_t all = std::strtoull(at, &at, 10);
  const std::uint64_t shared = std::strtoull(at, &at, 10);
  static const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  last_resident = {all * page_bytes, shared * page_bytes};
  return last_resident;
}

void look_at_malloc() noexcept {
  const std::int64_t begin_ns = os::now_ns();
  if (begin_ns < malloc_due_ns) return;
  const struct mallinfo2 info = ::mallinfo2();
  malloc_bytes.store(info.uordblks + info.hblkhd, std::memory_order_relaxed);
  const std::int64_t end_ns = os::now_ns();
  malloc_due_ns = end_ns + (end_ns - begin_ns) * kMallocShare;
}

// Takes the world's lock, which is held as long as a handshake lasts: not for who allocates.
void look_at_own() noexcept {
  std::uint64_t inuse = 0;
  std::uint64_t stacks = 0;
  World::instance().stack_bytes(inuse, stacks);
  own_bytes = stacks + World::instance().mutator_count() * sizeof(Mutator) +
              MarkQueue::instance().sys_bytes() + root_table_bytes() + weak_table_bytes() +
              read_finalizer_stats().table_bytes;
}

// Under the mutex. What each part says, or what the kernel says if that is more: thread stacks, free blocks
// of malloc's, and huge pages of the heap's of which only a part is in use are in no part.
void look() noexcept {
  look_at_malloc();
  const Resident resident = read_resident();
  const std::uint64_t heap_bytes = heap::resident_bytes();
  std::uint64_t sum = malloc_bytes.load(std::memory_order_relaxed) + own_bytes;
  // A sanitizer's shadow would be most of it.
  if (!TAILRACE_ASAN && !TAILRACE_TSAN) {
    sum = std::max(sum + resident.shared, resident.all - std::min(resident.all, heap_bytes));
  }
  process_bytes.store(resident.all, std::memory_order_relaxed);
  beside_heap_bytes.store(sum, std::memory_order_relaxed);
  looked_ns.store(os::now_ns(), std::memory_order_relaxed);
}

// Of the heap's resident bytes.
std::uint64_t ceiling_bytes() noexcept {
  const std::uint64_t limit = memory_limit();
  return limit == kNoMemoryLimit ? UINT64_MAX : limit - std::min(limit, non_heap_bytes());
}

// Under the mutex.
void set_ceiling() noexcept {
  const std::uint64_t ceiling = ceiling_bytes();
  heap::set_resident_ceiling(ceiling);
  // Where the ceiling has sunk below what is there, that; it follows the heap down, never up.
  const std::uint64_t known = reserve_base.load(std::memory_order_relaxed);
  reserve_base.store(std::max(ceiling, std::min(known, heap::resident_bytes())),
                     std::memory_order_relaxed);
}

}  // namespace

std::uint64_t set_memory_limit(std::uint64_t bytes) {
  std::uint64_t old = 0;
  native([&] {
    const std::lock_guard guard(accounts_mutex);
    old = limit_bytes.exchange(bytes, std::memory_order_relaxed);
    look_at_own();
    look();
    set_ceiling();
  });
  internal::note_new_limit();
  return old;
}
std::uint64_t memory_limit() noexcept { return limit_bytes.load(std::memory_order_relaxed); }
std::uint64_t non_heap_bytes() noexcept {
  return beside_heap_bytes.load(std::memory_order_relaxed);
}
std::uint64_t accounted_bytes() noexcept { return heap::resident_bytes() + non_heap_bytes(); }

void refresh_accounts() noexcept {
  native([] {
    const std::lock_guard guard(accounts_mutex);
    look_at_own();
    look();
    set_ceiling();
  });
}

namespace internal {

bool accounts_are_old() noexcept {
  return os::now_ns() - looked_ns.load(std::memory_order_relaxed) >= kOldNs;
}

void refresh_old_accounts() noexcept {
  if (!accounts_are_old()) return;
  native([&] {
    const std::unique_lock lock(accounts_mutex, std::try_to_lock);
    if (!lock.owns_lock() || !accounts_are_old()) return;
    look();
    set_ceiling();
  });
}

void watch_growth() noexcept {
  if (memory_limit() == kNoMemoryLimit) return;
  const std::uint64_t now_bytes = heap::resident_bytes();
  const std::uint64_t watched = watched_bytes.load(std::memory_order_relaxed);
  if (now_bytes - watched < kWatchBytes) return;
  // Less than before: from there on.
  watched_bytes.store(now_bytes, std::memory_order_relaxed);
  refresh_old_accounts();
  give_back_near_limit();
}

bool give_back_near_limit() noexcept {
  const std::uint64_t limit = memory_limit();
  if (limit == kNoMemoryLimit) return false;
  const std::uint64_t most_bytes = limit / 100 * 95;
  const std::uint64_t now_bytes = accounted_bytes();
  if (now_bytes <= most_bytes || heap::idle_resident_bytes() < kLeastRelease) return false;
  const std::uint64_t over = now_bytes - most_bytes;
  scavenge_now(std::min(over, kMostRelease));
  return over > kMostRelease;
}

std::uint64_t reserve_bytes() noexcept {
  const std::uint64_t ceiling = ceiling_bytes();
  const std::uint64_t base = std::max(reserve_base.load(std::memory_order_relaxed), ceiling);
  return base - ceiling + std::max(memory_limit(), accounted_bytes()) / 100;
}

}  // namespace internal

namespace {

constexpr double kMiB = 1 << 20;

}  // namespace

MemoryLimitExceeded::MemoryLimitExceeded(Why why, std::uint64_t wanted_bytes) noexcept
    : limit_bytes_(memory_limit()), live_bytes_(internal::live_at_limit()), why_(why) {
  const char* const what = why == Why::kLiveData ? "leaves no room"
                           : why == Why::kEnded
                               ? "left no room until the deadline or cancellation of this work"
                               : "leaves no room, and too many wait for some";
  std::snprintf(text_, sizeof text_,
                "the memory limit of %.1f MiB %s for %" PRIu64
                " bytes more: %.1f MiB are live, %.1f MiB are not heap; release data or raise the "
                "limit (--memory-limit, gc::set_memory_limit)",
                static_cast<double>(limit_bytes_) / kMiB, what, wanted_bytes,
                static_cast<double>(live_bytes_) / kMiB,
                static_cast<double>(non_heap_bytes()) / kMiB);
}

MemoryLimitStats read_memory_limit_stats() noexcept {
  MemoryLimitStats stats;
  internal::fill_waits(stats);
  stats.malloc_bytes = malloc_bytes.load(std::memory_order_relaxed);
  stats.resident_bytes = process_bytes.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace tailrace::gc
