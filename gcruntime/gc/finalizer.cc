// The table of watched objects, the ready queue and the thread that runs it. [gc.finalizer]
//
// An entry is free, watching, ready or running. Only the collector makes it ready, only the one runner runs
// it; all steps are under the table's lock, which the collector takes for a few entries at a time.
//
// Why resurrection needs no further round: it comes after the weak pass, when all that is unmarked is
// unreachable, weak references included. So no mutator has, or can come by, a pointer into what is now
// marked: nobody stores into it or takes a child out of it while it is drained. Were it done before the
// cut-over, a weak load could give an object whose destructor is about to run. The price: a weak reference
// to anything that only a dying finalized object reaches is null from then on.
//
// A ready object is a root until its destructor has returned. The runner takes it from its entry to its own
// stack, a deletion that no barrier sees; that is as with any root: the stack is scanned in a later round.
//
// All of the dead are taken at once, reachable from each other or not. Taking only those that no other
// reaches, as Go does, never frees a cycle (a child that knows its parent is one), and in C++ a destructor
// that never runs is the worse surprise.
#include "gcruntime/gc/finalizer.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "gcruntime/gc/escape.h"
#include "gcruntime/gc/marker.h"
#include "gcruntime/gc/memory_wait.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/os/reserved_memory.h"

namespace tailrace::gc {

namespace internal {
struct WatchedObject {
  enum class State : std::uint8_t { kFree, kWatching, kReady, kRunning };

  void* object;
  WatchedObject* next;  // free, or ready
  std::uint64_t number;
  FinalizerCall call;
  State state;
  bool finalizer;  // else a cleanup
  alignas(16) unsigned char argument[kFinalizerArgumentBytes];
};
}  // namespace internal

namespace {

using Watched = internal::WatchedObject;
using State = Watched::State;

constexpr std::size_t kChunkBytes = 64 * 1024;
constexpr std::size_t kBatch = 64;  // entries that the collector looks at under the lock

constexpr std::size_t kEntries = kChunkBytes / sizeof(Watched) - 1;  // the rest: next

struct Chunk {
  Chunk* next;
  Watched entries[kEntries];
};
static_assert(sizeof(Chunk) <= kChunkBytes);

// Guards all below but `chunks`. Taken inside sections only.
constinit SectionLock table_lock;
// Only ever grows. Release by add_chunk, acquire by the collector's walks.
constinit std::atomic<Chunk*> chunks{nullptr};
constinit Watched* free_entries = nullptr;
constinit Watched* ready_first = nullptr;
constinit Watched* ready_last = nullptr;
constinit std::uint64_t last_number = 0;
constinit bool run_under_way = false;
constinit FinalizerStats stats;
constinit std::uint64_t finalizers_standing = 0;
constinit std::uint64_t cleanups_standing = 0;

class TableLock {
 public:
  TableLock() noexcept { table_lock.lock(); }
  ~TableLock() { table_lock.unlock(); }
  TableLock(const TableLock&) = delete;
  TableLock& operator=(const TableLock&) = delete;

