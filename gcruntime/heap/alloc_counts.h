// What one thread or fiber has allocated, and how long it has marked for that.
#pragma once

#include <atomic>
#include <cstdint>

namespace tailrace::gc {

// Monotonic, so that a difference of two readings is exact.
struct AllocCounts {
  std::uint64_t bytes = 0;  // small objects, slot bytes
  std::uint64_t objects = 0;
  std::uint64_t large_bytes = 0;  // objects over 32 KiB, whole pages
  std::uint64_t large_objects = 0;
  std::uint64_t assist_ns = 0;    // of marking that its allocation was asked for
  std::uint64_t arena_bytes = 0;  // in request arenas, headers included; no burden to the collector
  std::uint64_t arena_objects = 0;
  std::uint64_t malloc_bytes = 0;  // as asked for; stand apart (gc/malloc_count.h)
  std::uint64_t malloc_objects = 0;

  friend AllocCounts operator-(const AllocCounts& a, const AllocCounts& b) {
    return {a.bytes - b.bytes,
            a.objects - b.objects,
            a.large_bytes - b.large_bytes,
            a.large_objects - b.large_objects,
            a.assist_ns - b.assist_ns,
            a.arena_bytes - b.arena_bytes,
            a.arena_objects - b.arena_objects,
            a.malloc_bytes - b.malloc_bytes,
            a.malloc_objects - b.malloc_objects};
  }
  friend AllocCounts operator+(const AllocCounts& a, const AllocCounts& b) {
    return {a.bytes + b.bytes,
            a.objects + b.objects,
            a.large_bytes + b.large_bytes,
            a.large_objects + b.large_objects,
            a.assist_ns + b.assist_ns,
            a.arena_bytes + b.arena_bytes,
            a.arena_objects + b.arena_objects,
            a.malloc_bytes + b.malloc_bytes,
            a.malloc_objects + b.malloc_objects};
  }
};

inline std::uint64_t all_bytes(const AllocCounts& counts) noexcept {
  return counts.bytes + counts.large_bytes;
}

// Adds to a count that only the calling thread writes and others read with read_counts. Two plain
// instructions: no other writer, so no read-modify-write.
inline void bump(std::uint64_t& count, std::uint64_t by) noexcept {
  // Relaxed: counts order nothing.
  std::atomic_ref<std::uint64_t>(count).store(count + by, std::memory_order_relaxed);
}
// Another thread's counts, each at some recent value.
inline AllocCounts read_counts(AllocCounts& counts) noexcept {
  const auto read = [](std::uint64_t& count) {
    return std::atomic_ref<std::uint64_t>(count).load(std::memory_order_relaxed);
  };
  return {read(counts.bytes),         read(counts.objects),      read(counts.large_bytes),
          read(counts.large_objects), read(counts.assist_ns),    read(counts.arena_bytes),
          read(counts.arena_objects), read(counts.malloc_bytes), read(counts.malloc_objects)};
}

// What one thread has done with arenas. Monotonic unless said; the own thread writes it (bump), others read it.
struct ArenaCounts {
  std::uint64_t opened = 0;
  std::uint64_t ended = 0;
  std::uint64_t bytes = 0;  // of those that ended
  std::uint64_t objects = 0;
  std::uint64_t faded_bytes = 0;
  std::uint64_t faded_objects = 0;
  std::uint64_t faded_whole = 0;
  std::uint64_t spilled_objects = 0;
  std::uint64_t handed_over = 0;
  std::uint64_t kept_blocks = 0;  // a level: for its next arenas
  std::uint64_t destroyed_objects = 0;
};
inline void add_counts(ArenaCounts& sum, ArenaCounts& counts) noexcept {
  const auto add = [](std::uint64_t& to, std::uint64_t& from) {
    to += std::atomic_ref<std::uint64_t>(from).load(std::memory_order_relaxed);
  };
  add(sum.opened, counts.opened);
  add(sum.ended, counts.ended);
  add(sum.bytes, counts.bytes);
  add(sum.objects, counts.objects);
  add(sum.faded_bytes, counts.faded_bytes);
  add(sum.faded_objects, counts.faded_objects);
  add(sum.faded_whole, counts.faded_whole);
  add(sum.spilled_objects, counts.spilled_objects);
  add(sum.handed_over, counts.handed_over);
  add(sum.kept_blocks, counts.kept_blocks);
  add(sum.destroyed_objects, counts.destroyed_objects);
}

}  // namespace tailrace::gc
