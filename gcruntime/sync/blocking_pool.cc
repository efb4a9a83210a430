#include "gcruntime/sync/blocking_pool.h"

#include <pthread.h>
#include <algorithm>
#include <exception>
#include <mutex>
#include <new>
#include <thread>

#include "gcruntime/base/check.h"
#include "gcruntime/fiber/current_worker.h"
#include "gcruntime/fiber/fiber_record.h"
#include "gcruntime/fiber/futex.h"
#include "gcruntime/os/clock.h"
#include "gcruntime/sync/claimed_wait.h"

namespace tailrace::fiber {

using internal::BlockingCall;

// The record of a thread; it outlives it, and a later thread uses it again.
struct BlockingPool::Thread {
  std::thread handle;
  Thread* next = nullptr;      // of the idle ones or the ended ones; guarded by lock_
  Thread* all_next = nullptr;  // constant once it is on the list
  bool idle = false;           // on the list of the idle; guarded by lock_
  bool dismissed = false;      // counted out by limit(), to end at once; guarded by lock_
  // Whoever starts a thread has let go of the record; the thread has. Both: it may be used again.
  bool started = false;                // guarded by lock_
  bool left = false;                   // guarded by lock_
  std::atomic<std::uint32_t> rung{0};  // futex of the idle thread

