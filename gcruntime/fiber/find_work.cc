// Where a worker's next entry comes from, and how it sleeps when there is none.
//
// Order: own ring; every 61st time the global queue first, so that what others submit is not
// starved by a full ring; global queue; own poll; other workers' rings; sleep.
#include <algorithm>

#include "gcruntime/fiber/futex.h"
#include "gcruntime/fiber/scheduler_impl.h"
#include "gcruntime/fiber/worker.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/mark_slice.h"
#include "gcruntime/os/clock.h"

namespace tailrace::fiber {
namespace {

constexpr std::uint32_t kGlobalTicks = 61;
// A clock read is 40 ns, a poll 900: read it every 16 tasks, or less if these take long; poll when 100 us
// have passed.
constexpr std::uint32_t kMostClockTicks = 16;
constexpr std::int64_t kPollEveryNs = 100'000;
// The rescue rule: after how many tasks, or how long, to look at the others, and how late one must be.
constexpr std::uint32_t kRescueTicks = 64;
constexpr std::int64_t kLateNs = 1'000'000;

constexpr int kStealRounds = 4;

}  // namespace

Entry Worker::next() {
  ++tick_;
  if (gc::marking_wanted()) [[unlikely]]
    mark();
  if (tick_ == housekeep_at_) housekeep();
  if (tick_ % kGlobalTicks == 0) {
    if (const Entry entry = take_global(1)) return found(entry);
  }
  if (perturb_.chance(16)) {
    if (const Entry entry = take_global(2)) return found(entry);
  }
  if (const Entry entry = queue_.pop()) return found(entry);
  if (const Entry entry = take_global(RunQueue::kHalf)) return found(entry);

  // With everybody else asleep there is nothing to steal, and the block polls.
  if (scheduler_.sleepers.awake_count() <= 1 && !searching_) return 0;
  if (scheduler_.options.netpoll != nullptr) {
    poll_now(os::now_ns());
    if (const Entry entry = queue_.pop()) return found(entry);
  }
  if (!scheduler_.options.steal) return 0;
  if (!searching_) {
    if (!scheduler_.sleepers.may_search()) return 0;
    scheduler_.sleepers.begin_search();
    searching_ = true;
  }
  if (const Entry entry = steal()) return found(entry);
  counters_.steal_misses.add();
  return 0;
}

// [gc.slices] Marking takes its share of this worker between two fibers; those that are ready wait for it.
TAILRACE_NOINLINE void Worker::mark() {
  const bool anybody = !queue_.empty();
  const std::int64_t took_ns = gc::mark_slice();
  if (took_ns != 0 && anybody) gc::note_hold(gc::HoldKind::kMark, took_ns);
}

Entry Worker::found(Entry entry) {
  if (searching_) stop_searching();
  return entry;
}

// [fiber.sleep] A submitter that saw this searcher rang nobody and relies on it.
void Worker::stop_searching() {
  searching_ = false;
  if (!scheduler_.sleepers.end_search()) return;
  if (scheduler_.work_visible(*this) && scheduler_.wake_one()) counters_.wakes.add();
}

// A fair share of the global queue: one entry to run now, the others go to the own ring.
Entry Worker::take_global(std::size_t most) {
  const std::size_t size = scheduler_.global.size();
  if (size == 0) return 0;
  Entry batch[RunQueue::kHalf];
  // Relaxed: a choice. It is not 0 any more when a worker runs.
  const std::size_t share = size / scheduler_.active.load(std::memory_order_relaxed) + 1;
  const std::size_t room = RunQueue::kCapacity - queue_.size();
  const std::size_t count = scheduler_.global.pop(batch, std::min({most, share, room + 1}));
  if (count == 0) return 0;
  for (std::size_t i = 1; i < count; ++i) {
    // Seq_cst: they leave the global queue, where a sleeper's look would have found them.
    static_cast<void>(queue_.push(batch[i], std::memory_order_seq_cst));
  }
  return batch[0];
}

Entry Worker::steal() {
  const unsigned workers = scheduler_.started.load(std::memory_order_seq_cst);
  Entry batch[RunQueue::kHalf];
  for (int round = 0; round < kStealRounds; ++round) {
    for (unsigned i = 0; i < workers; ++i) {
      const unsigned victim = (steal_from_ + i) % workers;
      if (victim == index_) continue;
      perturb_.delay();
      const std::uint32_t count = scheduler_.workers[victim]->queue_.steal(batch);
      if (count == 0) continue;
      counters_.steals.add(count);
      steal_from_ = victim;
      // The own ring is empty here, so there is room.
      for (std::uint32_t k = 1; k < count; ++k) queue_up(batch[k], std::memory_order_seq_cst);
      return batch[0];
    }
    steal_from_ = (steal_from_ + 1) % workers;
    __builtin_ia32_pause();
  }
  return 0;
}

void Worker::housekeep() {
  const std::int64_t now_ns = os::now_ns();
  // Tasks that take long are counted in fewer, so that sockets and timers wait for one of them and not for
  // sixteen.
  const std::int64_t took_ns = now_ns - housekept_ns_;
  housekept_ns_ = now_ns;
  clock_ticks_ = took_ns <= kPollEveryNs ? std::min(clock_ticks_ * 2, kMostClockTicks)
                                         : static_cast<std::uint32_t>(std::max<std::int64_t>(
                                               clock_ticks_ * kPollEveryNs / took_ns, 1));
  housekeep_at_ = tick_ + clock_ticks_;
  if (timers_.next_deadline_ns() <= now_ns) expire_timers(timers_, now_ns, /*try_only=*/false);
  if (now_ns - last_poll_ns_.load(std::memory_order_relaxed) >= kPollEveryNs) poll_now(now_ns);
  if (tick_ - rescued_at_ >= kRescueTicks || now_ns - rescued_ns_ >= kLateNs) rescue_others(now_ns);
}

// Looks at the own poller without waiting.
void Worker::poll_now(std::int64_t now_ns) {
  last_poll_ns_.store(now_ns, std::memory_order_relaxed);
  if (scheduler_.options.netpoll == nullptr) return;
  counters_.polls.add();
  scheduler_.options.netpoll->poll(index_, 0, ready_list_);
  drain_ready_list();
}

void Worker::expire_timers(TimerHeap& timers, std::int64_t now_ns, bool try_only) {
  constexpr std::size_t kBatch = 32;
  Fiber* due[kBatch];
  std::size_t count = 0;
  bool several = false;
  do {
    count = timers.expire(now_ns, due, kBatch, try_only);
    for (std::size_t i = 0; i < count; ++i) make_ready(due[i]);
    several |= count >= 2;
  } while (count == kBatch);
  if (several && scheduler_.wake_one()) counters_.wakes.add();
}

// [fiber.rescue] Serves those who are stuck in a fiber: what waits in their ring, their timers and
// their sockets must not wait for it. Idle workers would steal from the ring anyway; busy ones come
// here.
void Worker::rescue_others(std::int64_t now_ns) {
  if (!scheduler_.options.rescue) return;
  rescued_at_ = tick_;
  rescued_ns_ = now_ns;
  const unsigned workers = scheduler_.started.load(std::memory_order_seq_cst);
  for (unsigned i = 1; i < workers; ++i) {
    Worker& other = *scheduler_.workers[(index_ + i) % workers];
    const std::int64_t last_ns = other.last_poll_ns_.load(std::memory_order_relaxed);
    // Never started yet (0), not late, or asleep or benched (it polls itself).
    if (last_ns == 0 || now_ns - last_ns < kLateNs) continue;
    if (scheduler_.sleepers.is_resting(other.index_)) continue;
    // So that the next one who looks does not do it again. If the victim polls just now, its stamp
    // may be overwritten by this slightly older one, which costs a needless rescue at worst.
    other.last_poll_ns_.store(now_ns, std::memory_order_relaxed);
    if (other.timers_.next_deadline_ns() <= now_ns) {
      expire_timers(other.timers_, now_ns, /*try_only=*/true);
    }
    if (scheduler_.options.steal) {
      Entry batch[RunQueue::kHalf];
      const std::uint32_t count = other.queue_.steal(batch);
      counters_.steals.add(count);
      for (std::uint32_t k = 0; k < count; ++k) queue_up(batch[k], std::memory_order_seq_cst);
    }
    Netpoll* netpoll = scheduler_.options.netpoll;
    if (netpoll == nullptr) continue;
    if (netpoll->rescue(other.index_, ready_list_)) {
      counters_.rescues.add();
      drain_ready_list();
    } else {
      counters_.rescue_misses.add();
    }
  }
}

// Called with an empty ring. Returns when there may be work; false when the scheduler has ended.
bool Worker::sleep() {
  Sleepers& sleepers = scheduler_.sleepers;
  const std::int64_t now_ns = os::now_ns();
  rescue_others(now_ns);
  if (timers_.next_deadline_ns() <= now_ns) expire_timers(timers_, now_ns, /*try_only=*/false);
  if (!queue_.empty()) return true;

  sleepers.announce(index_);  // W1
  if (searching_) {           // W2
    searching_ = false;
    sleepers.end_search();
  }
  perturb_.delay();
  if (scheduler_.work_visible(*this)) {  // W3
    searching_ = true;
    // If a submitter has claimed us, it has counted us as a searcher.
    if (sleepers.retract(index_)) sleepers.begin_search();
    return true;
  }
  if (scheduler_.ended.load(std::memory_order_seq_cst)) return false;
  // [fiber.stop]
  if (scheduler_.stopping.load(std::memory_order_seq_cst) && scheduler_.outstanding() == 0) {
    scheduler_.note_quiescent();
  }

  std::int64_t timeout_ns = until_next_timer(now_ns);
  const bool watch = !sleepers.all_idle();  // [fiber.watch] U2
  if (watch) {
    sleepers.begin_watch();
    timeout_ns = timeout_ns < 0 ? Sleepers::kWatchNs : std::min(timeout_ns, Sleepers::kWatchNs);
  }
  block(timeout_ns);                // W4
  if (watch) sleepers.end_watch();  // U1
  note_awake();
  if (!sleepers.retract(index_)) searching_ = true;  // V1
  just_woke_ = true;
  drain_ready_list();
  return true;
}

std::int64_t Worker::until_next_timer(std::int64_t now_ns) const noexcept {
  const std::int64_t deadline_ns = timers_.next_deadline_ns();
  return deadline_ns == TimerHeap::kNever ? -1 : std::max<std::int64_t>(deadline_ns - now_ns, 1);
}

void Worker::note_awake() {
  housekept_ns_ = os::now_ns();  // what it slept was not a task's time
  last_poll_ns_.store(housekept_ns_, std::memory_order_relaxed);
}

// [fiber.bench] Runs no fiber until the scheduler wants as many workers again, but goes on serving what
// has its home here: sockets and timers, whose fibers others run. False when the scheduler has ended.
TAILRACE_NOINLINE bool Worker::sit_on_bench() {
  Sleepers& sleepers = scheduler_.sleepers;
  hand_over_queue();
  if (searching_) stop_searching();
  give_back_stacks();
  sleepers.sit_down(index_);
  bool ended = false;
  // Seq_cst: pairs with set_active's store, which is before its ring.
  while (!ended && index_ >= scheduler_.active.load(std::memory_order_seq_cst)) {
    const std::int64_t now_ns = os::now_ns();
    if (timers_.next_deadline_ns() <= now_ns) expire_timers(timers_, now_ns, /*try_only=*/false);
    hand_over_queue();
    // [fiber.stop] The last one to end may have run here.
    if (scheduler_.stopping.load(std::memory_order_seq_cst) && scheduler_.outstanding() == 0) {
      scheduler_.note_quiescent();
    }
    perturb_.delay();
    ended = scheduler_.ended.load(std::memory_order_seq_cst);
    if (ended) break;
    block(until_next_timer(now_ns));
    note_awake();
    drain_ready_list();
  }
  sleepers.get_up(index_);  // V1
  just_woke_ = true;
  return !ended;
}

// As a submitter, S1 to S4 of [fiber.sleep]. Nobody else sees the entries between the two queues. What this
// worker has won may stand in the global queue already (queue_up).
void Worker::hand_over_queue() {
  Entry batch[RunQueue::kHalf];
  bool any = false;
  while (const std::uint32_t count = queue_.take_half(batch)) {
    scheduler_.global.push(batch, count);
    any = true;
  }
  if ((any || !scheduler_.global.empty()) && scheduler_.wake_one()) counters_.wakes.add();
}

void Worker::block(std::int64_t timeout_ns) {
  counters_.sleeps.add();
  if (Netpoll* netpoll = scheduler_.options.netpoll) {
    counters_.polls.add();
    gc::native([&] { netpoll->poll(index_, timeout_ns, ready_list_); });
    return;
  }
  gc::native([&] {
    // Acquire: pairs with ring()'s release.
    if (rung_.load(std::memory_order_acquire) == 0) futex_wait(rung_, 0, timeout_ns);
    rung_.exchange(0, std::memory_order_acquire);
  });
}

}  // namespace tailrace::fiber
