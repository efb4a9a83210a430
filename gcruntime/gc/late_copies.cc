#include "gcruntime/gc/late_copies.h"

#include <algorithm>
#include <mutex>

#include "gcruntime/base/check.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/stack_copy.h"
#include "gcruntime/os/reserved_memory.h"

namespace tailrace::gc {

LateCopies& LateCopies::instance() {
  static constinit LateCopies copies;
  return copies;
}

void LateCopies::reserve() noexcept {
  auto* const base = static_cast<char*>(os::reserve_memory(kChunks * kChunkBytes, os::kPageBytes));
  TAILRACE_CHECK(base != nullptr, "no address space for copies of stacks: raise ulimit -v");
  for (std::size_t i = 0; i < kChunks; ++i) {
    chunks_[i].words = reinterpret_cast<std::uintptr_t*>(base + i * kChunkBytes);
    chunks_[i].next = i + 1 < kChunks ? &chunks_[i + 1] : nullptr;
  }
  give(free_, &chunks_[0]);
}

// In a section if the thread is attached: nobody is stopped with the lock.
LateCopies::Chunk* LateCopies::take_free(std::size_t most) noexcept {
  const std::lock_guard guard(lock_);
  Chunk* const first = free_;
  Chunk** link = &free_;
  while (most-- > 0 && *link != nullptr) link = &(*link)->next;
  if (link == &free_) return nullptr;
  free_ = *link;
  *link = nullptr;
  return first;
}

LateCopies::Chunk* LateCopies::take_pending() noexcept {
  const std::lock_guard guard(lock_);
  return std::exchange(pending_, nullptr);
}

// The first of them stays the first.
void LateCopies::give(Chunk*& list, Chunk* chunks) noexcept {
  if (chunks == nullptr) return;
  Chunk* last = chunks;
  while (last->next != nullptr) last = last->next;
  const std::lock_guard guard(lock_);
  last->next = list;
  list = chunks;
}

std::uintptr_t LateCopies::add(std::uintptr_t low, std::uintptr_t high) noexcept {
  Chunk* const taken = take_free((high - low + kChunkBytes - 1) / kChunkBytes);
  for (Chunk* each = taken; each != nullptr; each = each->next) {
    each->count = std::min<std::size_t>(high - low, kChunkBytes) / sizeof(std::uintptr_t);
    each->touched = true;
    copy_stack_words(each->words, low, each->count);
    low += each->count * sizeof(std::uintptr_t);
  }
  give(pending_, taken);
  return low;
}

void LateCopies::trim() noexcept {
  Chunk* all = nullptr;
  {
    const Section section;
    all = take_free(kChunks);
  }
  // In no section and without the lock, as nobody waits for the kernel. A worker that comes meanwhile finds
  // no room.
  for (Chunk* each = all; each != nullptr; each = each->next) {
    if (!std::exchange(each->touched, false) || each == &chunks_[0]) continue;
    os::decommit_memory(each->words, kChunkBytes);
  }
  const Section section;
  give(free_, all);
}

}  // namespace tailrace::gc
