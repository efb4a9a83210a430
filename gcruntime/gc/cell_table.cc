#include "gcruntime/gc/cell_table.h"

#include <mutex>

#include "gcruntime/base/check.h"
#include "gcruntime/os/reserved_memory.h"

namespace tailrace::gc {
namespace {

void* tagged(void** next) noexcept {
  return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(next) | 1);
}
void** untagged(void* value) noexcept {
  return reinterpret_cast<void**>(reinterpret_cast<std::uintptr_t>(value) & ~std::uintptr_t{1});
}

}  // namespace

void CellTable::add_chunk() {
  auto* chunk = static_cast<Chunk*>(os::reserve_memory(kChunkBytes, os::kPageBytes));
  TAILRACE_CHECK(chunk != nullptr, what_);
  for (void*& cell : chunk->cells) {
    cell = tagged(free_);
    free_ = &cell;
  }
  chunk->next = chunks_.load(std::memory_order_relaxed);
  // Release pairs with for_each's acquire.
  chunks_.store(chunk, std::memory_order_release);
  chunk_count_.fetch_add(1, std::memory_order_relaxed);  // a level
}

void** CellTable::acquire(void* object) {
  const Section section;
  const std::lock_guard guard(lock_);
  if (free_ == nullptr) add_chunk();
  void** const cell = free_;
  std::atomic_ref<void*> word(*cell);
  // Relaxed: a free cell's word is written under the lock.
  free_ = untagged(word.load(std::memory_order_relaxed));
  // Release: the object's contents, for who visits the cell.
  word.store(object, std::memory_order_release);
  return cell;
}

void CellTable::release(void** cell) noexcept {
  const Section section;
  const std::lock_guard guard(lock_);
  // Relaxed: a visit sees the old object or a free cell, and either is right.
  std::atomic_ref<void*>(*cell).store(tagged(free_), std::memory_order_relaxed);
  free_ = cell;
}

}  // namespace tailrace::gc
