// Who owes how much marking in the cycle under way: what allocation owes, what has been done by anybody, and
// what was let off. Background marking is done like any other, so it pays for those who allocate; only what
// it leaves is to be paid by an assist.
//
// One ledger for all threads: who pays more than it owes (a slice is worth more than one report) pays for
// the next ones. Atomic operations here are relaxed: sums, read as they stand.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace tailrace::gc {

class AssistLedger {
 public:
  // A cycle begins, or has ended. `slack`: so much may be due before anybody is asked to pay, for what is
  // being marked is entered when a slice ends.
  void begin(std::int64_t slack) noexcept {
    slack_.store(slack, std::memory_order_relaxed);
    for (std::atomic<std::int64_t>* each : {&owed_, &done_, &let_off_}) {
      each->store(0, std::memory_order_relaxed);
    }
  }
  void owe(std::int64_t work) noexcept { owed_.fetch_add(work, std::memory_order_relaxed); }
  void done(std::int64_t work) noexcept { done_.fetch_add(work, std::memory_order_relaxed); }
  std::int64_t work_done() const noexcept { return done_.load(std::memory_order_relaxed); }
  // Above zero: somebody has to pay.
  std::int64_t due() const noexcept {
    return owed_.load(std::memory_order_relaxed) - let_off_.load(std::memory_order_relaxed) -
           done_.load(std::memory_order_relaxed) - slack_.load(std::memory_order_relaxed);
  }
  // Who owes `work` will not pay for what is due: it stays debt, and nobody else is asked for it. It comes
  // back in what later allocation is charged.
  void let_off(std::int64_t work) noexcept {
    const std::int64_t most = std::min(work, due());
    if (most > 0) let_off_.fetch_add(most, std::memory_order_relaxed);
  }
  // By how much marking is behind allocation, paid or not.
  std::int64_t debt() const noexcept {
    return std::max<std::int64_t>(
        owed_.load(std::memory_order_relaxed) - done_.load(std::memory_order_relaxed), 0);
  }

 private:
  alignas(64) std::atomic<std::int64_t> owed_{0};
  std::atomic<std::int64_t> done_{0};
  std::atomic<std::int64_t> let_off_{0};
  std::atomic<std::int64_t> slack_{0};
};

}  // namespace tailrace::gc
