#include "gcruntime/gc/root.h"

#include <atomic>
#include <mutex>

#include "gcruntime/gc/root_table.h"
#include "gcruntime/os/reserved_memory.h"

namespace tailrace::gc {
namespace {

constexpr std::size_t kChunkBytes = 64 * 1024;

struct Chunk {
  Chunk* next;
  void* cells[kChunkBytes / sizeof(void*) - 1];
};
static_assert(sizeof(Chunk) == kChunkBytes);

// Taken inside sections only, so free whenever the world is stopped.
constinit SectionLock table_lock;
// Only ever grows. Release by add_chunk, acquire by the scan, which takes no lock.
constinit std::atomic<Chunk*> chunks{nullptr};
constinit void** free_cells = nullptr;
constinit std::size_t chunk_count = 0;

void* tagged(void** next) {
  return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(next) | 1);
}
void** untagged(void* value) {
  return reinterpret_cast<void**>(reinterpret_cast<std::uintptr_t>(value) & ~std::uintptr_t{1});
}
bool is_free(void* value) { return (reinterpret_cast<std::uintptr_t>(value) & 1) != 0; }

void add_chunk() {
  auto* chunk = static_cast<Chunk*>(os::reserve_memory(kChunkBytes, os::kPageBytes));
  TAILRACE_CHECK(chunk != nullptr, "no memory for the root table");
  for (void*& cell : chunk->cells) {
    cell = tagged(free_cells);
    free_cells = &cell;
  }
  chunk->next = chunks.load(std::memory_order_relaxed);
  chunks.store(chunk, std::memory_order_release);
  ++chunk_count;
}

}  // namespace

namespace internal {

void** acquire_root_cell() {
  const Section section;
  const std::lock_guard guard(table_lock);
  if (free_cells == nullptr) add_chunk();
  void** cell = free_cells;
  free_cells = untagged(*cell);
  // Atomic, relaxed: a scan may read the cell now.
  std::atomic_ref<void*>(*cell).store(nullptr, std::memory_order_relaxed);
  return cell;
}

void release_root_cell(void** cell) noexcept {
  // Not only by attached threads: a static Root ends when main's ThreadScope is long gone. Such a thread
  // may write the cell while the collector reads it, hence the atomic store.
  const Section section;
  const std::lock_guard guard(table_lock);
  // Relaxed: the scan sees the old object or a free cell, and either is right.
  std::atomic_ref<void*>(*cell).store(tagged(free_cells), std::memory_order_relaxed);
  free_cells = cell;
}

}  // namespace internal

void for_each_root(VisitRoot visit, void* visitor) noexcept {
  // Mutators may write cells meanwhile: a cell is seen before or after, and what is written shades.
  for (Chunk* chunk = chunks.load(std::memory_order_acquire); chunk != nullptr;
       chunk = chunk->next) {
    for (void*& cell : chunk->cells) {
      // Acquire pairs with gc::store's release: the object's header is visible.
      void* value = std::atomic_ref<void*>(cell).load(std::memory_order_acquire);
      if (value != nullptr && !is_free(value)) visit(visitor, value);
    }
  }
}

std::size_t root_table_bytes() noexcept { return chunk_count * kChunkBytes; }

}  // namespace tailrace::gc
