// The marker: one thread's share of turning everything reachable black. White: mark bit clear. Grey: mark
// bit set, an entry in the mark queue, with a marker or in a grey buffer. Black: mark bit set and its words
// visited. Whoever turns the bit, atomically, makes the entry, so there is one entry an object.
//
// Latency of memory is the cost, and branches that are guessed wrong. So the work goes in batches through
// straight loops: the objects of one batch are on their way from memory while those of the batch before are
// scanned; their pointers are collected, resolved to the words with their mark bits, which are sent for
// meanwhile, and only then looked at. No recursion: what turns grey goes on a stack of chunks.
//
// Short-lived: a worker makes one for each slice. What is grey goes back to the queue when it stops. Runs in
// a native scope, or while the world is stopped; beside other markers and beside mutators.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/mark_queue.h"
#include "gcruntime/gc/type_info.h"
#include "gcruntime/heap/page_map.h"

namespace tailrace::gc {

namespace internal {
// Turns the bit; false: it was set. Relaxed: the bit says only who makes the entry. What an entry leads to
// is published by the lock of the queue, and the sweep comes after a handshake.
TAILRACE_ALWAYS_INLINE bool turn_bit(std::atomic<std::uint64_t>& mark_word,
                                     std::uint64_t bit) noexcept {
  std::uint64_t word = mark_word.load(std::memory_order_relaxed);
  do {
    if ((word & bit) != 0) return false;
  } while (!mark_word.compare_exchange_weak(word, word | bit, std::memory_order_relaxed));
  return true;
}
}  // namespace internal

// For the mutators' barrier, and any marker: true if this call turned the object from white. Any thread.
bool mark_object(const heap::ObjectPlace& place) noexcept;

class Marker {
 public:
  static constexpr std::int64_t kNoDeadline = INT64_MAX;

  explicit Marker(MarkQueue& queue = MarkQueue::instance()) noexcept;
  ~Marker() { stop(); }
  Marker(const Marker&) = delete;
  Marker& operator=(const Marker&) = delete;

  // A managed pointer from a root.
  void shade(void* object) noexcept;
  // [arena.root] What an object that is a root points to.
  void scan_root_object(std::uintptr_t slot) noexcept;
  // A word from a stack or a register: any bit pattern. Shades the object it points into or just behind.
  void shade_conservatively(std::uintptr_t word) noexcept;
  // [low, high) of a stack; alignment 8. How many objects with pointers it turned from white.
  std::size_t scan_stack(const void* low, const void* high) noexcept;

  // Marks. True: there was nothing more to be had, though other markers may still be at work (the queue's
  // drained() tells); false: the deadline (os::now_ns) has passed.
  bool run(std::int64_t deadline_ns) noexcept;
  // Marks until the queue is drained, other markers' work included.
  void drain() noexcept;
  // Gives all that is grey here to the queue. run() and drain() have done so when they return.
  void stop() noexcept;

  struct Stats {
    std::uint64_t objects = 0;  // scanned
    std::uint64_t bytes = 0;    // their slots
    std::uint64_t marked_bytes =
        0;  // slots of all that this marker marked, those without pointers included
    std::uint64_t stack_words = 0;
    std::uint64_t conservative_hits = 0;
    std::uint64_t given_away = 0;  // entries, to markers that had none
  };
  const Stats& stats() const noexcept { return stats_; }

 private:
  static constexpr std::size_t kBatch = 16;         // objects
  static constexpr std::size_t kWords = 128;        // pointers that are collected, then resolved
  static constexpr std::size_t kPieceWords = 8192;  // of a large object, at a time
  static constexpr std::size_t kShapes = 64;
  static constexpr std::size_t kSweepWork = 1024;  // objects, after which a sweep goes no further

  // What the header of a common object says, all of it: which words of the slot are pointers.
  struct Shape {
    std::uint64_t header;
    std::uint64_t bitmap;  // of the slot, header included
    std::uint32_t bytes;
    std::uint16_t first;  // of the bitmap
    std::uint16_t run;    // how many pointers, if they lie one behind the other; else 0
  };
  struct Target;
  struct Group;
  struct Batch {
    std::size_t count = 0;
    Grey objects[kBatch];
  };

  void enter() noexcept;
  bool set_mark(const heap::ObjectPlace& place) noexcept;
  bool mark_found(const heap::ObjectPlace& place) noexcept;
  bool mark_conservatively(std::uintptr_t word) noexcept;
  void push(Grey grey) noexcept;
  std::uint32_t room() noexcept;
  std::size_t resolve_words(Target* targets) noexcept;
  void flush_words() noexcept;
  void fill(Batch& batch) noexcept;
  void scan(const Batch& batch) noexcept;
  void keep_pointers(std::size_t from) noexcept;
  template <std::size_t kPointers>
  std::size_t sweep_shape(Group& group, const Shape& shape) noexcept;
  std::size_t sweep_group(Group& group, std::size_t from) noexcept;
  void sweep_from(std::uintptr_t slot) noexcept;
  void turn_group(std::atomic<std::uint64_t>& mark_word, std::uint64_t bits,
                  std::size_t slot_bytes) noexcept;
  std::size_t scan_any(Grey grey) noexcept;
  void learn_shape(const struct ScannedObject& object, std::size_t header_words) noexcept;
  Shape& shape_of(std::uint64_t header) noexcept {
    return shapes_[(header ^ header >> 32) % kShapes];
  }
  void scan_piece(const std::uintptr_t* words, const TypeInfo& type, std::size_t first,
                  std::size_t count) noexcept;
  bool find_chunk() noexcept;
  void share() noexcept;
  bool mark_local(std::int64_t deadline_ns) noexcept;
  bool wait_for_chunk(std::int64_t give_up_ns) noexcept;

  MarkQueue& queue_;
  MarkQueue::Chunk* chunk_ = nullptr;  // the top of the stack
  // Empty, or what lies below: so that a stack about a chunk deep does not go to the queue at every turn.
  MarkQueue::Chunk* spare_ = nullptr;
  bool entered_ = false;  // the queue counts this marker in: it may have entries
  std::size_t word_count_ = 0;
  std::size_t work_ = 0;  // since the last look at the clock
  Stats stats_;
  std::uintptr_t words_[kWords];
  Shape shapes_[kShapes];  // by header
};

// What a scanned slot holds, or null if it is not traceable yet.
struct ScannedObject {
  const TypeInfo* type = nullptr;
  std::uint32_t count = 0;
  const std::uintptr_t* payload = nullptr;
};
ScannedObject read_scanned_object(std::uintptr_t slot) noexcept;

// Calls f(index) for each word of its payload that may hold a managed pointer.
template <typename F>
TAILRACE_ALWAYS_INLINE void for_each_traced_word(const ScannedObject& object, F&& f) noexcept {
  const TypeInfo& type = *object.type;
  const std::size_t words = std::size_t{type.words} * object.count;
  for (std::size_t base = 0; base < words; base += type.words) {
    for (std::size_t group = 0; group * 64 < type.words; ++group) {
      for (std::uint64_t bits = type.bitmap[group]; bits != 0; bits &= bits - 1) {
        f(base + group * 64 + static_cast<std::size_t>(std::countr_zero(bits)));
      }
    }
  }
}

}  // namespace tailrace::gc
