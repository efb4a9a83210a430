#include "handlers/store.h"

#include <algorithm>

namespace tailrace::api {

Store::Store()
    : table_(gc::heap_make<UserTable>()),
      live_(std::make_unique<std::atomic<std::int64_t>[]>(kMaxChunks)) {}

std::size_t Store::used_chunks() const noexcept {
  // Relaxed: ids given out from now on need not be met. A full store still counts up.
  const std::int64_t ids = std::min(next_id_.load(std::memory_order_relaxed), kMaxUsers);
  return (static_cast<std::size_t>(ids) + kUsersPerChunk - 1) / kUsersPerChunk;
}

gc::Atomic<User>* Store::place(std::int64_t id) const noexcept {
  if (id < 0 || id >= kMaxUsers) return nullptr;
  const auto index = static_cast<std::size_t>(id);
  UserChunk* chunk = table_->chunks[index / kUsersPerChunk].load();
  return chunk == nullptr ? nullptr : &chunk->users[index % kUsersPerChunk];
}

gc::Atomic<User>& Store::place_or_new(std::int64_t id) {
  const auto index = static_cast<std::size_t>(id);
  gc::Atomic<UserChunk>& slot = table_->chunks[index / kUsersPerChunk];
  UserChunk* chunk = slot.load();
  if (chunk == nullptr) {
    UserChunk* fresh = gc::heap_make<UserChunk>();
    // Two writers may meet here: the first one's chunk stays.
    chunk = slot.compare_exchange(chunk, fresh) ? fresh : chunk;
  }
  return chunk->users[index % kUsersPerChunk];
}

User* Store::find(std::int64_t id) const noexcept {
  const gc::Atomic<User>* slot = place(id);
  return slot == nullptr ? nullptr : slot->load();
}

std::int64_t Store::next_id() noexcept {
  // Relaxed: an id is only a number; insert publishes.
  const std::int64_t id = next_id_.fetch_add(1, std::memory_order_relaxed);
  if (id < kMaxUsers) return id;
  // Full: keep the counter from running away.
  next_id_.store(kMaxUsers, std::memory_order_relaxed);
  return -1;
}

void Store::insert(User* user) {
  place_or_new(user->id).store(user);
  // Relaxed: counts, read as estimates.
  live_[static_cast<std::size_t>(user->id) / kUsersPerChunk].fetch_add(1,
                                                                       std::memory_order_relaxed);
  size_.fetch_add(1, std::memory_order_relaxed);
}

bool Store::replace(User* user) noexcept {
  gc::Atomic<User>* slot = place(user->id);
  if (slot == nullptr) return false;
  for (User* old = slot->load(); old != nullptr;) {
    if (slot->compare_exchange(old, user)) return true;
  }
  return false;
}

bool Store::erase(std::int64_t id) noexcept {
  gc::Atomic<User>* slot = place(id);
  if (slot == nullptr || slot->exchange(nullptr) == nullptr) return false;
  // Relaxed: counts, read as estimates.
  live_[static_cast<std::size_t>(id) / kUsersPerChunk].fetch_sub(1, std::memory_order_relaxed);
  size_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

}  // namespace tailrace::api
