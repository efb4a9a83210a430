// The list of pools, and the turns. [pool.turns]
//
// A cleanup stands on an object that nothing reaches. The next cycle finds it dead, the cleanup runs on
// the finalizers' thread, puts another one up for the cycle after, and turns the pools: destructors of
// what pools drop may run there, which the collector's own thread must not do. Made while a cycle marks,
// such an object is black and found by the cycle after that one: a turn late, which drops nothing early.
#include "gcruntime/pool/pool_stats.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>

#include "gcruntime/base/annotations.h"
#include "gcruntime/base/check.h"
#include "gcruntime/gc/finalizer.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mutator.h"

namespace tailrace::gc {

// Never destroyed, so that static pools may end after it: all of it is trivial or leaked.
class PoolList {
 public:
  void add(PoolListing& listing) {
    const std::lock_guard guard(mutex());
    listing.next_ = first_;
    if (first_ != nullptr) first_->previous_ = &listing;
    first_ = &listing;
  }

  // Waits while the pool is turned: in a native scope, as a turn runs destructors, which may need a cycle.
  void remove(PoolListing& listing) {
    native([&] {
      std::unique_lock lock(mutex());
      turned().wait(lock, [&] { return !listing.turning_; });
      (listing.previous_ == nullptr ? first_ : listing.previous_->next_) = listing.next_;
      if (listing.next_ != nullptr) listing.next_->previous_ = listing.previous_;
    });
  }

  // One at a time, without the lock: the one under way stays listed meanwhile, so its next is known after.
  void turn() noexcept {
    std::unique_lock lock(mutex());
    for (PoolListing* listing = first_; listing != nullptr; listing = listing->next_) {
      if (listing->turn_ == nullptr) continue;
      listing->turning_ = true;
      lock.unlock();
      listing->turn_(listing->pool_);
      lock.lock();
      listing->turning_ = false;
      turned().notify_all();
    }
  }

  bool any_turns() noexcept {
    const std::lock_guard guard(mutex());
    const PoolListing* listing = first_;
    while (listing != nullptr && listing->turn_ == nullptr) listing = listing->next_;
    return listing != nullptr;
  }

  std::vector<PoolStats> read() {
    const std::lock_guard guard(mutex());
    std::vector<PoolStats> all;
    for (const PoolListing* listing = first_; listing != nullptr; listing = listing->next_) {
      all.push_back(listing->read_(listing->pool_));
      all.back().name = listing->name_;
    }
    return all;
  }

 private:
  static std::mutex& mutex() {
    static constinit std::mutex the_mutex;
    return the_mutex;
  }
  static std::condition_variable& turned() {
    alignas(std::condition_variable) static char memory[sizeof(std::condition_variable)];
    static auto* const condition = ::new (static_cast<void*>(memory)) std::condition_variable();
    return *condition;
  }

  PoolListing* first_ = nullptr;
};

namespace {

constinit PoolList list;
// A mark stands for the next cycle. Relaxed: who sees false sets one up, and one of several does.
constinit std::atomic<bool> marked{false};
constinit std::atomic<std::uint64_t> turns{0};

struct CycleMark {
  std::uint64_t unused = 0;
};
BOOST_DESCRIBE_STRUCT(CycleMark, (), (unused))

void note_cycle(int) noexcept;

// Leaves no word on the stack that would keep the mark alive for as long as the finalizers' thread sleeps
// above it: what the frames of add_mark were is overwritten.
TAILRACE_NOINLINE void add_mark() { add_cleanup(heap_make<CycleMark>(), &note_cycle, 0); }
TAILRACE_NOINLINE void overwrite_dead_frames() noexcept {
  volatile char bytes[2048];
  for (volatile char& byte : bytes) byte = 0;
}
void set_mark() {
  add_mark();
  overwrite_dead_frames();
}

void note_cycle(int) noexcept {
  // Where no pool is left no cycle does this again, until a get finds its pool empty. A pool that comes now is
  // seen by the second look, or was listed after it, and then its get sees that no mark stands.
  marked.store(false, std::memory_order_relaxed);
  if (list.any_turns()) {
    try {
      internal::ensure_pool_turns();
    } catch (const std::exception&) {
      // No memory even for that: the next get that finds its pool empty tries again.
    }
  }
  list.turn();
  turns.fetch_add(1, std::memory_order_release);  // pairs with pool_turns()'s acquire
}

}  // namespace

PoolListing::PoolListing(const char* name, void* pool, Read read, Turn turn)
    : name_(name), pool_(pool), read_(read), turn_(turn) {
  TAILRACE_CHECK(name != nullptr && name[0] != 0, "a pool has a name, for its metrics");
  list.add(*this);
}

PoolListing::~PoolListing() { list.remove(*this); }

std::vector<PoolStats> read_pool_stats() { return list.read(); }

void internal::ensure_pool_turns() {
  if (marked.load(std::memory_order_relaxed) || marked.exchange(true, std::memory_order_relaxed)) {
    return;
  }
  try {
    set_mark();
  } catch (...) {
    marked.store(false, std::memory_order_relaxed);
    throw;
  }
}

std::uint64_t internal::pool_turns() noexcept {
  // Acquire pairs with note_cycle's release: what the turn did is seen.
  return turns.load(std::memory_order_acquire);
}

}  // namespace tailrace::gc
