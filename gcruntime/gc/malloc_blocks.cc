#include "gcruntime/gc/malloc_blocks.h"

#if defined(TAILRACE_VERIFY)

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/spin_lock.h"
#include "gcruntime/gc/malloc_count.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/origin.h"
#include "gcruntime/os/reserved_memory.h"

namespace tailrace::gc::internal {
namespace {

// 16 bytes: bits 0-46 of `rest` are the size, 47-63 the stack.
struct Entry {
  std::uintptr_t address;  // 0: free
  std::uint64_t rest;
};
constexpr unsigned kSizeBits = 47;
static_assert(kMostStacks <= std::size_t{1} << (64 - kSizeBits));

// Open addressing with linear probing; doubled when three quarters full, and what leaves closes its gap.
class Shard {
 public:
  void insert(std::uint64_t hash, Entry entry) noexcept {
    if (count_ >= capacity_ / 4 * 3 && !grow()) {
      // Relaxed: a count.
      left_out_.store(left_out_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      return;
    }
    put(hash, entry);
    ++count_;
  }

  void erase(std::uint64_t hash, std::uintptr_t address) noexcept;

  template <typename F>
  void for_each(F&& f) const noexcept {
    for (std::size_t i = 0; i < capacity_; ++i) {
      if (entries_[i].address != 0) f(entries_[i]);
    }
  }

  std::size_t count() const noexcept { return count_; }
  std::uint64_t left_out() const noexcept { return left_out_.load(std::memory_order_relaxed); }

  base::SpinLock lock;

 private:
  static constexpr std::size_t kFirstEntries = os::kPageBytes / sizeof(Entry);
  static constexpr std::size_t kMostEntries = std::size_t{1} << 14;

  void put(std::uint64_t hash, Entry entry) noexcept {
    std::size_t i = hash & (capacity_ - 1);
    while (entries_[i].address != 0) i = (i + 1) & (capacity_ - 1);
    entries_[i] = entry;
  }
  bool grow() noexcept;

  Entry* entries_ = nullptr;
  std::size_t capacity_ = 0;  // a power of two
  std::size_t count_ = 0;
  std::atomic<std::uint64_t> left_out_{0};
};

constexpr std::size_t kShards = 256;
constinit Shard shards[kShards];

// The lowest 8 bits choose the shard, the others the place.
std::uint64_t hash_of(std::uintptr_t address) noexcept {
  const std::uint64_t product = (address >> 4) * 0x9e3779b97f4a7c15u;
  return product ^ product >> 32;
}

void Shard::erase(std::uint64_t hash, std::uintptr_t address) noexcept {
  if (capacity_ == 0) return;
  const std::size_t mask = capacity_ - 1;
  std::size_t gap = hash & mask;
  for (; entries_[gap].address != address; gap = (gap + 1) & mask) {
    if (entries_[gap].address == 0) return;  // was left out
  }
  // Whoever stands behind the gap and would be searched for from before it moves into it.
  for (std::size_t i = (gap + 1) & mask; entries_[i].address != 0; i = (i + 1) & mask) {
    const std::size_t home = (hash_of(entries_[i].address) >> 8) & mask;
    if (((i - home) & mask) < ((i - gap) & mask)) continue;
    entries_[gap] = entries_[i];
    gap = i;
  }
  entries_[gap] = Entry{};
  --count_;
}

bool Shard::grow() noexcept {
  const std::size_t capacity = capacity_ == 0 ? kFirstEntries : 2 * capacity_;
  if (capacity > kMostEntries) return false;
  auto* larger = static_cast<Entry*>(os::reserve_memory(capacity * sizeof(Entry), os::kPageBytes));
  if (larger == nullptr) return false;
  Entry* old = entries_;
  const std::size_t old_capacity = capacity_;
  entries_ = larger;
  capacity_ = capacity;
  for (std::size_t i = 0; i < old_capacity; ++i) {
    if (old[i].address != 0) put(hash_of(old[i].address) >> 8, old[i]);
  }
  if (old != nullptr) os::release_reservation(old, old_capacity * sizeof(Entry));
  return true;
}

// A section unless the thread is in one already: the scheduler and the heap may allocate in theirs.
class MaybeSection {
 public:
  MaybeSection() noexcept : outermost_(!base::in_section()) {
    if (outermost_) enter_section();
  }
  ~MaybeSection() {
    if (outermost_) leave_section();
  }
  MaybeSection(const MaybeSection&) = delete;
  MaybeSection& operator=(const MaybeSection&) = delete;

