// Where pooled items wait: a lane for each thread that uses the pool (base/shard.h), whose owner puts and
// gets without touching a line that others write. Who finds its own lane empty takes from the others'.
//
// [pool.lane] A lane has one row of words a generation (pool_words.h), and for each the owner's top.
//   Only the owner puts into its rows. All words at or above top are null, as nobody else puts; below it
//   there may be holes, which thieves have left. So the owner puts at top with a plain release store: a
//   word that it has seen empty stays empty. It gets from the top, thieves from the bottom, both by
//   exchange [pool.word]; whose exchange comes second finds null and looks further.
//   The common shard's lane has many owners: they put under its lock, into any empty word, and get as
//   thieves do; its top stands at the end for good.
//
// [pool.generations] Row generation & 1 is the present one, the other the victim. A turn empties the
// victim's row in all lanes and then makes it the present one (a relaxed store: nothing hangs on when it
// is seen). What is put meanwhile by the old number goes to what is now the victim: it lives for one
// cycle less. By a number that two turns have passed (a thread that lost its processor between reading
// it and putting) it goes to a row that is being emptied, which drops it or not. A thief in the middle of
// a row that is emptied, or a get in both rows, finds an item or null. All of these cost a hit at most:
// who owns an item is decided by its word's exchange alone, and never by a generation.
//
// Any attached thread. A Place is the calling thread's: not over a suspension.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/shard.h"
#include "gcruntime/base/spin_lock.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/pool/pool_words.h"

namespace tailrace::gc::internal {

// What a lane counts. kBytes goes up and down, as all are sums modulo 2^64.
enum class PoolCount : unsigned {
  kHits,
  kMisses,
  kKept,
  kDroppedSize,
  kDroppedFull,
  kEvicted,
  kMade,       // and given out
  kMadeReady,  // and put into the pool
  kReleased,   // for good
  kAdopted,    // and back
  kBytes,
  kPutSteps,  // BoundedPool: raised before an item stands in a word, and after
  kCounts
};
using PoolCounts = std::array<base::Word, static_cast<std::size_t>(PoolCount::kCounts)>;

template <bool kManaged>
class alignas(128) PoolLane {
 public:
  static constexpr unsigned kMost = PoolWords<kManaged>::kWords;

  explicit PoolLane(unsigned most) : most_(most) {}

  // Before anybody sees it: the common shard's.
  void share() noexcept {
    // Relaxed: published with the lane.
    for (auto& top : tops_) top.store(most_, std::memory_order_relaxed);
  }

  // Owner. False if the row is full.
  bool push(unsigned row, void* item) noexcept {
    // Tops are relaxed: the owner's alone, a hint to all others.
    std::uint32_t top = tops_[row].load(std::memory_order_relaxed);
    while (top > 0 && rows_[row].empty(top - 1)) --top;
    if (top == most_) [[unlikely]]
      return push_into_hole(row, item);
    rows_[row].put(top, item);
    tops_[row].store(top + 1, std::memory_order_relaxed);
    return true;
  }
  // Owner. Null if the row is empty.
  void* pop(unsigned row) noexcept {
    std::uint32_t top = tops_[row].load(std::memory_order_relaxed);
    if (top == 0) return nullptr;
    void* item = nullptr;
    while (top > 0 && item == nullptr) {
      --top;
      if (!rows_[row].empty(top)) item = rows_[row].take(top);
    }
    tops_[row].store(top, std::memory_order_relaxed);
    return item;
  }
  // One of the common shard's owners.
  bool push_shared(unsigned row, void* item) noexcept {
    const std::lock_guard guard(shared_lock_);
    return push_into_hole(row, item);
  }
  // Anybody; the coldest.
  void* steal(unsigned row) noexcept {
    const std::uint32_t top = tops_[row].load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < top; ++i) {
      if (rows_[row].empty(i)) continue;
      if (void* const item = rows_[row].take(i)) return item;
    }
    return nullptr;
  }
  // Anybody: each item of the row is given to `drop`. Looks at all words: a put may have passed the top.
  template <typename Drop>
  void empty_row(unsigned row, Drop&& drop) noexcept {
    for (std::uint32_t i = 0; i < most_; ++i) {
      if (rows_[row].empty(i)) continue;
      if (void* const item = rows_[row].take(i)) drop(item);
    }
  }

  base::Word& count(PoolCount what) noexcept { return counts_[static_cast<std::size_t>(what)]; }
  // Relaxed: a statistic. (Acquire for kPutSteps: see BoundedPool.)
  std::uint64_t read(PoolCount what, std::memory_order order) const noexcept {
    return counts_[static_cast<std::size_t>(what)].load(order);
  }

 private:
  // Thieves take from the bottom, so a row with room may be full at its top.
  TAILRACE_NOINLINE bool push_into_hole(unsigned row, void* item) noexcept {
    for (std::uint32_t i = 0; i < most_; ++i) {
      if (!rows_[row].empty(i)) continue;
      rows_[row].put(i, item);
      return true;
    }
    return false;
  }

  std::array<PoolWords<kManaged>, 2> rows_;
  const std::uint32_t most_;
  std::array<std::atomic<std::uint32_t>, 2> tops_{};
  base::SpinLock shared_lock_;
  PoolCounts counts_{};
};

template <bool kManaged>
class PoolLanes {
 public:
  using Lane = PoolLane<kManaged>;
  struct Place {
    Lane* lane;
    base::Shard shard;
  };

