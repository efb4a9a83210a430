// What the pools of a process tell: each is listed by its name from its making to its end, and whoever
// wants to know (metrics) reads them all. A pool of another kind (server/buffer.h) lists itself too.
//
// [pool.turns] The list is also how pools learn that a collection cycle has ended: turn() of each is
// called after a cycle, on the finalizers' thread, one pool after the other. At most one turn a cycle;
// cycles that follow each other at once may share one.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace tailrace::gc {

// Counts since the pool was made, and levels. Read one by one while others count: exact when nobody does.
struct PoolStats {
  std::string_view name;
  std::uint64_t hits = 0;          // gets that found an item in the pool
  std::uint64_t misses = 0;        // gets that did not
  std::uint64_t kept = 0;          // puts
  std::uint64_t dropped_size = 0;  // puts of an item that had grown too large
  std::uint64_t dropped_full = 0;  // puts for which there was no room
  std::uint64_t evicted = 0;       // items that two turns passed by unused
  std::uint64_t turns = 0;         // of generations, one a cycle
  std::uint64_t items = 0;         // in the pool now
  std::uint64_t bytes = 0;         // of these
  std::uint64_t in_use = 0;        // items that are out now

  std::uint64_t gets() const noexcept { return hits + misses; }
  std::uint64_t puts() const noexcept { return kept + dropped(); }
  std::uint64_t dropped() const noexcept { return dropped_size + dropped_full; }
};

// Lists a pool for as long as it lives. Made last and destroyed first of a pool's parts: `read` and
// `turn` may be called in between, on any thread and on an attached one.
class PoolListing {
 public:
  using Read = PoolStats (*)(const void* pool);
  using Turn = void (*)(void* pool) noexcept;

  // `name` outlives it: a literal. `turn` may be null. Static pools are listed before main.
  PoolListing(const char* name, void* pool, Read read, Turn turn);
  ~PoolListing();
  PoolListing(const PoolListing&) = delete;
  PoolListing& operator=(const PoolListing&) = delete;

  const char* name() const noexcept { return name_; }

 private:
  friend class PoolList;

  const char* const name_;
  void* const pool_;
  const Read read_;
  const Turn turn_;
  // Under the list's lock.
  PoolListing* next_ = nullptr;
  PoolListing* previous_ = nullptr;
  bool turning_ = false;
};

// All that are listed, two of one name as two. Any thread.
std::vector<PoolStats> read_pool_stats();

namespace internal {
// Sees to it that turns come after cycles from now on. Attached threads; may wait for memory and throw
// what make() throws. One load once they do.
void ensure_pool_turns();
// How often all pools were turned. Any thread.
std::uint64_t pool_turns() noexcept;
}  // namespace internal

}  // namespace tailrace::gc
