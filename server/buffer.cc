// Buffer memory: size classes, per-worker pools for each use, growth.
//
// A pool belongs to the OS thread that holds the shard of the same index (metrics/shard.h), not to
// a worker's number: two schedulers in one process both have a worker 0. Only workers keep memory;
// any other thread, and threads that share the common shard, go to malloc. Nothing here suspends,
// so a pool has one user at a time and no lock. A shard that passes to another thread takes its
// pool along; the lease's mutex orders the two.
#include "server/buffer.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "gcruntime/base/annotations.h"
#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/malloc_count.h"
#include "gcruntime/pool/pool_stats.h"
#include "metrics/shard.h"

namespace tailrace::http {
namespace {

constexpr std::size_t kClasses = 3;
// Each class has its own share of a pool's bytes: a burst of large responses must not push out the
// small ones for good.
constexpr std::array<std::uint32_t, kClasses> kMostKept = {
    Buffer::kMaxPoolBytes / 2 / Buffer::kFirstBytes,
    Buffer::kMaxPoolBytes / 4 / (2 * Buffer::kFirstBytes),
    Buffer::kMaxPoolBytes / 4 / (4 * Buffer::kFirstBytes)};
constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kMaxMemoryBytes =
    Buffer::kHeadRoomBytes + Buffer::kMaxBytes + Buffer::kPaddingBytes;

static_assert(Buffer::kFirstBytes << (kClasses - 1) == Buffer::kMaxPooledBytes);

struct alignas(128) Pool {
  // Stacks: what was warm last is taken first. Entry class c holds kFirstBytes << c bytes.
  std::array<std::array<char*, kMostKept[0]>, kClasses> memory;
  std::array<std::uint32_t, kClasses> count;
  // Words have one writer each (metrics::bump) and are read from anywhere.
  metrics::Word retained_bytes;
  metrics::Word hits;
  metrics::Word misses;
  metrics::Word kept;
  metrics::Word dropped_size;
  metrics::Word dropped_full;
};

struct Pools {
  const char* name;
  std::array<Pool, metrics::kShards> of_shard;
};
// By BufferUse.
constinit std::array<Pools, 2> pools{{{"json_encoder", {}}, {"connection", {}}}};

Pools& pools_of(BufferUse use) { return pools[static_cast<std::size_t>(use)]; }

bool may_keep(metrics::Shard shard) {
  return !shard.common() && fiber::Scheduler::current_worker() >= 0;
}

std::size_t class_of(std::size_t capacity) {
  return capacity <= Buffer::kFirstBytes ? 0 : capacity <= 2 * Buffer::kFirstBytes ? 1 : 2;
}

// `capacity` is a pooled size, or larger than all of them. Null if there is no memory.
char* take(BufferUse use, std::size_t capacity) {
  const metrics::Shard shard = metrics::current_shard();
  Pool& pool = pools_of(use).of_shard[shard.index()];
  if (capacity <= Buffer::kMaxPooledBytes && may_keep(shard)) {
    const std::size_t size_class = class_of(capacity);
    if (pool.count[size_class] > 0) {
      char* memory = pool.memory[size_class][--pool.count[size_class]];
      base::unpoison_memory(memory, capacity);
      metrics::bump(pool.retained_bytes, ~std::uint64_t{capacity} + 1, shard);
      metrics::bump(pool.hits, 1, shard);
      return memory;
    }
  }
  char* memory = static_cast<char*>(std::malloc(capacity));
  if (memory != nullptr) {
    metrics::bump(pool.misses, 1, shard);
    gc::count_malloc(capacity);
  }
  return memory;
}

void give(BufferUse use, char* memory, std::size_t capacity) {
  const metrics::Shard shard = metrics::current_shard();
  Pool& pool = pools_of(use).of_shard[shard.index()];
  if (capacity > Buffer::kMaxPooledBytes) {
    metrics::bump(pool.dropped_size, 1, shard);
  } else {
    const std::size_t size_class = class_of(capacity);
    if (may_keep(shard) && pool.count[size_class] < kMostKept[size_class]) {
      base::poison_memory(memory, capacity);
      pool.memory[size_class][pool.count[size_class]++] = memory;
      metrics::bump(pool.retained_bytes, capacity, shard);
      metrics::bump(pool.kept, 1, shard);
      return;
    }
    metrics::bump(pool.dropped_full, 1, shard);
  }
  std::free(memory);
}

std::size_t rounded_capacity(std::size_t wanted) {
  for (std::size_t bytes = Buffer::kFirstBytes; bytes <= Buffer::kMaxPooledBytes; bytes *= 2) {
    if (wanted <= bytes) return bytes;
  }
  return std::min((wanted + kPageBytes - 1) / kPageBytes * kPageBytes, kMaxMemoryBytes);
}

}  // namespace

char* Buffer::grow(std::size_t bytes) noexcept {
  const std::size_t used = size();
  const std::size_t old_capacity = capacity();
  if (used > kMaxBytes || bytes > kMaxBytes - used) return nullptr;
  // Consumed input in front is given up, the head room is not.
  const std::size_t front =
      memory_ == nullptr ? kHeadRoomBytes : std::min<std::size_t>(begin_, kHeadRoomBytes);
  const std::size_t needed = front + used + bytes + kPaddingBytes;
  // Moving down pays when it frees at least as much as it copies; else a trickle of small consumes
  // would copy the same bytes again and again.
  if (needed <= old_capacity && begin_ - front >= used) {
    std::memmove(memory_ + front, memory_ + begin_, used);
  } else {
    const std::size_t capacity =
        rounded_capacity(std::min(std::max(needed, 2 * old_capacity), kMaxMemoryBytes));
    char* larger = nullptr;
    if (old_capacity > kMaxPooledBytes && begin_ == front) {
      // Large blocks grow by remapping their pages instead of copying.
      larger = static_cast<char*>(std::realloc(memory_, capacity));
      if (larger == nullptr) return nullptr;
      gc::count_malloc(capacity);
    } else {
      larger = take(use_, capacity);
      if (larger == nullptr) return nullptr;
      if (memory_ != nullptr) {
        std::memcpy(larger + front, memory_ + begin_, used);
        give(use_, memory_, old_capacity);
      }
    }
    memory_ = larger;
    limit_ = static_cast<std::uint32_t>(capacity - kPaddingBytes);
  }
  begin_ = static_cast<std::uint32_t>(front);
  end_ = static_cast<std::uint32_t>(front + used);
  return memory_ + end_;
}

void Buffer::release() noexcept {
  give(use_, memory_, capacity());
  memory_ = nullptr;
  begin_ = end_ = limit_ = 0;
}

namespace {

gc::PoolStats read(const void* of) {
  const Pools& all = *static_cast<const Pools*>(of);
  gc::PoolStats stats;
  for (const Pool& pool : all.of_shard) {
    // Relaxed: statistics.
    stats.hits += pool.hits.load(std::memory_order_relaxed);
    stats.misses += pool.misses.load(std::memory_order_relaxed);
    stats.kept += pool.kept.load(std::memory_order_relaxed);
    stats.dropped_size += pool.dropped_size.load(std::memory_order_relaxed);
    stats.dropped_full += pool.dropped_full.load(std::memory_order_relaxed);
    stats.bytes += pool.retained_bytes.load(std::memory_order_relaxed);
  }
  stats.name = all.name;
  // Counts that go on while they are read: a difference may be below zero.
  stats.items = stats.kept - std::min(stats.hits, stats.kept);
  stats.in_use = stats.gets() - std::min(stats.puts(), stats.gets());
  return stats;
}

const gc::PoolListing encoder_listing(pools[0].name, &pools[0], &read, nullptr);
const gc::PoolListing connection_listing(pools[1].name, &pools[1], &read, nullptr);

}  // namespace

gc::PoolStats buffer_pool_stats(BufferUse use) noexcept { return read(&pools_of(use)); }

}  // namespace tailrace::http
