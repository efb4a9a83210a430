// The store of users that all three styles share: managed users by id, published immutable.
//
// Ids are dense, so the index is two levels of arrays of Atomic pointers. Readers take no lock: two
// acquire loads. A writer builds a whole new user and swaps it in; whoever replaces and erases the same
// id at once is ordered by compare-and-exchange. Chunks are never taken away. Any fiber or attached thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "handlers/user.h"

namespace tailrace::api {

// 2047 words and the object's header fill a slot of 16 KiB.
inline constexpr std::size_t kUsersPerChunk = 2047;
inline constexpr std::size_t kMaxChunks = 2047;

struct UserChunk {
  std::array<gc::Atomic<User>, kUsersPerChunk> users;
};
BOOST_DESCRIBE_STRUCT(UserChunk, (), (users))

struct UserTable {
  std::array<gc::Atomic<UserChunk>, kMaxChunks> chunks;
};
BOOST_DESCRIBE_STRUCT(UserTable, (), (chunks))

class Store {
 public:
  static constexpr std::int64_t kMaxUsers = std::int64_t{kUsersPerChunk} * kMaxChunks;

  Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // The user, or null. Keep it as long as you like: it does not change.
  User* find(std::int64_t id) const noexcept;
  // A new id, or -1 when kMaxUsers have been given out; publish its user with insert.
  std::int64_t next_id() noexcept;
  void insert(User* user);
  // Replaces the user of user->id; false if there is none.
  bool replace(User* user) noexcept;
  bool erase(std::int64_t id) noexcept;

  std::int64_t size() const noexcept {
    // Relaxed: a count that others change.
    return size_.load(std::memory_order_relaxed);
  }
  // Visits up to `limit` users in the order of their ids, after the first `offset` of them. Users that
  // come and go meanwhile are met or not.
  template <typename F>
  void visit(std::int64_t offset, std::int64_t limit, F&& f) const {
    // Relaxed: chunks made from now on need not be met.
    const std::size_t chunks = used_chunks();
    for (std::size_t c = 0; c < chunks && limit > 0; ++c) {
      const std::int64_t live = live_[c].load(std::memory_order_relaxed);
      if (offset >= live) {
        offset -= live;
        continue;
      }
      const UserChunk* chunk = table_->chunks[c].load();
      for (std::size_t i = 0; chunk != nullptr && i < kUsersPerChunk && limit > 0; ++i) {
        User* user = chunk->users[i].load();
        if (user == nullptr || offset-- > 0) continue;
        offset = 0;
        f(*user);
        --limit;
      }
    }
  }

 private:
  gc::Atomic<User>* place(std::int64_t id) const noexcept;
  gc::Atomic<User>& place_or_new(std::int64_t id);
  std::size_t used_chunks() const noexcept;

  gc::Root<UserTable> table_;
  std::unique_ptr<std::atomic<std::int64_t>[]> live_;  // users in each chunk
  std::atomic<std::int64_t> next_id_{0};
  std::atomic<std::int64_t> size_{0};
};

}  // namespace tailrace::api
