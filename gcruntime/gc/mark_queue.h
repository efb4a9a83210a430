// What is grey, for all markers: chunks of entries, and who is at work on them.
//
// [gc.drained] An entry is at any moment in one place: in a chunk here, with a marker, or in a mutator's
// GreyBuffer. A marker counts itself in (enter) before it has its first entry and out (take_or_leave) only
// when it has none, in the very hold of the lock that finds no chunk here. So "no chunk and nobody counted
// in", read under that lock, is the end of marking for all but the grey buffers, and cannot be seen early.
//
// Chunks come from a reservation of its own, because the collector must not call malloc. Any thread:
// markers in native scopes, mutators inside flagged sections; the lock is held for a dozen instructions.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/base/spin_lock.h"

namespace tailrace::gc {

// A marked object that has yet to be scanned, from that word of its payload on.
struct Grey {
  std::uintptr_t slot;
  std::uint64_t first_word;
};

class MarkQueue {
 public:
  static constexpr std::size_t kChunkBytes = 4096;
  static constexpr std::uint32_t kChunkEntries = (kChunkBytes - 16) / sizeof(Grey);
  struct Chunk {
    Chunk* next;
    std::uint32_t count;
    Grey entries[kChunkEntries];
  };
  static_assert(sizeof(Chunk) == kChunkBytes);

  // The process's; never destroyed.
  static MarkQueue& instance();
  // For tests: another one, and chunks that are full with fewer entries.
  explicit MarkQueue(std::uint32_t chunk_entries = kChunkEntries);
  ~MarkQueue();
  MarkQueue(const MarkQueue&) = delete;
  MarkQueue& operator=(const MarkQueue&) = delete;

  // How many entries a chunk takes.
  std::uint32_t capacity() const noexcept { return capacity_; }
  // An empty chunk. Stops the program with a message when the address space has ended.
  Chunk* take_empty() noexcept;
  void give_empty(Chunk* chunk) noexcept;
  // With entries.
  void give(Chunk* chunk) noexcept;
  // Entries without a chunk of their own: marked objects, to be scanned from their beginning.
  void add(const std::uintptr_t* slots, std::size_t count) noexcept;
  // With entries, or null. By a marker that is counted in.
  Chunk* take() noexcept;

  // No entries here and no marker at work.
  bool drained() const noexcept;
  // How often something was given so far. Unchanged between two looks at a drained queue: nothing was grey
  // in between but in grey buffers [gc.termination].
  std::uint64_t given() const noexcept;
  // What the chunks take, used or not.
  std::size_t sys_bytes() const noexcept;
  // Gives the memory of empty chunks back to the kernel, all but the first `keep_bytes` of the reservation.
  // Does nothing while a chunk is in use. After a cycle; never in a section.
  void trim(std::size_t keep_bytes) noexcept;

  // --- For markers -----------------------------------------------------------------------------

  // Counted in from here on.
  void enter() noexcept;
  // A chunk with entries. Null: the marker, which has no entry, is counted out.
  Chunk* take_or_leave() noexcept;
  // By one that is counted out: a chunk with entries, and counted in; or null.
  Chunk* take_and_enter() noexcept;
  void leave() noexcept;

  // Relaxed, all of these: advice when to give and when to look again; a late look costs a moment of idling.
  bool has_chunks() const noexcept { return chunks_.load(std::memory_order_relaxed) != 0; }
  // There is nothing to take for who comes by.
  bool wanted() const noexcept { return !has_chunks(); }
  // Somebody waits for it.
  bool hungry() const noexcept { return hungry_.load(std::memory_order_relaxed) != 0; }
  void begin_hunger() noexcept { hungry_.fetch_add(1, std::memory_order_relaxed); }
  void end_hunger() noexcept { hungry_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  // With lock_ held.
  Chunk* pop() noexcept;
  void push(Chunk* chunk) noexcept;
  Chunk* pop_empty() noexcept;

  const std::uint32_t capacity_;
  alignas(64) mutable base::SpinLock lock_;  // guards the next eight
  Chunk* given_ = nullptr;
  Chunk* empty_ = nullptr;
  std::size_t empties_ = 0;  // how many are in that list
  std::uint32_t working_ = 0;
  std::uint64_t gifts_ = 0;
  char* base_ = nullptr;
  std::size_t reserved_bytes_ = 0;
  std::size_t grown_bytes_ = 0;

  // Looked at by markers after every few objects, written rarely.
  alignas(64) std::atomic<std::uint32_t> hungry_{0};
  std::atomic<std::uint32_t> chunks_{0};  // in given_
};

}  // namespace tailrace::gc
