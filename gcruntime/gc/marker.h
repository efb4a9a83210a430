// The marker: from roots to everything reachable, by tri-colour marking. White: mark bit clear. Grey:
// mark bit set, waits in the mark queue. Black: mark bit set and its words visited.
//
// Latency of memory is the cost, so two prefetch queues stand in the way of every pointer: the first
// prefetches the word with its mark bit, and only what turns from white to grey enters the mark queue;
// what leaves that passes the second, which prefetches the object. Objects of over 64 KiB are scanned in
// pieces. No recursion. The mark queue is a reservation of its own: the collector must not call malloc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gcruntime/heap/page_map.h"

namespace tailrace::gc {

class Marker {
 public:
  Marker();
  ~Marker();
  Marker(const Marker&) = delete;
  Marker& operator=(const Marker&) = delete;

  // Forgets the last cycle's counts. Its queues are empty.
  void begin_cycle() noexcept { stats_ = Stats{}; }

  // A word from a stack or a register: any bit pattern. Shades the object it points into or just behind.
  void shade_conservatively(std::uintptr_t word) noexcept;
  // [low, high) of a stack; alignment 8.
  void scan_stack(const void* low, const void* high) noexcept;
  // A managed pointer from a root.
  void shade(void* object) noexcept;
  // Marks until nothing is grey.
  void drain() noexcept;

  struct Stats {
    std::uint64_t objects = 0;  // scanned
    std::uint64_t bytes = 0;    // their slots
    std::uint64_t stack_words = 0;
    std::uint64_t conservative_hits = 0;
  };
  const Stats& stats() const noexcept { return stats_; }
  std::size_t queue_sys_bytes() const noexcept { return deepest_ * sizeof(Grey); }

 private:
  struct Grey {
    std::uintptr_t slot;
    std::uint64_t first_word;  // of the piece, counted from the payload
  };
  static constexpr std::size_t kFifo = 16;  // a power of two
  static constexpr std::size_t kPieceWords = 8192;
  static constexpr std::size_t kQueueEntries = std::size_t{1} << 32;  // of address space, 64 GiB

  void push(Grey grey) noexcept;
  void shade_found(const heap::ObjectPlace& place) noexcept;
  void set_mark(const heap::ObjectPlace& place) noexcept;
  void enqueue_pointer(std::uintptr_t word) noexcept;
  void flush_pointers() noexcept;
  void scan(Grey grey) noexcept;
  void visit_word(const std::uintptr_t* at, bool maybe) noexcept;
  void scan_words(const std::uintptr_t* words, const std::uint64_t* bitmap, std::size_t first,
                  std::size_t count, std::size_t type_words, bool maybe) noexcept;

  Grey* queue_ = nullptr;
  std::size_t queue_size_ = 0;
  std::size_t queue_capacity_ = 0;
  std::size_t deepest_ = 0;

  heap::ObjectPlace pointers_[kFifo];  // first queue: place known, mark word prefetched
  std::size_t pointer_head_ = 0;
  std::size_t pointer_count_ = 0;

  Stats stats_;
};

// What a scanned slot holds, or null if it is not traceable yet.
struct ScannedObject {
  const struct TypeInfo* type = nullptr;
  std::uint32_t count = 0;
  const std::uintptr_t* payload = nullptr;
};
ScannedObject read_scanned_object(std::uintptr_t slot) noexcept;

}  // namespace tailrace::gc
