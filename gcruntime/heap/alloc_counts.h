// What one thread or fiber has allocated.
#pragma once

#include <cstdint>

namespace tailrace::gc {

// Monotonic, so that a difference of two readings is exact.
struct AllocCounts {
  std::uint64_t bytes = 0;          // small objects, slot bytes
  std::uint64_t objects = 0;
  std::uint64_t large_bytes = 0;    // objects over 32 KiB, whole pages
  std::uint64_t large_objects = 0;

  friend AllocCounts operator-(const AllocCounts& a, const AllocCounts& b) {
    return {a.bytes - b.bytes, a.objects - b.objects, a.large_bytes - b.large_bytes,
            a.large_objects - b.large_objects};
  }
  friend AllocCounts operator+(const AllocCounts& a, const AllocCounts& b) {
    return {a.bytes + b.bytes, a.objects + b.objects, a.large_bytes + b.large_bytes,
            a.large_objects + b.large_objects};
  }
};

}  // namespace tailrace::gc