 private:
  const bool outermost_;
};

// The collector holds a lock as long as it looks at a shard's blocks, and those that are not stopped
// (unattached threads, native scopes) may want it meanwhile: they give the core away.
void lock(Shard& shard) noexcept {
  while (!shard.lock.try_lock()) ::sched_yield();
}

// Where this thread's stack lies, for threads that are not attached. Never kept over a suspension: such
// threads run no fibers.
thread_local std::uintptr_t stack_low = 0;
thread_local std::uintptr_t stack_high = 0;

void find_stack() noexcept {
  stack_low = 1;  // asked for once, whatever the answer
  pthread_attr_t attributes;
  if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return;
  void* low = nullptr;
  std::size_t bytes = 0;
  if (::pthread_attr_getstack(&attributes, &low, &bytes) == 0) {
    stack_low = reinterpret_cast<std::uintptr_t>(low);
    stack_high = stack_low + bytes;
  }
  ::pthread_attr_destroy(&attributes);
}

constexpr std::size_t kMostFilled = std::size_t{1} << 20;

TAILRACE_NOINLINE void record(void* block, std::size_t bytes, const void* frame) noexcept {
  // Fresh pages of larger ones stay untouched.
  if (bytes <= kMostFilled) std::memset(block, kNewByte, bytes);
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  const std::uint64_t hash = hash_of(address);
  const bool attached = base::current_mutator() != nullptr;
  // Reads /proc on the main thread: before the section.
  if (!attached && stack_low == 0) find_stack();
  const MaybeSection section;
  const std::uint64_t stack =
      attached ? stack_from(frame) : stack_from(frame, stack_low, stack_high);
  Shard& shard = shards[hash % kShards];
  lock(shard);
  shard.insert(hash >> 8, {address, bytes | stack << kSizeBits});
  shard.lock.unlock();
}

void forget(const void* block) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  const std::uint64_t hash = hash_of(address);
  const MaybeSection section;
  Shard& shard = shards[hash % kShards];
  lock(shard);
  shard.erase(hash >> 8, address);
  shard.lock.unlock();
}

// As malloc does around fork(): the child must find no lock held by a thread that it does not have.
void lock_all() noexcept {
  for (Shard& shard : shards) lock(shard);
}
void unlock_all() noexcept {
  for (Shard& shard : shards) shard.lock.unlock();
}
thread_local bool fork_in_own_section = false;
void before_fork() noexcept {
  fork_in_own_section = !base::in_section();
  if (fork_in_own_section) enter_section();
  lock_all();
}
void after_fork() noexcept {
  unlock_all();
  if (fork_in_own_section) leave_section();
}
[[gnu::constructor]] void watch_forks() noexcept {
  ::pthread_atfork(before_fork, after_fork, after_fork);
}

// A null result: no memory, and nobody who could make some.
void* allocate(std::size_t bytes, std::size_t alignment, const void* frame) {
  if (bytes == 0) bytes = 1;
  for (;;) {
    void* block = nullptr;
    if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
      block = std::malloc(bytes);
    } else if (bytes <= SIZE_MAX - alignment) {
      block = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    }
    if (block != nullptr) {
      record(block, bytes, frame);
      count_malloc(bytes);
      return block;
    }
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) return nullptr;
    handler();
  }
}

void release(void* block) noexcept {
  if (block == nullptr) return;
  forget(block);
  std::free(block);
}

}  // namespace