 private:
  Section section_;  // left after the lock
};

void add_chunk() {
  auto* chunk = static_cast<Chunk*>(os::reserve_memory(kChunkBytes, os::kPageBytes));
  TAILRACE_CHECK(chunk != nullptr, "no memory for the table of finalizers");
  // Fresh pages: all entries are kFree.
  for (Watched& entry : chunk->entries) {
    entry.next = free_entries;
    free_entries = &entry;
  }
  chunk->next = chunks.load(std::memory_order_relaxed);
  chunks.store(chunk, std::memory_order_release);
  stats.table_bytes += kChunkBytes;
}

void free_entry(Watched& entry) noexcept {
  entry.object = nullptr;
  entry.state = State::kFree;
  entry.next = free_entries;
  free_entries = &entry;
}

// Calls f(entry) for all entries, some at a time under the lock, and `between` in the pauses.
template <typename F, typename Between>
void for_each_entry(F&& f, Between&& between) noexcept {
  for (Chunk* chunk = chunks.load(std::memory_order_acquire); chunk != nullptr;
       chunk = chunk->next) {
    for (std::size_t first = 0; first < kEntries; first += kBatch) {
      {
        const TableLock lock;
        const std::size_t end = std::min(first + kBatch, kEntries);
        for (std::size_t i = first; i < end; ++i) f(chunk->entries[i]);
      }
      between();
    }
  }
}

bool is_dead(void* object) noexcept {
  const heap::ObjectPlace place = heap::find_object(reinterpret_cast<std::uintptr_t>(object));
  TAILRACE_CHECK_VALUE(place.slot != 0,
                       "a finalizer's object was freed before it ran; its address:",
                       reinterpret_cast<std::uintptr_t>(object));
  return !place.marked();
}

// The newest first. By merging, as the collector has no memory to spare.
Watched* sorted(Watched* list) noexcept {
  if (list == nullptr || list->next == nullptr) return list;
  Watched* half = list;
  for (Watched* end = list->next; end != nullptr && end->next != nullptr; end = end->next->next) {
    half = half->next;
  }
  Watched* right = sorted(std::exchange(half->next, nullptr));
  Watched* left = sorted(list);
  Watched* first = nullptr;
  for (Watched** last = &first;; last = &(*last)->next) {
    if (left == nullptr || right == nullptr) {
      *last = left != nullptr ? left : right;
      return first;
    }
    Watched*& newer = left->number > right->number ? left : right;
    *last = newer;
    newer = newer->next;
  }
}

// Takes the dead of one kind out of the watched; they are ready, and on no queue yet.
Watched* take_dead(bool finalizers) noexcept {
  {
    const TableLock lock;
    if ((finalizers ? finalizers_standing : cleanups_standing) == 0) return nullptr;
  }
  Watched* dead = nullptr;
  for_each_entry(
      [&](Watched& entry) {
        if (entry.state != State::kWatching || entry.finalizer != finalizers) return;
        if (!is_dead(entry.object)) return;
        entry.state = State::kReady;
        entry.next = dead;
        dead = &entry;
      },
      [] {});
  return sorted(dead);
}

std::size_t make_ready(Watched* dead, bool finalizers) noexcept {
  if (dead == nullptr) return 0;
  std::size_t count = 1;
  Watched* last = dead;
  for (; last->next != nullptr; last = last->next) ++count;
  const TableLock lock;
  (ready_last == nullptr ? ready_first : ready_last->next) = dead;
  ready_last = last;
  (finalizers ? finalizers_standing : cleanups_standing) -= count;
  (finalizers ? stats.finalizers_queued : stats.cleanups_queued) += count;
  return count;
}

Watched* next_ready() noexcept {
  const TableLock lock;
  Watched* entry = ready_first;
  if (entry == nullptr) {
    run_under_way = false;
    return nullptr;
  }
  ready_first = entry->next;
  if (ready_first == nullptr) ready_last = nullptr;
  entry->state = State::kRunning;
  return entry;
}

void call(Watched& entry) noexcept {
  try {
    entry.call(entry.object, entry.argument);
  } catch (...) {
    TAILRACE_CHECK(false, "an exception escaped a finalizer or a cleanup: catch it inside");
  }
}

// Runs what is ready, and what becomes so meanwhile; one at a time, whoever else comes leaves at once.
void run_ready() {
  static_cast<void>(mutator());
  {
    const TableLock lock;
    if (run_under_way) return;
    run_under_way = true;
  }
  while (Watched* entry = next_ready()) {
    call(*entry);
    const TableLock lock;
    ++(entry->finalizer ? stats.finalizers_executed : stats.cleanups_executed);
    free_entry(*entry);
  }
}

class FinalizerThread {
 public:
  static FinalizerThread& instance() {
    // Never destroyed: the thread runs until the process ends.
    alignas(FinalizerThread) static char memory[sizeof(FinalizerThread)];
    static FinalizerThread* const thread = ::new (static_cast<void*>(memory)) FinalizerThread();
    return *thread;
  }

  void wake() noexcept {
    const std::lock_guard guard(mutex_);
    if (!started_) {
      try {
        std::thread([this] { run(); }).detach();
        started_ = true;
      } catch (const std::system_error&) {
        return;  // no thread can be had: the next cycle tries again
      }
    }
    wanted_ = true;
    work_.notify_one();
  }

