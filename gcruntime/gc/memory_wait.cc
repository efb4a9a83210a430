#include "gcruntime/gc/memory_wait.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/collector.h"
#include "gcruntime/gc/cycle_stats.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/scavenger.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/sweep.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace internal {
namespace {

constexpr std::uint64_t kCyclesBeforeRefusal = 2;
constexpr std::uint64_t kMostCycles = 8;
constexpr std::int64_t kLongestStallNs = 10'000'000'000;
// Between looks whether the work has ended; and, a net only, at a line that should have brought news.
constexpr std::int64_t kAskAgainNs = 10'000'000;
constexpr std::int64_t kLookAgainNs = 500'000'000;
constexpr std::size_t kPagesASlice = 256;
constexpr std::uint64_t kLeastRelease = std::uint64_t{1} << 20;
// Below half: the limiter's share, less what the collector takes that is not counted as a cycle's.
constexpr double kCpuShare = 0.45;
// The part of the limit that is to be free for memory to count as not exhausted.
constexpr std::uint64_t kFreePart = 64;

RoomLine& line() noexcept {
  static constinit RoomLine the_line;
  return the_line;
}

// Relaxed unless said: figures and advice, written by the collector's thread.
constinit std::atomic<std::uint64_t> cycles_begun{0};
constinit std::atomic<std::uint64_t> cycles_swept{0};
constinit std::atomic<std::uint64_t> marked{0};
constinit std::atomic<std::int64_t> next_cycle_ns{0};  // not before, for the limit's sake
constinit std::atomic<std::uint64_t> asked_for{0};     // the cycle that was asked for last
constinit std::atomic<bool> none_left{false};
constinit std::atomic<std::uint64_t> stall_count{0};
constinit std::atomic<std::uint64_t> refusal_count{0};
std::int64_t last_swept_ns = 0;  // the collector's thread's own
std::uint64_t last_cpu_ns = 0;

constinit std::atomic<const FiberWaits*> fiber_waits{nullptr};
constinit thread_local const AllocationBounds* thread_bounds = nullptr;

// Not inline: the address of a thread-local must not be kept over a suspension.
TAILRACE_NOINLINE const AllocationBounds** bounds_place() noexcept {
  // Acquire: pairs with set_fiber_waits' release.
  if (const FiberWaits* waits = fiber_waits.load(std::memory_order_acquire)) {
    if (const AllocationBounds** place = waits->bounds()) return place;
  }
  return &thread_bounds;
}

// Room that the last cycle's marks leave.
std::uint64_t unmarked_room() noexcept {
  const std::uint64_t taken = marked.load(std::memory_order_relaxed) + non_heap_bytes();
  const std::uint64_t limit = memory_limit();
  return limit - std::min(limit, taken);
}

bool cycle_under_way() noexcept {
  return cycles_begun.load(std::memory_order_relaxed) !=
         cycles_swept.load(std::memory_order_relaxed);
}

// Unless one is under way, or it is too early for one.
void ask_for_cycle(std::int64_t now_ns) noexcept {
  if (cycle_under_way() || now_ns < next_cycle_ns.load(std::memory_order_relaxed)) return;
  const std::uint64_t wanted = cycles_begun.load(std::memory_order_relaxed) + 1;
  if (asked_for.exchange(wanted, std::memory_order_relaxed) == wanted) return;
  Collector::instance().request_cycle();
}

// A thread without a fiber.
class ThreadWaiter : public RoomWaiter {
 public:
  ThreadWaiter() noexcept : RoomWaiter(&wake) {}

  void wait(RoomLine& line, std::uint64_t seen, std::int64_t deadline_ns) {
    native([&] {
      if (!line.join(*this, seen)) return;
      {
        std::unique_lock lock(mutex_);
        const std::chrono::nanoseconds left(std::max<std::int64_t>(deadline_ns - os::now_ns(), 0));
        woken_condition_.wait_for(lock, left, [this] { return woken_; });
      }
      // Waits for a waker that is still in wake().
      line.leave(*this);
    });
  }

