// What a pool has to know of its items: how one is made, cleaned when it comes back, weighed, and ended.
//
// PoolPolicy<T> fits types that can be default-constructed. Others, and whoever wants it otherwise, give
// the pool a policy of their own, by deriving from this one or by writing the four functions:
//
//   struct SmallReply : gc::PoolPolicy<Reply> {
//     static Reply* make() { return new Reply(4096); }
//   };
//   gc::Pool<Reply, SmallReply> replies("reply");
#pragma once

#include <cstddef>
#include <type_traits>

#include "gcruntime/gc/finalizer.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/trace.h"

namespace tailrace::gc {

template <typename T>
struct PoolPolicy {
  // Managed: what make<T> takes, any described struct or container above all. Else it is a plain object,
  // which must hold no managed pointers but in Roots.
  static constexpr bool kManaged =
      Traceable<T> && std::is_class_v<T> && (std::is_trivially_destructible_v<T> || kFinalized<T>);

  static T* make() {
    if constexpr (kManaged) {
      return heap_make<T>();
    } else {
      return new T();
    }
  }

  // When an item is put: what the next user must not see, and what it must not keep alive, goes.
  // reset() or clear() where there is one, as these may keep the room that the item has; else T().
  static void reset(T& item) {
    if constexpr (requires { item.reset(); }) {
      item.reset();
    } else if constexpr (requires { item.clear(); }) {
      item.clear();
    } else {
      item = T();
    }
  }

  // What it keeps from others while it is pooled. Asked after reset() and before it is given out: the
  // same both times.
  static std::size_t bytes(const T& item) noexcept {
    if constexpr (requires { sizeof(typename T::value_type) * item.capacity(); }) {
      return sizeof(T) + sizeof(typename T::value_type) * item.capacity();
    } else {
      return sizeof(T);
    }
  }

  // An item that is not kept. Managed ones are the collector's.
  static void destroy([[maybe_unused]] T* item) noexcept {
    if constexpr (!kManaged) delete item;
  }
};

}  // namespace tailrace::gc
