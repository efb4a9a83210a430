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
  std::uint64_t assist_ns = 0;  // of marking that its allocation was asked for

  friend AllocCounts operator-(const AllocCounts& a, const AllocCounts& b) {
    return {a.bytes - b.bytes, a.objects - b.objects, a.large_bytes - b.large_bytes,
            a.large_objects - b.large_objects, a.assist_ns - b.assist_ns};
  }
  friend AllocCounts operator+(const AllocCounts& a, const AllocCounts& b) {
    return {a.bytes + b.bytes, a.objects + b.objects, a.large_bytes + b.large_bytes,
            a.large_objects + b.large_objects, a.assist_ns + b.assist_ns};
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
  return {read(counts.bytes), read(counts.objects), read(counts.large_bytes),
          read(counts.large_objects), read(counts.assist_ns)};
}

}  // namespace tailrace::gc