 private:
  static void wake(RoomWaiter* waiter) {
    auto* const self = static_cast<ThreadWaiter*>(waiter);
    const std::lock_guard guard(self->mutex_);
    self->woken_ = true;
    self->woken_condition_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable woken_condition_;
  bool woken_ = false;
};

}  // namespace

Bounds all_bounds() noexcept {
  Bounds all;
  for (const AllocationBounds* each = *bounds_place(); each != nullptr; each = each->outer) {
    all.deadline_ns = std::min(all.deadline_ns, each->deadline_ns);
    all.reserve |= each->reserve;
    if (each->ended == nullptr) continue;
    all.can_end = true;
    all.ended = all.ended || each->ended(each->argument);
  }
  return all;
}

void wait_in(RoomLine& line, std::uint64_t seen, std::int64_t until_ns) {
  // Acquire: pairs with set_fiber_waits' release.
  const FiberWaits* const waits = fiber_waits.load(std::memory_order_acquire);
  if (waits != nullptr && waits->bounds() != nullptr) {
    waits->wait(line, seen, until_ns);
  } else {
    ThreadWaiter waiter;
    waiter.wait(line, seen, until_ns);
  }
}

RoomSearch::~RoomSearch() {
  if (begin_ns_ != 0) note_hold(HoldKind::kStall, os::now_ns() - begin_ns_);
}

void RoomSearch::refuse(MemoryLimitExceeded::Why why) const {
  refusal_count.fetch_add(1, std::memory_order_relaxed);
  throw MemoryLimitExceeded(why, bytes_);
}

// False: nothing is left to sweep, or others are at the last of it.
bool RoomSearch::sweep_a_slice() noexcept {
  if (slices_ == 0 || !heap::sweep_under_way()) return false;
  --slices_;
  const HoldTimer timer(HoldKind::kSweep);
  const Section section;
  return heap::sweep_some(kPagesASlice);
}

// True: there is some, or the search has just begun.
bool RoomSearch::try_the_news() noexcept {
  const std::uint64_t news = line().news();
  if (started_ && news == seen_news_) return false;
  if (!started_) first_cycle_ = cycles_begun.load(std::memory_order_relaxed) + 1;
  started_ = true;
  seen_news_ = news;
  swept_ = cycles_swept.load(std::memory_order_relaxed);
  slices_ = heap::resident_bytes() / heap::kPageBytes / kPagesASlice + 4;
  return true;
}

void RoomSearch::check_patience() {
  // An attempt has been made since the last of these cycles was swept.
  const std::uint64_t whole = swept_ + 1 - std::min(swept_ + 1, first_cycle_);
  if (whole < kCyclesBeforeRefusal) return;
  const std::uint64_t part = memory_limit() / kFreePart;
  if (whole < kMostCycles && unmarked_room() > std::max<std::uint64_t>(bytes_, part)) return;
  // Who wants a lot is refused alone: others may fit.
  if (bytes_ <= part) none_left.store(true, std::memory_order_relaxed);
  refuse(MemoryLimitExceeded::Why::kLiveData);
}

std::uint64_t RoomSearch::next(bool refused) {
  if (sweep_a_slice()) return over_bytes_;
  if (!refused) {
    // No address space, or none that hangs together.
    if (collected_) throw std::bad_alloc();
    collected_ = true;
    Collector::instance().collect();
    return over_bytes_;
  }
  const std::uint64_t limit = memory_limit();
  if (limit == kNoMemoryLimit) return over_bytes_;  // since a moment ago
  const bool draws = over_bytes_ == 0 && all_bounds().reserve;
  if (draws) {
    over_bytes_ = reserve_bytes();
  } else if (bytes_ > limit - std::min(limit, non_heap_bytes())) {
    refuse(MemoryLimitExceeded::Why::kLiveData);  // no cycle could help
  }
  // They may be in the other range, or in pieces that are too short.
  const std::size_t released = scavenge_now(std::max<std::uint64_t>(bytes_, kLeastRelease));
  if (released >= bytes_ || draws) return over_bytes_;
  if (try_the_news()) {
    refresh_old_accounts();
    return over_bytes_;
  }
  if (none_left.load(std::memory_order_relaxed)) {
    ask_for_cycle(os::now_ns());
    refuse(MemoryLimitExceeded::Why::kLiveData);
  }
  check_patience();
  wait();
  return over_bytes_;
}

void RoomSearch::wait() {
  std::int64_t now_ns = os::now_ns();
  if (begin_ns_ == 0) {
    begin_ns_ = now_ns;
    stall_count.fetch_add(1, std::memory_order_relaxed);
  }
  if (line().waiters() >= RoomLine::kMostWaiters) refuse(MemoryLimitExceeded::Why::kTooManyWait);
  // Without news nothing is tried again, but the questions are asked again.
  const std::int64_t look_again_ns = now_ns + kLookAgainNs;
  for (; line().news() == seen_news_ && now_ns < look_again_ns; now_ns = os::now_ns()) {
    const Bounds bounds = all_bounds();
    if (bounds.ended || now_ns >= bounds.deadline_ns) refuse(MemoryLimitExceeded::Why::kEnded);
    if (now_ns - begin_ns_ >= kLongestStallNs) refuse(MemoryLimitExceeded::Why::kLiveData);
    ask_for_cycle(now_ns);
    std::int64_t until_ns = std::min(bounds.deadline_ns, begin_ns_ + kLongestStallNs);
    until_ns = std::min(until_ns, bounds.can_end ? now_ns + kAskAgainNs : look_again_ns);
    const std::int64_t cycle_ns = next_cycle_ns.load(std::memory_order_relaxed);
    if (!cycle_under_way() && cycle_ns > now_ns) until_ns = std::min(until_ns, cycle_ns);
    wait_in(line(), seen_news_, until_ns);
  }
}

void set_fiber_waits(const FiberWaits* waits) noexcept {
  // Release: pairs with the loads.
  fiber_waits.store(waits, std::memory_order_release);
}

#if defined(TAILRACE_VERIFY)
void check_may_wait() noexcept {
  // Acquire: pairs with set_fiber_waits' release.
  const FiberWaits* const waits = fiber_waits.load(std::memory_order_acquire);
  if (waits != nullptr) waits->check_locks();
}
#endif

void note_cycle_begun(std::uint64_t number) noexcept {
  cycles_begun.store(number, std::memory_order_relaxed);
}

void note_cycle_marked(std::uint64_t marked_bytes) noexcept {
  marked.store(marked_bytes, std::memory_order_relaxed);
  line().tell();  // who waits may sweep for it
}

void note_cycle_swept(std::uint64_t number, unsigned procs) noexcept {
  const std::int64_t now_ns = os::now_ns();
  const std::uint64_t cpu_ns = read_cycle_stats().all_cpu_ns();
  const auto used_ns = static_cast<double>(cpu_ns - last_cpu_ns);
  const double due_ns = used_ns / (kCpuShare * procs);
  // A pause as long as the collector's work was too dense, since the last sweep ended.
  next_cycle_ns.store(std::max(last_swept_ns + static_cast<std::int64_t>(due_ns), now_ns),
                      std::memory_order_relaxed);
  last_swept_ns = now_ns;
  last_cpu_ns = cpu_ns;
  const std::uint64_t limit = memory_limit();
  // Near the limit every time.
  if (accounts_are_old() || accounted_bytes() > limit / 10 * 9) refresh_accounts();
  if (limit != kNoMemoryLimit) {
    const std::uint64_t taken = heap::levels().inuse_bytes + non_heap_bytes();
    if (taken + limit / kFreePart <= limit || unmarked_room() >= limit / 4) {
      none_left.store(false, std::memory_order_relaxed);
    }
    while (give_back_near_limit()) {
    }
  }
  cycles_swept.store(number, std::memory_order_relaxed);
  line().tell();
}

void note_new_limit() noexcept {
  Collector::instance().note_new_limit();  // the pacer has another goal
  none_left.store(false, std::memory_order_relaxed);
  if (give_back_near_limit()) Scavenger::instance().wake();
  line().tell();
}

std::uint64_t live_at_limit() noexcept { return marked.load(std::memory_order_relaxed); }

void fill_waits(MemoryLimitStats& into) noexcept {
  into.stalls = stall_count.load(std::memory_order_relaxed);
  into.refusals = refusal_count.load(std::memory_order_relaxed);
  into.exhausted = none_left.load(std::memory_order_relaxed);
}

}  // namespace internal

BoundsScope::BoundsScope(AllocationBounds& bounds) noexcept : bounds_(bounds) {
  const AllocationBounds** const place = internal::bounds_place();
  bounds_.outer = *place;
  *place = &bounds_;
}
BoundsScope::~BoundsScope() { *internal::bounds_place() = bounds_.outer; }

}  // namespace tailrace::gc
