// Who marks, when and for how long, in the cycle under way. [gc.slices]
//
// The collector's thread marks while some worker has nothing to run, or where there are no workers; else
// the workers do, in slices. Both within the budget, except where somebody waits for the cycle (collect(),
// or allocation at the backstop), or is held. Threads that allocate mark beside that, as the ledger asks.
#pragma once

#include <atomic>
#include <cstdint>

#include "gcruntime/gc/assist_ledger.h"
#include "gcruntime/gc/mark_budget.h"
#include "gcruntime/gc/marker.h"

namespace tailrace::gc {

class Marking {
 public:
  static Marking& instance();

  // --- The collector's thread. ---
  struct Limits {
    unsigned procs = 1;
    bool beside = true;  // false: the collector's thread marks only where no worker does
  };
  void begin(const Limits& limits, std::int64_t now_ns) noexcept;
  // Marks until nothing is grey; `marker` is the caller's. `share` tells what the budget is now.
  struct Pace {
    double share = MarkBudget::kShare;
    bool hurry = false;  // somebody waits for the cycle
  };
  using Share = Pace (*)(void* argument);
  void drain(Marker& marker, bool hurry, Share share, void* argument) noexcept;
  // No slice is under way or begins when it returns, and the figures are complete.
  void end() noexcept;

  // By slices; what the collector's own marker marked is in its figures.
  std::uint64_t marked_bytes() const noexcept {
    return marked_bytes_.load(std::memory_order_relaxed);
  }
  std::uint64_t marked_objects() const noexcept {
    return marked_objects_.load(std::memory_order_relaxed);
  }
  std::int64_t workers_ns() const noexcept { return workers_ns_.load(std::memory_order_relaxed); }
  std::int64_t assist_ns() const noexcept { return assist_ns_.load(std::memory_order_relaxed); }
  // CPU time, like these, of the collector's thread in drain().
  std::int64_t own_ns() const noexcept { return own_ns_; }

  // What allocation owes in this cycle; whoever scans enters it. The collector begins it, before begin().
  AssistLedger& ledger() noexcept { return ledger_; }

  // --- Any attached thread, in no section. ---
  // Marks for at most that long, which is a slice at the most. An assist is beside the budget; it is noted
  // as a hold, and for the fiber. Returns the ns that it took.
  std::int64_t slice(bool assist, std::int64_t most_ns = MarkBudget::kSliceNs) noexcept;

 private:
  void note(const Marker& marker) noexcept;
  void enter_work(const Marker& marker) noexcept;

  Limits limits_;
  MarkBudget budget_;
  AssistLedger ledger_;
  // The collector's thread's alone: of its marker, what has been entered.
  std::uint64_t entered_work_ = 0;
  std::int64_t own_ns_ = 0;
  // Slices under way. Seq_cst with mark_wanted: who begins one after end() sees that none is wanted.
  std::atomic<unsigned> slices_{0};
  // Relaxed: advice and sums; read when no slice is under way.
  std::atomic<std::int64_t> last_slice_ns_{0};
  std::atomic<std::uint64_t> marked_bytes_{0};
  std::atomic<std::uint64_t> marked_objects_{0};  // scanned
  std::atomic<std::int64_t> workers_ns_{0};
  std::atomic<std::int64_t> assist_ns_{0};
};

}  // namespace tailrace::gc