void for_each_malloc_block(VisitBlock visit, void* visitor) noexcept {
  for (Shard& shard : shards) {
    lock(shard);
    shard.for_each([&](const Entry& entry) {
      visit(visitor, {entry.address, entry.rest & ((std::uint64_t{1} << kSizeBits) - 1),
                      static_cast<std::uint32_t>(entry.rest >> kSizeBits)});
    });
    shard.lock.unlock();
  }
}

void exclude_block(const void* address) noexcept { forget(address); }

MallocBlockCounts malloc_block_counts() noexcept {
  MallocBlockCounts counts;
  const MaybeSection section;
  for (Shard& shard : shards) {
    lock(shard);
    counts.known += shard.count();
    counts.left_out += shard.left_out();
    shard.lock.unlock();
  }
  return counts;
}

}  // namespace tailrace::gc::internal

// The operators. Weak: a program's own win, form by form, so those of ours call each other as the
// library's do: arrays and the forms that do not throw go by the plain ones.
#if !TAILRACE_ASAN && !TAILRACE_TSAN

#define TAILRACE_OPERATOR [[gnu::weak, gnu::noinline, gnu::visibility("default")]]

namespace {

using tailrace::gc::internal::allocate;
using tailrace::gc::internal::release;

void* or_throw(void* block) {
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace

TAILRACE_OPERATOR void* operator new(std::size_t bytes) {
  return or_throw(allocate(bytes, 0, __builtin_frame_address(0)));
}
TAILRACE_OPERATOR void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return or_throw(allocate(bytes, static_cast<std::size_t>(alignment), __builtin_frame_address(0)));
}
TAILRACE_OPERATOR void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return ::operator new(bytes);
  } catch (...) {
    return nullptr;
  }
}
TAILRACE_OPERATOR void* operator new(std::size_t bytes, std::align_val_t alignment,
                                     const std::nothrow_t&) noexcept {
  try {
    return ::operator new(bytes, alignment);
  } catch (...) {
    return nullptr;
  }
}
TAILRACE_OPERATOR void* operator new[](std::size_t bytes) { return ::operator new(bytes); }
TAILRACE_OPERATOR void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return ::operator new(bytes, alignment);
}
TAILRACE_OPERATOR void* operator new[](std::size_t bytes, const std::nothrow_t& tag) noexcept {
  return ::operator new(bytes, tag);
}
TAILRACE_OPERATOR void* operator new[](std::size_t bytes, std::align_val_t alignment,
                                       const std::nothrow_t& tag) noexcept {
  return ::operator new(bytes, alignment, tag);
}

TAILRACE_OPERATOR void operator delete(void* block) noexcept { release(block); }
TAILRACE_OPERATOR void operator delete(void* block, std::align_val_t) noexcept { release(block); }
TAILRACE_OPERATOR void operator delete(void* block, std::size_t) noexcept {
  ::operator delete(block);
}
TAILRACE_OPERATOR void operator delete(void* block, std::size_t,
                                       std::align_val_t alignment) noexcept {
  ::operator delete(block, alignment);
}
TAILRACE_OPERATOR void operator delete(void* block, const std::nothrow_t&) noexcept {
  ::operator delete(block);
}
TAILRACE_OPERATOR void operator delete(void* block, std::align_val_t alignment,
                                       const std::nothrow_t&) noexcept {
  ::operator delete(block, alignment);
}
TAILRACE_OPERATOR void operator delete[](void* block) noexcept { ::operator delete(block); }
TAILRACE_OPERATOR void operator delete[](void* block, std::align_val_t alignment) noexcept {
  ::operator delete(block, alignment);
}
TAILRACE_OPERATOR void operator delete[](void* block, std::size_t) noexcept {
  ::operator delete(block);
}
TAILRACE_OPERATOR void operator delete[](void* block, std::size_t,
                                         std::align_val_t alignment) noexcept {
  ::operator delete(block, alignment);
}
TAILRACE_OPERATOR void operator delete[](void* block, const std::nothrow_t&) noexcept {
  ::operator delete(block);
}
TAILRACE_OPERATOR void operator delete[](void* block, std::align_val_t alignment,
                                         const std::nothrow_t&) noexcept {
  ::operator delete(block, alignment);
}

#endif

#endif
