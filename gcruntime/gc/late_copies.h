// Copies of deep stacks that workers made at the switch because the open round lacked them [gc.late]: the
// worker copies, which takes tens of microseconds, and the collector scans.
//
// A pool of chunks in memory of its own; a copy is as many of them as it takes. A chunk is in one place at
// any moment: free, with the worker that fills it, pending, or with the collector that reads it. So no
// copy belongs to a thread, and one that ends leaves nothing behind. The pool is bounded: what finds no
// room is scanned by the worker after all.
//
// add() in flagged sections of any attached thread, half a nanosecond a word, and several for one whose page
// is not there: 1 to 2 ms for the deepest stack, of 8 MiB, which is what a handshake may have to wait. The
// rest by the collector's thread, trim() by any in no section. The lock is held for a few instructions a
// chunk.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "gcruntime/base/spin_lock.h"

namespace tailrace::gc {

class LateCopies {
 public:
  static constexpr std::size_t kChunkBytes = std::size_t{32} << 10;
  static constexpr std::size_t kChunks = 512;

  static LateCopies& instance();
  constexpr LateCopies() = default;
  LateCopies(const LateCopies&) = delete;
  LateCopies& operator=(const LateCopies&) = delete;

  // Address space for all chunks; until then there is room for nothing. Once.
  void reserve() noexcept;

  // Copies the words of [low, high), both aligned, as far as there is room. Where that ended; what lies
  // below is pending when it returns.
  std::uintptr_t add(std::uintptr_t low, std::uintptr_t high) noexcept;

  // Calls scan(low, high) with all that is pending, which is then free. False: there was nothing.
  template <typename Scan>
  bool take(Scan&& scan) noexcept {
    Chunk* const taken = take_pending();
    for (const Chunk* each = taken; each != nullptr; each = each->next) {
      scan(each->words, each->words + each->count);
    }
    give(free_, taken);
    return taken != nullptr;
  }

  // Gives the memory of free chunks back to the kernel, all but the first one's.
  void trim() noexcept;

 private:
  struct Chunk {
    Chunk* next = nullptr;
    std::uintptr_t* words = nullptr;
    std::size_t count = 0;
    bool touched = false;  // since it was given back
  };

  Chunk* take_free(std::size_t most) noexcept;
  Chunk* take_pending() noexcept;
  void give(Chunk*& list, Chunk* chunks) noexcept;

  base::SpinLock lock_;    // guards the two lists
  Chunk* free_ = nullptr;  // those used last come first
  Chunk* pending_ = nullptr;
  std::array<Chunk, kChunks> chunks_;
};

}  // namespace tailrace::gc