 private:
  [[noreturn]] void run() {
    ::pthread_setname_np(::pthread_self(), "tailrace-final");
    const ThreadScope scope;
    // What it releases may be what others wait for, and what escapes from it stops the program.
    const MemoryReserve reserve;
    for (;;) {
      native([this] {
        std::unique_lock lock(mutex_);
        work_.wait(lock, [this] { return wanted_; });
        wanted_ = false;
      });
      run_ready();
    }
  }

  std::mutex mutex_;  // guards all below
  std::condition_variable work_;
  bool started_ = false;
  bool wanted_ = false;
};

constinit std::atomic<void (*)(RunReady)> finalizer_runner{nullptr};

}  // namespace

Cleanup internal::watch(void* object, bool finalizer, FinalizerCall call, const void* argument,
                        std::size_t argument_bytes) {
  static_cast<void>(mutator());
  fade(object);  // the table knows it by its address, until a cycle finds it dead
  const auto address = reinterpret_cast<std::uintptr_t>(object);
  TAILRACE_CHECK_VALUE(heap::contains(address) && heap::find_object(address).slot != 0,
                       "a cleanup of something that is not on the collected heap:", address);
  Cleanup cleanup;
  const TableLock lock;
  if (free_entries == nullptr) add_chunk();
  Watched& entry = *free_entries;
  free_entries = entry.next;
  entry.object = object;
  entry.number = ++last_number;
  entry.call = call;
  entry.finalizer = finalizer;
  if (argument_bytes > 0) std::memcpy(entry.argument, argument, argument_bytes);
  entry.state = State::kWatching;
  ++(finalizer ? finalizers_standing : cleanups_standing);
  cleanup.watched_ = &entry;
  cleanup.number_ = entry.number;
  return cleanup;
}

bool Cleanup::stop() noexcept {
  if (watched_ == nullptr) return false;
  const TableLock lock;
  if (watched_->number != number_ || watched_->state != State::kWatching) return false;
  --cleanups_standing;
  free_entry(*watched_);
  return true;
}

void set_finalizer_runner(void (*runner)(RunReady)) noexcept {
  // Release pairs with notify_finalizers's acquire.
  finalizer_runner.store(runner, std::memory_order_release);
  // What the old one was told of and did not run.
  native([] { notify_finalizers(); });
}

FinalizerStats read_finalizer_stats() noexcept {
  const TableLock lock;
  FinalizerStats told = stats;
  told.watched = finalizers_standing + cleanups_standing;
  return told;
}

void for_each_finalizer_root(VisitRoot visit, void* visitor) noexcept {
  {
    const TableLock lock;
    if (stats.finalizers_queued == stats.finalizers_executed) return;
  }
  // Visited outside the lock. The runner may be done with one meanwhile; it is still allocated, as no sweep
  // comes before the cycle's end.
  void* found[kBatch];
  std::size_t count = 0;
  for_each_entry(
      [&](Watched& entry) {
        const bool pending = entry.state == State::kReady || entry.state == State::kRunning;
        if (pending && entry.finalizer) found[count++] = entry.object;
      },
      [&] {
        for (; count > 0; --count) visit(visitor, found[count - 1]);
      });
}

std::size_t queue_dead_finalizable(Marker& marker) noexcept {
  // All are found before the first is shaded, which may reach others.
  Watched* const dead = take_dead(true);
  for (Watched* entry = dead; entry != nullptr; entry = entry->next) marker.shade(entry->object);
  return make_ready(dead, true);
}

std::size_t queue_dead_cleanups() noexcept {
  Watched* const dead = take_dead(false);
  for (Watched* entry = dead; entry != nullptr; entry = entry->next) entry->object = nullptr;
  return make_ready(dead, false);
}

void notify_finalizers() noexcept {
  {
    const TableLock lock;
    if (ready_first == nullptr) return;
  }
  // Acquire pairs with set_finalizer_runner's release.
  if (auto* const runner = finalizer_runner.load(std::memory_order_acquire)) {
    runner(&run_ready);
  } else {
    FinalizerThread::instance().wake();
  }
}

}  // namespace tailrace::gc