  // `most` items in each lane and generation. One generation: nothing grows old.
  PoolLanes(unsigned most, unsigned generations) : most_(most), generations_(generations) {}
  ~PoolLanes() {
    // Relaxed: whoever destroys a pool has waited for those who used it.
    for (auto& lane : lanes_) delete lane.load(std::memory_order_relaxed);
  }
  PoolLanes(const PoolLanes&) = delete;
  PoolLanes& operator=(const PoolLanes&) = delete;

  // The lane may be null.
  TAILRACE_ALWAYS_INLINE Place look() const noexcept {
    const base::Shard shard = base::current_shard();
    // Acquire pairs with make_lane's release: the lane is whole.
    return {lanes_[shard.index()].load(std::memory_order_acquire), shard};
  }
  // Makes the calling thread's lane if it has none: may suspend then, and throw.
  TAILRACE_ALWAYS_INLINE Place here() {
    Place place = look();
    while (place.lane == nullptr) [[unlikely]] {
        make_lane();
        place = look();
      }
    return place;
  }

  // The same for those who can do without: null if there is no memory for a lane.
  Place here_or_null() noexcept {
    try {
      return here();
    } catch (const std::exception&) {
      return look();
    }
  }

  // From the own lane's present row.
  TAILRACE_ALWAYS_INLINE void* take_own(const Place& place) noexcept {
    return place.shard.common() ? place.lane->steal(row()) : place.lane->pop(row());
  }
  // From anywhere else: the own victim, the others' present rows, the others' victims.
  TAILRACE_NOINLINE void* take_elsewhere(const Place& place) noexcept {
    const unsigned now = row();
    for (unsigned age = 0; age < generations_; ++age) {
      const unsigned from = now ^ age;
      if (age == 0 && generations_ > 1) {
        void* const item =
            place.shard.common() ? place.lane->steal(now ^ 1) : place.lane->pop(now ^ 1);
        if (item != nullptr) return item;
      }
      for (unsigned i = 1; i < base::kShards; ++i) {
        // Acquire: as in look().
        Lane* const other =
            lanes_[(place.shard.index() + i) % base::kShards].load(std::memory_order_acquire);
        if (other == nullptr) continue;
        if (void* const item = other->steal(from)) return item;
      }
    }
    return nullptr;
  }
  bool give(const Place& place, void* item) noexcept {
    return place.shard.common() ? place.lane->push_shared(row(), item)
                                : place.lane->push(row(), item);
  }

  // One thread at a time.
  template <typename Drop>
  void turn(Drop&& drop) noexcept {
    const std::uint64_t now = generation_.load(std::memory_order_relaxed);
    for_each_lane([&](Lane& lane) { lane.empty_row((now + 1) & 1, drop); });
    // Relaxed: see [pool.generations].
    generation_.store(now + 1, std::memory_order_relaxed);
  }
  std::uint64_t turns() const noexcept { return generation_.load(std::memory_order_relaxed); }

  // Every item that stands in it now.
  template <typename Drop>
  void empty(Drop&& drop) noexcept {
    for_each_lane([&](Lane& lane) {
      for (unsigned each = 0; each < generations_; ++each) lane.empty_row(each, drop);
    });
  }

  // On this thread's lane, or where there is none on the pool's own words.
  void count(PoolCount what, std::uint64_t n = 1) noexcept {
    const Place place = look();
    if (place.lane != nullptr) {
      base::bump(place.lane->count(what), n, place.shard);
    } else {
      count_aside(what, n);
    }
  }
  void count_aside(PoolCount what, std::uint64_t n = 1) noexcept {
    // Relaxed: a statistic.
    aside_[static_cast<std::size_t>(what)].fetch_add(n, std::memory_order_relaxed);
  }
  void step_aside() noexcept {
    // Release: as BoundedPool::step_put.
    aside_[static_cast<std::size_t>(PoolCount::kPutSteps)].fetch_add(1, std::memory_order_release);
  }
  std::uint64_t sum(PoolCount what,
                    std::memory_order order = std::memory_order_relaxed) const noexcept {
    std::uint64_t total = aside_[static_cast<std::size_t>(what)].load(order);
    for_each_lane([&](const Lane& lane) { total += lane.read(what, order); });
    return total;
  }

 private:
  unsigned row() const noexcept {
    return static_cast<unsigned>(generation_.load(std::memory_order_relaxed) & 1);
  }
  template <typename F>
  void for_each_lane(F&& f) const noexcept {
    for (const auto& each : lanes_) {
      // Acquire: as in look().
      if (Lane* const lane = each.load(std::memory_order_acquire)) f(*lane);
    }
  }
  TAILRACE_NOINLINE void make_lane() {
    static_cast<void>(mutator());  // attached?
    auto fresh = std::make_unique<Lane>(most_);
    // Asked for now: making it may have suspended.
    const base::Shard shard = base::current_shard();
    if (shard.common()) fresh->share();
    Lane* expected = nullptr;
    // Release pairs with the acquire of look() and of those who visit all lanes. Relaxed on failure: another
    // of the common shard's, or another fiber while this one was suspended, was first; look() looks again.
    if (lanes_[shard.index()].compare_exchange_strong(
            expected, fresh.get(), std::memory_order_release, std::memory_order_relaxed)) {
      static_cast<void>(fresh.release());
    }
  }

  const unsigned most_;
  const unsigned generations_;
  // Read by all, written once each and once a cycle.
  alignas(128) std::array<std::atomic<Lane*>, base::kShards> lanes_{};
  std::atomic<std::uint64_t> generation_{0};
  alignas(128) PoolCounts aside_{};
};

}  // namespace tailrace::gc::internal
