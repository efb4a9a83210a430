// How a channel holds and moves elements of type T so that the collector sees them at every moment.
//
// A value on its way stands in the sender's frame, in the ring, or in the receiver's frame. Frames
// are scanned, of parked fibers too. The ring is scanned unless T is known to hold no pointer: it
// is a managed object, held by a Root, whose words may each be a pointer or not (as on a stack). So
// T may be a pointer to a managed object, a handle, a described struct, or any C++ type that holds
// some of these: nothing has to be described.
//
// Every managed pointer is written through gc::store. Handles do so themselves when they are moved.
// Raw pointers are words that the compiler would copy; so what can be copied word by word goes
// through store_range, and what only its own move constructor can move is stored once more
// afterwards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

#include "gcruntime/base/mutant.h"
#include "gcruntime/gc/escape.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/sync/channel_core.h"

namespace tailrace::fiber::internal {

// A word that may be a managed pointer.
struct RingWord {
  std::uintptr_t bits;
};

}  // namespace tailrace::fiber::internal

template <>
struct tailrace::gc::Trace<tailrace::fiber::internal::RingWord> {
  static constexpr bool kKnown = true;
  static constexpr void words(WordSet& set, std::size_t offset) { set.add_maybe(offset); }
};

namespace tailrace::fiber::internal {

// False: the type is described and no word of it may be a managed pointer.
template <typename T>
constexpr bool may_hold_pointers() {
  if constexpr (gc::Traceable<T>) {
    return !gc::kNoscan<T>;
  } else {
    return true;
  }
}

template <typename T>
struct Element {
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "a channel's elements are moved under a lock: the move must not throw");
  static_assert(alignof(T) <= 64);
  static constexpr bool kScanned = may_hold_pointers<T>();
  static constexpr bool kWholeWords = sizeof(T) % 8 == 0 && alignof(T) % 8 == 0;
  static constexpr std::size_t kStride =
      kScanned ? (sizeof(T) + 7) / 8 * 8 : sizeof(T);  // whole words; alignments are powers of two

  static void move(void* to, void* from) noexcept {
    if constexpr (kScanned && kWholeWords && std::is_trivially_copyable_v<T>) {
      if (base::mutant(base::Mutant::kChannelWithoutBarrier)) {
        ::new (to) T(*static_cast<T*>(from));
        return;
      }
      gc::store_range(to, from, sizeof(T) / 8);
    } else {
      // Shaded before, as the move may leave nothing behind for the next answer to show.
      if constexpr (kScanned) gc::barrier_after_write(from, sizeof(T));
      ::new (to) T(std::move(*static_cast<T*>(from)));
      if constexpr (kScanned && kWholeWords) gc::store_range(to, to, sizeof(T) / 8);
    }
  }
  static void take(void* to, void* from) noexcept {
    move(to, from);
    end(from);
  }
  // Leaves no word that would keep an object.
  static void end(void* place) noexcept {
    std::launder(static_cast<T*>(place))->~T();
    if constexpr (kScanned) gc::clear_range(place, kStride / 8);
  }
  static constexpr ElementOps kOps{kStride, move, take};
};

// Stops the program if T may hold managed pointers and the calling thread is not attached: the
// collector would see neither its frame nor what it stores.
template <typename T>
void check_attached() noexcept {
  if constexpr (Element<T>::kScanned) static_cast<void>(gc::mutator());
}

// [arena.escape] Before it is where another fiber takes it: by the sender, whose arena it may point into.
template <typename T>
void hand_over(T& value) noexcept {
  if (base::mutant(base::Mutant::kEscapeSend)) return;
  if constexpr (Element<T>::kScanned) gc::internal::hand_over(&value, sizeof(T));
}

// The memory of a ring; made on an attached thread if it is scanned.
template <typename T>
class Ring {
 public:
  explicit Ring(std::size_t capacity) {
    if (capacity == 0) return;
    const std::size_t bytes = capacity * Element<T>::kStride;
    if constexpr (Element<T>::kScanned) {
      const std::size_t words = bytes / 8 + alignof(T) / 8;
      root_ = static_cast<RingWord*>(gc::allocate_scanned(words * 8, gc::kTypeNumber<RingWord>,
                                                          static_cast<std::uint32_t>(words),
                                                          gc::Place::kHeap));
      const auto address = reinterpret_cast<std::uintptr_t>(root_.get());
      memory_ = reinterpret_cast<void*>((address + alignof(T) - 1) / alignof(T) * alignof(T));
    } else {
      memory_ = ::operator new (bytes, std::align_val_t{alignof(T)});
    }
  }
  ~Ring() {
    if constexpr (!Element<T>::kScanned) ::operator delete (memory_, std::align_val_t{alignof(T)});
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  void* memory() const noexcept { return memory_; }

 private:
  struct Nothing {};
  [[no_unique_address]] std::conditional_t<Element<T>::kScanned, gc::Root<RingWord>, Nothing> root_;
  void* memory_ = nullptr;
};

}  // namespace tailrace::fiber::internal