  void ring() noexcept {
    // Release: pairs with next()'s acquire.
    rung.store(1, std::memory_order_release);
    futex_wake(rung);
  }
};

BlockingPool& BlockingPool::of(Scheduler& scheduler) {
  return static_cast<BlockingPool&>(
      scheduler.blocking_service([]() -> SchedulerService* { return new BlockingPool; }));
}

BlockingStats BlockingPool::stats_of(const Scheduler& scheduler) noexcept {
  SchedulerService* const service = scheduler.made_blocking_service();
  return service == nullptr ? BlockingStats{} : static_cast<BlockingPool*>(service)->stats();
}

BlockingPool::~BlockingPool() {
  {
    gc::Section section;
    std::lock_guard lock(lock_);
    stopping_ = true;
  }
  // All, not the idle: their list changes meanwhile, as those whose time is over leave it. Nobody
  // becomes idle any more, and who is takes itself off.
  for (Thread* each = all_; each != nullptr; each = each->all_next) each->ring();
  while (Thread* thread = all_) {
    all_ = thread->all_next;
    if (thread->handle.joinable()) gc::native([&] { thread->handle.join(); });
    delete thread;
  }
}

void BlockingPool::limit(const BlockingOptions& options) {
  BlockingCall* refused = nullptr;
  std::size_t missing = 0;
  {
    gc::Section section;
    std::lock_guard lock(lock_);
    options_ = options;
    if (options.max_threads == 0) refused = take_line();
    if (options.max_threads > threads_) {
      missing = std::min<std::size_t>(queued_, options.max_threads - threads_);
    }
  }
  let_go(refused);
  while (dismiss_some()) {
  }
  while (missing > 0 && grow_for_line()) --missing;
}

// Idle threads beyond the bound, a few at a time. False: there are no more. They are counted out
// here, so that two limits at the same time do not both send the same surplus away.
bool BlockingPool::dismiss_some() noexcept {
  constexpr std::size_t kAtOnce = 16;
  Thread* dismissed[kAtOnce];
  std::size_t count = 0;
  {
    gc::Section section;
    std::lock_guard lock(lock_);
    while (count < kAtOnce && idle_ != nullptr && threads_ > options_.max_threads) {
      Thread* const thread = idle_;
      idle_ = thread->next;
      --idle_count_;
      --threads_;
      thread->idle = false;
      thread->dismissed = true;
      dismissed[count++] = thread;
    }
  }
  // One whose idle time was over at this moment may have ended already, and its record be another
  // thread's, which then ends a little early.
  for (std::size_t i = 0; i < count; ++i) dismissed[i]->ring();
  return count == kAtOnce;
}

// One more thread, if calls are still in line and the bound still allows it; false if none.
bool BlockingPool::grow_for_line() {
  Thread* made = nullptr;
  {
    gc::Section section;
    std::lock_guard lock(lock_);
    if (queued_ == 0 || threads_ >= options_.max_threads) return false;
    ++threads_;
    made = ended_;
    if (made != nullptr) ended_ = made->next;
  }
  return start_thread(made);
}

BlockingStats BlockingPool::stats() noexcept {
  BlockingStats stats;
  stats.ran = ran_.load(std::memory_order_relaxed);
  stats.ran_inline = ran_inline_.load(std::memory_order_relaxed);
  gc::Section section;
  std::lock_guard lock(lock_);
  stats.threads = threads_;
  stats.idle = idle_count_;
  stats.queued = queued_;
  return stats;
}

// --- The caller. ---

namespace {
struct Enqueue {
  BlockingPool* pool;
  BlockingCall* call;
};
}  // namespace

void BlockingPool::run(BlockingCall& call) {
  Enqueue enqueued{this, &call};
  park(WaitReason::kBlocking, enqueue, &enqueued);
  if (!call.ran) {
    ran_inline_.fetch_add(1, std::memory_order_relaxed);
    call.run(&call);
    return;
  }
  Fiber* self = current();
  self->allocated = self->allocated + call.allocated;
}

// On the scheduler context. Joining the line and choosing who will come for it are one step, so a
// call is never in line behind others while the pool could still grow: calls may wait for each
// other.
bool BlockingPool::enqueue(Fiber* fiber, void* argument) {
  const Enqueue enqueued = *static_cast<Enqueue*>(argument);
  BlockingPool& pool = *enqueued.pool;
  BlockingCall* const call = enqueued.call;
  call->fiber = fiber;
  Thread* woken = nullptr;
  Thread* made = nullptr;
  bool grow = false;
  {
    gc::Section section;
    std::lock_guard lock(pool.lock_);
    if (pool.options_.max_threads == 0) return false;  // it runs where it is
    // From here on the call may be run and the fiber be gone.
    (pool.first_ == nullptr ? pool.first_ : pool.last_->next) = call;
    pool.last_ = call;
    ++pool.queued_;
    if (pool.idle_ != nullptr) {
      woken = pool.idle_;
      pool.idle_ = woken->next;
      --pool.idle_count_;
      woken->idle = false;
    } else if (pool.threads_ < pool.options_.max_threads) {
      grow = true;
      ++pool.threads_;
      made = pool.ended_;
      if (made != nullptr) pool.ended_ = made->next;
    }
  }
  if (woken != nullptr) {
    woken->ring();
  } else if (grow) {
    pool.start_thread(made);
  }
  return true;
}

// `thread` is a record to be used again, or null. False: there is none to be had. What is missing
// may be memory, too; nothing may be thrown, as this runs in a park's commit.
bool BlockingPool::start_thread(Thread* thread) {
  if (thread == nullptr) {
    // Not under the lock: malloc may be held by a thread that the collector has stopped.
    thread = new (std::nothrow) Thread;
    if (thread == nullptr) {
      give_up(nullptr);
      return false;
    }
    gc::Section section;
    std::lock_guard lock(lock_);
    thread->all_next = all_;
    all_ = thread;
  }
  // Its last thread has left the pool and is about to end.
  if (thread->handle.joinable()) gc::native([&] { thread->handle.join(); });
  try {
    thread->handle = std::thread(&BlockingPool::main, this, thread);
  } catch (const std::exception&) {  // system_error or bad_alloc
    // The others will do, if there are any.
    give_up(thread);
    return false;
  }
  gc::Section section;
  std::lock_guard lock(lock_);
  thread->started = true;
  if (thread->left) reuse(thread);
  return true;
}

// There is one thread less than was counted. If it was the last, nobody will come for the line: its
// calls run where they were called.
void BlockingPool::give_up(Thread* thread) {
  BlockingCall* orphans = nullptr;
  {
    gc::Section section;
    std::lock_guard lock(lock_);
    if (thread == nullptr) {
      --threads_;
    } else {
      thread->started = true;
      retire(thread);
    }
    if (threads_ == 0) orphans = take_line();
  }
  let_go(orphans);
}

// Under the lock.
BlockingCall* BlockingPool::take_line() noexcept {
  queued_ = 0;
  return std::exchange(first_, nullptr);
}

// Calls that are out of the line, and run where they were called.
void BlockingPool::let_go(BlockingCall* calls) {
  while (calls != nullptr) {
    Fiber* const fiber = calls->fiber;
    calls = calls->next;
    ready(fiber);  // the call is gone
  }
}

// Under the lock.
void BlockingPool::retire(Thread* self) noexcept {
  --threads_;
  leave(self);
}

// Under the lock. The thread may be faster than the one that started it and writes its handle.
void BlockingPool::leave(Thread* self) noexcept {
  self->left = true;
  if (self->started) reuse(self);
}

// Under the lock.
void BlockingPool::reuse(Thread* thread) noexcept {
  thread->started = thread->left = false;
  thread->next = ended_;
  ended_ = thread;
}

// --- The threads. ---

void BlockingPool::main(Thread* self) {
  ::pthread_setname_np(::pthread_self(), "blocking");
  gc::ThreadScope attached;
  while (BlockingCall* call = next(self)) {
    const gc::AllocCounts before = gc::mutator()->counts();
    call->run(call);
    call->allocated = gc::mutator()->counts() - before;
    call->ran = true;
    ran_.fetch_add(1, std::memory_order_relaxed);
    ready(call->fiber);  // the call is gone
  }
}

// The next call in line; waits for one. Null when the thread should end.
BlockingCall* BlockingPool::next(Thread* self) {
  for (;;) {
    std::int64_t idle_ns = 0;
    {
      gc::Section section;
      std::lock_guard lock(lock_);
      if (self->dismissed) {
        self->dismissed = false;
        leave(self);
        return nullptr;
      }
      // Before the line, which may never be empty. The others, as many as the bound, come for it.
      if (threads_ > options_.max_threads) {
        retire(self);
        return nullptr;
      }
      if (BlockingCall* call = first_) {
        first_ = call->next;
        --queued_;
        return call;
      }
      if (stopping_) {
        retire(self);
        return nullptr;
      }
      self->rung.store(0, std::memory_order_relaxed);
      self->idle = true;
      self->next = idle_;
      idle_ = self;
      ++idle_count_;
      idle_ns = options_.idle_ns;
    }
    gc::native([&] {
      const std::int64_t until_ns = deadline_after(idle_ns);
      // Acquire: pairs with ring's release.
      while (self->rung.load(std::memory_order_acquire) == 0) {
        const std::int64_t left_ns = until_ns - os::now_ns();
        if (left_ns <= 0) break;
        futex_wait(self->rung, 0, left_ns);
      }
    });
    if (retire_if_idle(self)) return nullptr;
  }
}

// False when somebody has taken it off the idle list: there is work, or there was.
bool BlockingPool::retire_if_idle(Thread* self) noexcept {
  gc::Section section;
  std::lock_guard lock(lock_);
  if (!self->idle) return false;
  self->idle = false;
  --idle_count_;
  Thread** link = &idle_;
  while (*link != self) link = &(*link)->next;
  *link = self->next;
  retire(self);
  return true;
}

namespace internal {

void check_may_block() {
  TAILRACE_CHECK(current_worker() == nullptr,
                 "fiber::blocking() on a worker outside a fiber would block it");
}

}  // namespace internal
}  // namespace tailrace::fiber
