// What Pool and BoundedPool have in common: lanes of items (pool_lanes.h), what the policy says of them,
// the counts, and the nets of debug builds; what of them is public; and Pooled, the handle by which an item is
// out.
//
// An item is in exactly one place: in a word of the pool, with the one who took it from there, or given
// up. Threads: as the pools'.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "gcruntime/base/check.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/pool/pool_guard.h"
#include "gcruntime/pool/pool_lanes.h"
#include "gcruntime/pool/pool_policy.h"
#include "gcruntime/pool/pool_stats.h"

namespace tailrace::gc {

struct PoolOptions {
  const char* name = "";  // a literal; the metrics' label
  // An item that weighs more when it is put is dropped: one huge reply must not pin its buffer for good.
  std::size_t most_item_bytes = 64 * 1024;
  // Items that each thread's lane keeps of either generation, 1 to 64. More are dropped. So what a pool
  // keeps is bounded by threads * 2 * items_per_lane * most_item_bytes.
  unsigned items_per_lane = 64;
};

// An item that is out; puts it back at its end. Moves, also between fibers and threads. As a pointer to
// the item it lives on stacks only: what it holds is kept by it. It ends before its pool does.
template <typename P>
class Pooled {
 public:
  using T = typename P::value_type;

  Pooled() noexcept = default;
  Pooled(P* pool, T* item) noexcept : pool_(pool), item_(item) {}
  Pooled(Pooled&& other) noexcept
      : pool_(other.pool_), item_(std::exchange(other.item_, nullptr)) {}
  Pooled& operator=(Pooled&& other) noexcept {
    if (this != &other) {
      put();
      pool_ = other.pool_;
      item_ = std::exchange(other.item_, nullptr);
    }
    return *this;
  }
  ~Pooled() { put(); }

  T* get() const noexcept {
    if constexpr (P::kManaged) {
      return item_.get();
    } else {
      return item_;
    }
  }
  T* operator->() const noexcept { return checked(); }
  T& operator*() const noexcept { return *checked(); }
  explicit operator bool() const noexcept { return get() != nullptr; }

  // Puts it back now. Nothing if it is empty.
  void put() noexcept {
    if (T* const item = get()) {
      item_ = nullptr;
      pool_->put_back(item);
    }
  }
  // Takes the item out of the pool's hands: for good, or until pool.put(item).
  T* release() noexcept {
    T* const item = get();
    item_ = nullptr;
    if (item != nullptr) pool_->note_released();
    return item;
  }

 private:
  T* checked() const noexcept {
    TAILRACE_DCHECK(static_cast<bool>(*this),
                    "used an empty handle of a pool: its item was put back, moved or never got");
    return get();
  }

  P* pool_ = nullptr;
  std::conditional_t<P::kManaged, Member<T>, T*> item_ = nullptr;
};

namespace internal {

template <typename T, typename Policy>
class PoolCore {
 public:
  static constexpr bool kManaged = Policy::kManaged;
  static_assert(!kManaged || Traceable<T>, "a managed item is of a type that make<T> takes");
  using Lanes = PoolLanes<kManaged>;
  using Place = typename Lanes::Place;

  PoolCore(const PoolOptions& options, unsigned generations)
      : lanes(options.items_per_lane, generations), most_item_bytes_(options.most_item_bytes) {
    TAILRACE_CHECK_VALUE(
        options.items_per_lane > 0 && options.items_per_lane <= PoolLane<kManaged>::kMost,
        "a pool's lanes keep 1 to 64 items each; it says:", options.items_per_lane);
  }
  // Nobody uses it any more: what stands in it is dropped.
  ~PoolCore() {
    const std::uint64_t out = stats().in_use;
    TAILRACE_CHECK_VALUE(out == 0, "a pool ended while items of it were out; so many:", out);
    lanes.empty([this](void* item) { discard(item); });
  }
  PoolCore(const PoolCore&) = delete;
  PoolCore& operator=(const PoolCore&) = delete;

