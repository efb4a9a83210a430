// Runnable entries that belong to no worker: what other threads submit and what overflows from the
// workers' rings. First in first out; it grows by doubling and holds at most what is runnable.
// Every method: any thread, not inside a flagged section (it allocates under a mutex).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <vector>

#include "gcruntime/fiber/fiber_record.h"

namespace tailrace::fiber {

class GlobalQueue {
 public:
  // Noexcept: its callers have taken the fibers out of some line. Without memory to queue them the
  // program stops, rather than that they are lost.
  void push(const Entry* entries, std::size_t count) noexcept {
    std::lock_guard lock(mutex_);
    const std::size_t size = size_.load(std::memory_order_relaxed);  // under the lock
    if (size + count > ring_.size()) grow(size, size + count);
    for (std::size_t i = 0; i < count; ++i)
      ring_[(head_ + size + i) & (ring_.size() - 1)] = entries[i];
    // Seq_cst: the submitter's half of [fiber.sleep].
    size_.store(size + count, std::memory_order_seq_cst);
  }

  // At most `most`; returns how many. The first look takes no lock.
  std::size_t pop(Entry* out, std::size_t most) {
    // Relaxed: a miss is repaired by the next look, and before sleeping by empty().
    if (size_.load(std::memory_order_relaxed) == 0) return 0;
    std::lock_guard lock(mutex_);
    const std::size_t size = size_.load(std::memory_order_relaxed);
    const std::size_t count = std::min(size, most);
    for (std::size_t i = 0; i < count; ++i) out[i] = ring_[(head_ + i) & (ring_.size() - 1)];
    head_ += count;
    size_.store(size - count, std::memory_order_relaxed);
    return count;
  }

  // Seq_cst: the sleeper's half of [fiber.sleep].
  bool empty() const noexcept { return size_.load(std::memory_order_seq_cst) == 0; }
  std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

 private:
  void grow(std::size_t size, std::size_t needed) {
    std::size_t capacity = std::max<std::size_t>(ring_.size() * 2, 256);
    while (capacity < needed) capacity *= 2;
    std::vector<Entry> larger(capacity);
    for (std::size_t i = 0; i < size; ++i) larger[i] = ring_[(head_ + i) & (ring_.size() - 1)];
    ring_.swap(larger);
    head_ = 0;
  }

  std::mutex mutex_;
  std::vector<Entry> ring_;           // guarded by mutex_; its size is a power of two
  std::size_t head_ = 0;              // guarded by mutex_
  std::atomic<std::size_t> size_{0};  // written under mutex_
};

}  // namespace tailrace::fiber
