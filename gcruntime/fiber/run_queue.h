// The run queue of one worker: a ring of 256 entries, first in first out. [fiber.steal]
//
// The owner alone pushes; the owner and thieves pop, by CAS on head_.
//   head_ <= tail_ <= head_ + kCapacity (as differences modulo 2^32)
//   slots [head_, tail_) hold entries; only the owner writes slots, and only outside that range.
// A thief copies up to half of the range first and then claims it by the CAS. If the owner had
// reused a slot meanwhile, head_ would have moved past it and the CAS would fail; head_ cannot come
// back to an old value unless 2^32 entries pass during one steal.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/fiber/fiber_record.h"

namespace tailrace::fiber {

class RunQueue {
 public:
  static constexpr std::uint32_t kCapacity = 256;
  static constexpr std::uint32_t kHalf = kCapacity / 2;
  // So the slot after that of position 2^32 - 1 is that of position 0.
  static_assert((std::uint64_t{1} << 32) % kCapacity == 0);

  RunQueue() = default;
  // For tests: where its positions begin.
  explicit RunQueue(std::uint32_t position) noexcept : head_(position), tail_(position) {}

  // Owner. False when full. `order`: release where nobody needs to be woken for the entry, seq_cst
  // where a look at the sleepers follows [fiber.sleep].
  bool push(Entry entry, std::memory_order order) noexcept {
    // Acquire: pairs with the release of the CAS by which a thief has claimed slots: it has read
    // them.
    const std::uint32_t head = head_.load(std::memory_order_acquire);
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);  // own
    if (tail - head >= kCapacity) return false;
    slots_[tail % kCapacity].store(entry, std::memory_order_relaxed);
    // At least release: pairs with the acquire loads of tail_ by thieves.
    tail_.store(tail + 1, order);
    return true;
  }

  // Owner. 0 when empty.
  Entry pop() noexcept {
    std::uint32_t head = head_.load(std::memory_order_relaxed);
    for (;;) {
      const std::uint32_t tail = tail_.load(std::memory_order_relaxed);  // own
      if (head == tail) return 0;
      const Entry entry = slots_[head % kCapacity].load(std::memory_order_relaxed);
      // Relaxed on both sides: the entry was pushed by this very thread, and nobody but it writes
      // slots.
      if (head_.compare_exchange_weak(head, head + 1, std::memory_order_relaxed)) return entry;
    }
  }

  // Owner, when full: takes half of the entries out (fewer if a thief came first) and returns how
  // many.
  std::uint32_t take_half(Entry* out) noexcept { return claim(out, kHalf, false); }

  // A thief: takes half of the entries, rounded up, at most kHalf; returns how many.
  std::uint32_t steal(Entry* out) noexcept { return claim(out, kHalf, true); }

  // Any thread; seq_cst: the second half of [fiber.sleep].
  bool empty() const noexcept {
    const std::uint32_t head = head_.load(std::memory_order_seq_cst);
    return tail_.load(std::memory_order_seq_cst) == head;
  }
  // Any thread; an estimate.
  std::uint32_t size() const noexcept {
    const std::uint32_t head = head_.load(std::memory_order_relaxed);
    const std::uint32_t count = tail_.load(std::memory_order_relaxed) - head;
    return count <= kCapacity ? count : 0;
  }

 private:
  std::uint32_t claim(Entry* out, std::uint32_t most, bool half) noexcept {
    // Acquire: the loads of slots must not move above it.
    std::uint32_t head = head_.load(std::memory_order_acquire);
    for (;;) {
      // Acquire: pairs with push's store of tail_.
      const std::uint32_t tail = tail_.load(std::memory_order_acquire);
      std::uint32_t count = tail - head;
      if (half) count -= count / 2;
      if (count == 0) return 0;
      if (count > most) {
        // Full (take_half, a long queue), or head and tail are of different moments: then the CAS
        // fails.
        if (tail - head > kCapacity) {
          head = head_.load(std::memory_order_acquire);
          continue;
        }
        count = most;
      }
      for (std::uint32_t i = 0; i < count; ++i) {
        out[i] = slots_[(head + i) % kCapacity].load(std::memory_order_relaxed);
      }
      // Release: the slots were read before the owner may reuse them (its acquire of head_).
      // Acquire on failure: as the load above.
      if (head_.compare_exchange_weak(head, head + count, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        return count;
      }
    }
  }

  alignas(64) std::atomic<std::uint32_t> head_{0};  // owner and thieves
  alignas(64) std::atomic<std::uint32_t> tail_{0};  // written by the owner
  std::atomic<Entry> slots_[kCapacity]{};
};

}  // namespace tailrace::fiber