  // `item` has just been taken out of a word.
  T* hit(const Place& place, void* item) noexcept {
    T* const found = left(item);
    base::bump(place.lane->count(PoolCount::kHits), 1, place.shard);
    base::bump(place.lane->count(PoolCount::kBytes), -std::uint64_t{Policy::bytes(*found)},
               place.shard);
    return found;
  }
  // Cleaned, and light enough to be kept; else it is dropped, and the answer false.
  bool clean(T* item) noexcept {
    guard_.check_out(item);  // before anything of it is touched
    Policy::reset(*item);
    if (Policy::bytes(*item) <= most_item_bytes_) return true;
    lanes.count(PoolCount::kDroppedSize);
    Policy::destroy(item);
    return false;
  }
  // Before the item stands in a word, and after it was taken from one.
  void enter(T* item) noexcept { guard_.enter(item, sizeof(T), kPoison); }
  T* left(void* item) noexcept {
    guard_.leave(item, sizeof(T), kPoison);
    return static_cast<T*>(item);
  }
  // An item that two turns passed by.
  void evict(void* item) noexcept {
    lanes.count_aside(PoolCount::kEvicted);
    lanes.count_aside(PoolCount::kBytes, -std::uint64_t{Policy::bytes(*left(item))});
    Policy::destroy(static_cast<T*>(item));
  }
  void discard(void* item) noexcept { Policy::destroy(left(item)); }

  PoolStats stats() const noexcept {
    const auto sum = [this](PoolCount what) { return lanes.sum(what); };
    // A level is a difference of counts that go on while they are read: never below zero.
    const auto level = [](std::uint64_t difference) {
      return static_cast<std::uint64_t>(
          std::max<std::int64_t>(0, static_cast<std::int64_t>(difference)));
    };
    PoolStats stats;
    stats.hits = sum(PoolCount::kHits);
    stats.misses = sum(PoolCount::kMisses);
    stats.evicted = sum(PoolCount::kEvicted);
    stats.dropped_size = sum(PoolCount::kDroppedSize);
    stats.dropped_full = sum(PoolCount::kDroppedFull);
    stats.kept = sum(PoolCount::kKept);
    stats.turns = lanes.turns();
    stats.items = level(sum(PoolCount::kMadeReady) + stats.kept - stats.hits - stats.evicted);
    stats.bytes = level(sum(PoolCount::kBytes));
    stats.in_use = level(stats.hits + sum(PoolCount::kMade) + sum(PoolCount::kAdopted) -
                         stats.puts() - sum(PoolCount::kReleased));
    return stats;
  }

  Lanes lanes;

 private:
  // The marker reads managed objects with pointers, and stops at poison as anybody does.
  static constexpr bool kPoison = [] {
    if constexpr (kManaged) {
      return kNoscan<T>;
    } else {
      return true;
    }
  }();

  const std::size_t most_item_bytes_;
  [[no_unique_address]] PoolGuard guard_;
};

// What both pools show, and how they are listed. P is the pool, which has put_back(item).
template <typename P, typename T, typename Policy>
class PoolFront {
 public:
  using value_type = T;
  static constexpr bool kManaged = Policy::kManaged;

  PoolFront(const PoolFront&) = delete;
  PoolFront& operator=(const PoolFront&) = delete;

  // An item that release() gave, or any that the policy could have made (Pool only): the pool's from now on.
  void put(T* item) noexcept {
    core_.lanes.count(PoolCount::kAdopted);
    static_cast<P*>(this)->put_back(item);
  }

  PoolStats stats() const {
    PoolStats stats = core_.stats();
    stats.name = listing_.name();
    return stats;
  }

 protected:
  using Core = PoolCore<T, Policy>;

  PoolFront(const PoolOptions& options, unsigned generations)
      : core_(options, generations),
        listing_(options.name, this, &read, generations > 1 ? &turn : nullptr) {}
  ~PoolFront() = default;

  Core core_;

 private:
  friend class Pooled<P>;

  void note_released() noexcept { core_.lanes.count(PoolCount::kReleased); }

  static PoolStats read(const void* front) {
    return static_cast<const PoolFront*>(front)->core_.stats();
  }
  static void turn(void* front) noexcept {
    Core& core = static_cast<PoolFront*>(front)->core_;
    core.lanes.turn([&core](void* item) { core.evict(item); });
  }

  PoolListing listing_;  // last: it is told of while it stands there
};

}  // namespace internal
}  // namespace tailrace::gc
