// Who of the workers sleeps, and who looks for work. [fiber.sleep]
//
// Lost wake-ups. All operations named here are seq_cst, so they have one order that all threads
// agree on.
//
//   submitter                                sleeper (or a searcher that gives up)
//   S1 push the entry (ring or global)       W1 set own bit in idle_
//   S2 read searchers_: > 0 -> done          W2 searchers_ - 1, if it was a searcher
//   S3 read idle_: no bit -> done            W3 look at all queues; an entry -> go back
//   S4 claim the wake (below), ring          W4 block until rung
//
//   S3 before W1: then S1 < S3 < W1 < W3, so W3 sees the entry.
//   S3 after W1:  the submitter sees the bit and rings; the ring is sticky, so W4 returns.
//   S2 saw a searcher X, which then sleeps: S2 < X's W2 < X's W3, so X sees the entry.
//   S2 saw X, which finds other work and stops searching: the last searcher that stops looks at all
//   queues after its decrement (Worker::stop_searching) and rings for what it sees.
//   "No bit" with everybody awake: each worker looks at all queues (W3) before it blocks.
//
// The claim. S4 raises searchers_ from 0 to 1 first and clears one bit then; the worker so chosen
// finds its bit gone and is a searcher, so further submitters need not ring. If no bit was left,
// the claimer lowers searchers_ again and looks at idle_ once more: a submitter that saw the 1 may
// have relied on it.
//
// [fiber.watch] Somebody must notice a worker that is stuck in a fiber. A sleeper that sees another
// worker awake blocks for kWatch at most ("watches"). When all slept and one is woken:
//   V1 woken worker clears its own bit        U1 watcher's block ends: watchers_ - 1
//   V2 it reads watchers_ before its first    U2 it reads idle_ before it blocks again: not all
//      task: 0 -> it rings a sleeper             asleep -> watchers_ + 1, kWatch; else for ever
//   If V2 saw a watcher, V1 < V2 < U1 < U2: that watcher finds the bit clear and goes on watching.
//
// [fiber.bench] A worker that is not to run fibers now sits on the bench: a bit in benched_ and none in
// idle_, so nobody claims it. It pushes what it has, and what its poller and its timers bring, to the
// global queue, as any submitter does (S1 to S4). A submitter that finds no bit in idle_ relies on those
// awake; worker 0 is never benched, so it is among them and looks at all queues before it blocks. For
// watchers a benched worker is asleep: it has no fiber to be stuck in. Leaving the bench is V1.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

namespace tailrace::fiber {

class Sleepers {
 public:
  static constexpr std::int64_t kWatchNs = 1'000'000;

  explicit Sleepers(unsigned workers) noexcept
      : workers_(workers),
        all_(workers == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << workers) - 1),
        benched_(all_) {}

  // --- The sleeper. ---
  void announce(unsigned worker) noexcept {
    idle_.fetch_or(bit(worker), std::memory_order_seq_cst);
  }
  // False if a submitter has claimed the worker, which thereby is a searcher.
  bool retract(unsigned worker) noexcept {
    return (idle_.fetch_and(~bit(worker), std::memory_order_seq_cst) & bit(worker)) != 0;
  }
  // A worker between the two loads is on its way off the bench and rings a watcher (V1, V2).
  bool all_idle() const noexcept {
    return (idle_.load(std::memory_order_seq_cst) | benched_.load(std::memory_order_seq_cst)) ==
           all_;
  }
  void begin_watch() noexcept { watchers_.fetch_add(1, std::memory_order_seq_cst); }
  void end_watch() noexcept { watchers_.fetch_sub(1, std::memory_order_seq_cst); }

  // --- Who is not to run fibers; at first, all. ---
  void sit_down(unsigned worker) noexcept {
    benched_.fetch_or(bit(worker), std::memory_order_seq_cst);
  }
  void get_up(unsigned worker) noexcept {
    benched_.fetch_and(~bit(worker), std::memory_order_seq_cst);
  }

  // --- The searcher. ---
  // Searchers are at most half of those awake: more would fight over the same few entries.
  bool may_search() const noexcept {
    // Relaxed: a heuristic.
    return 2 * searchers_.load(std::memory_order_relaxed) < awake_count();
  }
  void begin_search() noexcept { searchers_.fetch_add(1, std::memory_order_seq_cst); }
  // True if it was the last one.
  bool end_search() noexcept { return searchers_.fetch_sub(1, std::memory_order_seq_cst) == 1; }

  // --- The submitter. The worker to ring, or -1. ---
  int claim_for_wake() noexcept {
    if (idle_.load(std::memory_order_seq_cst) == 0) return -1;
    return claim_slow();
  }
  // A sleeper to ring so that it watches, or -1 if somebody watches or nobody sleeps.
  int find_watcher() const noexcept {
    if (watchers_.load(std::memory_order_seq_cst) != 0) return -1;
    const std::uint64_t idle = idle_.load(std::memory_order_seq_cst);
    return idle == 0 ? -1 : std::countr_zero(idle);
  }

  // Relaxed: estimates.
  unsigned searching() const noexcept { return searchers_.load(std::memory_order_relaxed); }
  // Asleep or benched: it polls for itself.
  bool is_resting(unsigned worker) const noexcept { return (resting() & bit(worker)) != 0; }
  // Those asleep that may be woken to run fibers.
  unsigned idle_count() const noexcept {
    return static_cast<unsigned>(std::popcount(idle_.load(std::memory_order_relaxed)));
  }
  unsigned awake_count() const noexcept {
    return workers_ - static_cast<unsigned>(std::popcount(resting()));
  }

 private:
  static constexpr std::uint64_t bit(unsigned worker) noexcept {
    return std::uint64_t{1} << worker;
  }

  std::uint64_t resting() const noexcept {
    return idle_.load(std::memory_order_relaxed) | benched_.load(std::memory_order_relaxed);
  }

  int claim_slow() noexcept {
    for (;;) {
      std::uint32_t none = 0;
      if (!searchers_.compare_exchange_strong(none, 1, std::memory_order_seq_cst)) return -1;
      for (;;) {
        const std::uint64_t idle = idle_.load(std::memory_order_seq_cst);
        if (idle == 0) break;
        const unsigned worker = static_cast<unsigned>(std::countr_zero(idle));
        if (retract(worker)) return static_cast<int>(worker);
      }
      searchers_.fetch_sub(1, std::memory_order_seq_cst);
      if (idle_.load(std::memory_order_seq_cst) == 0) return -1;
    }
  }

  const unsigned workers_;
  const std::uint64_t all_;
  std::atomic<std::uint64_t> benched_;  // changes when the number of workers does
  alignas(64) std::atomic<std::uint64_t> idle_{0};
  alignas(64) std::atomic<std::uint32_t> searchers_{0};
  std::atomic<std::uint32_t> watchers_{0};
};

}  // namespace tailrace::fiber
