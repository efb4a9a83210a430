#include "gcruntime/gc/mark_queue.h"

#include <mutex>
#include <new>

#include "gcruntime/base/check.h"
#include "gcruntime/os/reserved_memory.h"

namespace tailrace::gc {
namespace {

constexpr std::size_t kReservationBytes = std::size_t{64} << 30;
constexpr std::size_t kSmallestReservationBytes = std::size_t{1} << 20;

}  // namespace

MarkQueue& MarkQueue::instance() {
  alignas(MarkQueue) static char memory[sizeof(MarkQueue)];
  static MarkQueue* const queue = ::new (static_cast<void*>(memory)) MarkQueue();
  return *queue;
}

MarkQueue::MarkQueue(std::uint32_t chunk_entries) : capacity_(chunk_entries) {
  TAILRACE_CHECK(chunk_entries > 0 && chunk_entries <= kChunkEntries, "entries of a chunk");
  // Address space may be short (a limit, an emulator): the queue is as deep as it can be had.
  for (std::size_t bytes = kReservationBytes;
       base_ == nullptr && bytes >= kSmallestReservationBytes; bytes /= 2) {
    base_ = static_cast<char*>(os::reserve_memory(bytes, os::kPageBytes));
    reserved_bytes_ = bytes;
  }
  TAILRACE_CHECK(base_ != nullptr,
                 "no address space for the mark queue: allow the process more (ulimit -v)");
}

MarkQueue::~MarkQueue() { os::release_reservation(base_, reserved_bytes_); }

MarkQueue::Chunk* MarkQueue::pop_empty() noexcept {
  if (empty_ != nullptr) {
    Chunk* chunk = empty_;
    empty_ = chunk->next;
    --empties_;
    return chunk;
  }
  TAILRACE_CHECK(grown_bytes_ < reserved_bytes_,
                 "the mark queue is full: allow the process more address space (ulimit -v)");
  auto* chunk = reinterpret_cast<Chunk*>(base_ + grown_bytes_);
  grown_bytes_ += kChunkBytes;
  chunk->count = 0;
  return chunk;
}

void MarkQueue::push(Chunk* chunk) noexcept {
  chunk->next = given_;
  given_ = chunk;
  ++gifts_;
  // Relaxed: advice; the lock orders all else.
  chunks_.fetch_add(1, std::memory_order_relaxed);
}

MarkQueue::Chunk* MarkQueue::pop() noexcept {
  Chunk* chunk = given_;
  if (chunk == nullptr) return nullptr;
  given_ = chunk->next;
  // Relaxed: as in push.
  chunks_.fetch_sub(1, std::memory_order_relaxed);
  return chunk;
}

MarkQueue::Chunk* MarkQueue::take_empty() noexcept {
  const std::lock_guard guard(lock_);
  return pop_empty();
}

void MarkQueue::give_empty(Chunk* chunk) noexcept {
  TAILRACE_DCHECK(chunk->count == 0, "entries in an empty chunk");
  const std::lock_guard guard(lock_);
  chunk->next = empty_;
  empty_ = chunk;
  ++empties_;
}

void MarkQueue::give(Chunk* chunk) noexcept {
  TAILRACE_DCHECK(chunk->count > 0 && chunk->count <= capacity_, "a chunk without entries");
  const std::lock_guard guard(lock_);
  push(chunk);
}

void MarkQueue::add(const std::uintptr_t* slots, std::size_t count) noexcept {
  const std::lock_guard guard(lock_);
  for (std::size_t i = 0; i < count; ++i) {
    if (given_ == nullptr || given_->count == capacity_) push(pop_empty());
    given_->entries[given_->count++] = {slots[i], 0};
  }
  ++gifts_;
}

MarkQueue::Chunk* MarkQueue::take() noexcept {
  const std::lock_guard guard(lock_);
  TAILRACE_DCHECK(working_ > 0, "entries are taken by a marker that is not counted in");
  return pop();
}

bool MarkQueue::drained() const noexcept {
  const std::lock_guard guard(lock_);
  return given_ == nullptr && working_ == 0;
}

std::uint64_t MarkQueue::given() const noexcept {
  const std::lock_guard guard(lock_);
  return gifts_;
}

std::size_t MarkQueue::sys_bytes() const noexcept {
  const std::lock_guard guard(lock_);
  return grown_bytes_;
}

void MarkQueue::trim(std::size_t keep_bytes) noexcept {
  keep_bytes = (keep_bytes + kChunkBytes - 1) / kChunkBytes * kChunkBytes;
  std::size_t grown = 0;
  {
    const std::lock_guard guard(lock_);
    if (grown_bytes_ <= keep_bytes || empties_ != grown_bytes_ / kChunkBytes) return;
    grown = grown_bytes_;
    Chunk* kept = nullptr;
    std::size_t count = 0;
    Chunk* next = nullptr;
    for (Chunk* chunk = empty_; chunk != nullptr; chunk = next) {
      next = chunk->next;
      if (reinterpret_cast<char*>(chunk) >= base_ + keep_bytes) continue;
      chunk->next = kept;
      kept = chunk;
      ++count;
    }
    empty_ = kept;
    empties_ = count;
  }
  // Not under the lock: the kernel may take a millisecond. The chunks are on no list, so nobody's.
  os::decommit_memory(base_ + keep_bytes, grown - keep_bytes);
  const std::lock_guard guard(lock_);
  if (grown_bytes_ == grown) {
    grown_bytes_ = keep_bytes;
    return;
  }
  // Somebody needed more meanwhile, and got it behind them.
  for (std::size_t at = keep_bytes; at < grown; at += kChunkBytes) {
    auto* chunk = reinterpret_cast<Chunk*>(base_ + at);
    chunk->next = empty_;
    empty_ = chunk;
    ++empties_;
  }
}

void MarkQueue::enter() noexcept {
  const std::lock_guard guard(lock_);
  ++working_;
}

void MarkQueue::leave() noexcept {
  const std::lock_guard guard(lock_);
  TAILRACE_DCHECK(working_ > 0, "a marker leaves that was not counted in");
  --working_;
}

MarkQueue::Chunk* MarkQueue::take_or_leave() noexcept {
  const std::lock_guard guard(lock_);
  Chunk* chunk = pop();
  if (chunk == nullptr) --working_;
  return chunk;
}

MarkQueue::Chunk* MarkQueue::take_and_enter() noexcept {
  const std::lock_guard guard(lock_);
  Chunk* chunk = pop();
  if (chunk != nullptr) ++working_;
  return chunk;
}

}  // namespace tailrace::gc
