// Pool<T>: objects that are used again instead of being made anew, as Go's sync.Pool.
//
//   static gc::Pool<Reply> replies("reply");
//   auto reply = replies.get();       // one that was put, or a new one
//   reply->body.append("...");
//                                     // put back, reset, at the scope's end
//
// Each thread has a lane of its own, so a get and a put in steady state take no lock and touch no cache
// line that others write; who finds its lane empty takes from the others'. The fiber may have moved in
// between: an item is put on the lane of the thread that puts it.
//
// What is not used is given back: after each collection cycle the items in the pool become the victims,
// and the victims that nobody has taken since the cycle before are dropped [pool.generations]. So an item
// survives one cycle, and what is used once between two cycles is always there. Plain items that are dropped
// are destroyed on the finalizers' thread.
//
// An item is empty when it is got: reset when it is put, by its policy (pool_policy.h). What goes out of it
// to others is copied out. An item over options.most_item_bytes is dropped when it is put. For items with
// clean-up to do (files, locks), or of which there must be a fixed number, a pool is wrong, or BoundedPool.
//
// Attached threads and fibers. get() may suspend and throw where make() does, put on a thread's first use
// may suspend. The pool outlives its items' handles; it may be static.
#pragma once

#include <cstdint>

#include "gcruntime/pool/pool_core.h"

namespace tailrace::gc {

template <typename T, typename Policy = PoolPolicy<T>>
class Pool : public internal::PoolFront<Pool<T, Policy>, T, Policy> {
  using Front = internal::PoolFront<Pool, T, Policy>;
  using Count = internal::PoolCount;
  using Front::core_;

 public:
  explicit Pool(const char* name) : Pool(PoolOptions{.name = name}) {}
  explicit Pool(const PoolOptions& options) : Front(options, 2) {}

  Pooled<Pool> get() {
    const auto place = core_.lanes.here();
    void* item = core_.lanes.take_own(place);
    if (item == nullptr) [[unlikely]] {
      item = core_.lanes.take_elsewhere(place);
      if (item == nullptr) return Pooled<Pool>(this, make());
    }
    return Pooled<Pool>(this, core_.hit(place, item));
  }

 private:
  friend Front;
  friend class Pooled<Pool>;

  T* make() {
    internal::ensure_pool_turns();
    T* const made = Policy::make();
    // Counted when it is there, wherever the fiber is now.
    core_.lanes.count(Count::kMisses);
    core_.lanes.count(Count::kMade);
    return made;
  }
  void put_back(T* item) noexcept {
    if (!core_.clean(item)) return;
    const std::uint64_t bytes = Policy::bytes(*item);
    const auto place = core_.lanes.here_or_null();
    core_.enter(item);
    if (place.lane != nullptr && core_.lanes.give(place, item)) [[likely]] {
      base::bump(place.lane->count(Count::kKept), 1, place.shard);
      base::bump(place.lane->count(Count::kBytes), bytes, place.shard);
      return;
    }
    core_.lanes.count(Count::kDroppedFull);
    core_.discard(item);
  }
};

}  // namespace tailrace::gc
