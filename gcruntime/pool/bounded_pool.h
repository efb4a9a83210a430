// BoundedPool<T>: a fixed number of objects, made beforehand and never given back before the pool's end:
// for steady state, and as the bound of what may be in use at once.
//
//   gc::BoundedPool<Parser> parsers("parser", 64);
//   auto parser = parsers.get();
//   if (!parser) return overloaded();   // all 64 are out
//
// get() on an empty pool gives an empty handle and counts a miss: whoever wants more than there are is to
// say what happens then. Cycles drop nothing. Items are reset when they are put. One over
// options.most_item_bytes is dropped when it is put, and a new one made by the next get that finds nothing
// else; that get counts as a miss too.
//
// As in Pool, each thread puts and gets in a lane of its own; items for which a lane has no room lie
// behind a lock.
//
// [pool.bounded] An empty handle means that all items were out at one moment. Items may move while the
// lanes are looked through one after the other, so whoever has found nothing looks whether a put has begun
// or ended meanwhile, and then looks again. Each put raises its lane's count of steps before the item stands
// in a word and after. Where the sum is what it was before the look, no put ended in it; one that began
// before it and goes on after it may have put its item behind the look's back, and counts as later than the
// get: nobody can tell. Without the step at the end it could be told: an item is put at the look's back and
// its put returns; whoever waited for that takes another, which the look has not reached yet. (The look then
// finds that one's word empty, which acquires what its taker had seen, the step above all [pool.word].)
//
// Attached threads and fibers. Making the pool makes its items and may suspend; get() may at a thread's
// first use and where it makes an item. The pool outlives its items' handles.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "gcruntime/base/spin_lock.h"
#include "gcruntime/pool/pool_core.h"

namespace tailrace::gc {

namespace internal {
// The items that lie on no lane. Any thread; bounded by what it was made for.
template <bool kManaged>
class PoolRest {
 public:
  // May wait, as make() may.
  explicit PoolRest(std::size_t capacity) : capacity_(capacity) {
    for (std::size_t room = 0; room < capacity; room += kWords) {
      rows_.push_back(std::make_unique<PoolWords<kManaged>>());
    }
  }

  void push(void* item) noexcept {
    const std::lock_guard guard(lock_);
    TAILRACE_CHECK_VALUE(count_ < capacity_,
                         "more items were put into a BoundedPool than it has; it has:", capacity_);
    rows_[count_ / kWords]->put(count_ % kWords, item);
    ++count_;
  }
  void* pop() noexcept {
    const std::lock_guard guard(lock_);
    if (count_ == 0) return nullptr;
    --count_;
    return rows_[count_ / kWords]->take(count_ % kWords);
  }

 private:
  static constexpr std::size_t kWords = PoolWords<kManaged>::kWords;

  const std::size_t capacity_;
  base::SpinLock lock_;  // guards all below
  std::size_t count_ = 0;
  std::vector<std::unique_ptr<PoolWords<kManaged>>> rows_;
};
}  // namespace internal

template <typename T, typename Policy = PoolPolicy<T>>
class BoundedPool : public internal::PoolFront<BoundedPool<T, Policy>, T, Policy> {
  using Front = internal::PoolFront<BoundedPool, T, Policy>;
  using Core = typename Front::Core;
  using Count = internal::PoolCount;
  using Front::core_;

 public:
  static constexpr std::size_t kMaxCapacity = std::size_t{1} << 20;

  BoundedPool(const char* name, std::size_t capacity)
      : BoundedPool(PoolOptions{.name = name}, capacity) {}
  BoundedPool(const PoolOptions& options, std::size_t capacity)
      : Front(options, 1), rest_(checked(capacity)), capacity_(capacity) {
    try {
      for (std::size_t i = 0; i < capacity; ++i) prepare();
    } catch (...) {
      empty_rest();
      throw;
    }
  }
  ~BoundedPool() { empty_rest(); }

  // Empty if all items are out.
  Pooled<BoundedPool> get() {
    const auto place = core_.lanes.here();
    if (void* const item = core_.lanes.take_own(place)) [[likely]] {
      return Pooled<BoundedPool>(this, core_.hit(place, item));
    }
    return Pooled<BoundedPool>(this, get_elsewhere(place));
  }

  std::size_t capacity() const noexcept { return capacity_; }

 private:
  friend Front;
  friend class Pooled<BoundedPool>;

  static std::size_t checked(std::size_t capacity) {
    TAILRACE_CHECK_VALUE(capacity > 0 && capacity <= kMaxCapacity,
                         "a BoundedPool has 1 to 2^20 items; its capacity:", capacity);
    return capacity;
  }
  void prepare() {
    T* const item = Policy::make();
    core_.lanes.count(Count::kMadeReady);
    core_.lanes.count(Count::kBytes, Policy::bytes(*item));
    core_.enter(item);
    rest_.push(item);
  }
  void empty_rest() noexcept {
    while (void* const item = rest_.pop()) core_.discard(item);
  }

  T* get_elsewhere(typename Core::Place place) {
    for (;;) {  // each look but the first follows a put of another's
      const std::uint64_t steps = put_steps();
      void* item = rest_.pop();
      if (item == nullptr) item = core_.lanes.take_own(place);
      if (item == nullptr) item = core_.lanes.take_elsewhere(place);
      if (item != nullptr) return core_.hit(place, item);
      if (take_lost()) return make_lost();
      if (put_steps() == steps) break;
    }
    core_.lanes.count(Count::kMisses);
    return nullptr;
  }
  // Acquire pairs with step_put's release.
  std::uint64_t put_steps() const noexcept {
    return core_.lanes.sum(Count::kPutSteps, std::memory_order_acquire);
  }
  // Release pairs with put_steps's acquire. The item's word stands between two steps by its own release.
  void step_put(const typename Core::Place& place) noexcept {
    if (place.lane == nullptr) {
      core_.lanes.step_aside();
      return;
    }
    base::Word& steps = place.lane->count(Count::kPutSteps);
    if (place.shard.common()) {
      steps.fetch_add(1, std::memory_order_release);
    } else {
      steps.store(steps.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }
  }

  // One of the items that were dropped for their size is to be made again.
  bool take_lost() noexcept {
    std::size_t lost = lost_.load(std::memory_order_relaxed);
    // Relaxed: the number stands for itself.
    while (lost > 0 && !lost_.compare_exchange_weak(lost, lost - 1, std::memory_order_relaxed)) {
    }
    return lost > 0;
  }
  T* make_lost() {
    try {
      T* const item = Policy::make();
      core_.lanes.count(Count::kMisses);
      core_.lanes.count(Count::kMade);
      return item;
    } catch (...) {
      core_.lanes.step_aside();
      lost_.fetch_add(1, std::memory_order_relaxed);
      core_.lanes.step_aside();
      throw;
    }
  }

  void put_back(T* item) noexcept {
    const bool keep = core_.clean(item);
    const auto place = core_.lanes.here_or_null();
    step_put(place);
    if (keep) {
      core_.lanes.count(Count::kKept);
      core_.lanes.count(Count::kBytes, Policy::bytes(*item));
      core_.enter(item);
      if (place.lane == nullptr || !core_.lanes.give(place, item)) rest_.push(item);
    } else {
      lost_.fetch_add(1, std::memory_order_relaxed);
    }
    step_put(place);
  }
  internal::PoolRest<Front::kManaged> rest_;
  const std::size_t capacity_;
  std::atomic<std::size_t> lost_{0};
};

}  // namespace tailrace::gc
