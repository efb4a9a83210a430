// A monotonic count with one writer and any number of readers.
#pragma once

#include <atomic>
#include <cstdint>

namespace tailrace::fiber {

class Counter {
 public:
  // The writer only: so a load and a store do, without a locked instruction. Release pairs with
  // read(): who sees a count sees the counts that its writer had raised before (Impl::outstanding
  // needs it).
  void add(std::uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_release);
  }
  std::uint64_t read() const noexcept { return value_.load(std::memory_order_acquire); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace tailrace::fiber
