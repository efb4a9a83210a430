// Cells for pointers to managed objects, outside the heap: what a Root and a Weak refer to. Chunks of
// words that are never given back; a free cell holds the next free one's address with the lowest bit set,
// which nobody takes for an object.
//
// Thread-safe. Cells are taken and given under a lock, inside sections; the collector visits them without
// it, beside threads that write them: it sees each cell before or after a write.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gcruntime/gc/mutator.h"

namespace tailrace::gc {

class CellTable {
 public:
  // `what` is in the message that stops the program when there is no memory.
  constexpr explicit CellTable(const char* what) noexcept : what_(what) {}

  // A cell that holds `object`.
  void** acquire(void* object);
  // Any thread, also one that is not attached any more: a static Root ends after main's ThreadScope.
  void release(void** cell) noexcept;

  // visit(word, object) for each cell that holds one, `word` being its atomic_ref.
  template <typename Visit>
  void for_each(Visit&& visit) noexcept {
    // Acquire pairs with add_chunk's release.
    for (Chunk* chunk = chunks_.load(std::memory_order_acquire); chunk != nullptr;
         chunk = chunk->next) {
      for (void*& cell : chunk->cells) {
        std::atomic_ref<void*> word(cell);
        // Acquire pairs with the release by which an object is stored: its header is visible.
        void* const object = word.load(std::memory_order_acquire);
        if (object != nullptr && !is_free(object)) visit(word, object);
      }
    }
  }
  std::size_t bytes() const noexcept {
    return chunk_count_.load(std::memory_order_relaxed) * kChunkBytes;  // a level
  }

 private:
  static constexpr std::size_t kChunkBytes = 64 * 1024;
  struct Chunk {
    Chunk* next;
    void* cells[kChunkBytes / sizeof(void*) - 1];
  };
  static_assert(sizeof(Chunk) == kChunkBytes);

  static bool is_free(void* value) noexcept {
    return (reinterpret_cast<std::uintptr_t>(value) & 1) != 0;
  }
  void add_chunk();

  const char* const what_;
  SectionLock lock_;  // guards free_, and the words of free cells
  void** free_ = nullptr;
  std::atomic<Chunk*> chunks_{nullptr};  // only ever grows
  std::atomic<std::size_t> chunk_count_{0};
};

}  // namespace tailrace::gc
