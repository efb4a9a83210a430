#include "gcruntime/gc/collector.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <new>
#include <thread>

#include "gcruntime/gc/allocs_per_run.h"
#include "gcruntime/gc/arena_record.h"
#include "gcruntime/gc/cycle_stats.h"
#include "gcruntime/gc/finalizer.h"
#include "gcruntime/gc/gctrace.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/malloc_blocks.h"
#include "gcruntime/gc/mark_queue.h"
#include "gcruntime/gc/mark_rate.h"
#include "gcruntime/gc/mark_slice.h"
#include "gcruntime/gc/marking.h"
#include "gcruntime/gc/memory_limit.h"
#include "gcruntime/gc/memory_wait.h"
#include "gcruntime/gc/origin.h"
#include "gcruntime/gc/root_table.h"
#include "gcruntime/gc/scavenger.h"
#include "gcruntime/gc/stale_words.h"
#include "gcruntime/gc/weak.h"
#include "gcruntime/gc/world.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/span.h"
#include "gcruntime/heap/sweep.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

std::int64_t unix_now_ns() {
  timespec time;
  ::clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Collector::Collector() { pacer_.configure(options_); }

Collector& Collector::instance() {
  // Never destroyed: its thread runs until the process ends.
  alignas(Collector) static char memory[sizeof(Collector)];
  static Collector* const collector = ::new (static_cast<void*>(memory)) Collector();
  return *collector;
}

void Collector::ensure_started() {
  native([this] {
    const std::lock_guard guard(mutex_);
    if (started_) return;
    started_ = true;
    started_ns_ = last_end_ns_ = os::now_ns();
    std::thread([this] { run(); }).detach();
  });
}

void Collector::configure(const CollectorOptions& options) {
  native([&] {
    const std::lock_guard guard(mutex_);
    options_ = options;
    trace_.store(options.trace, std::memory_order_relaxed);
    pacer_.configure(options_);
  });
}

void Collector::set_procs(unsigned procs) {
  native([&] {
    const std::lock_guard guard(mutex_);
    options_.procs = procs;
    pacer_.configure(options_);
  });
}

int Collector::set_percent(int percent) {
  int old = 0;
  native([&] {
    const std::lock_guard guard(mutex_);
    old = options_.percent;
    options_.percent = percent < 0 ? -1 : percent;
    pacer_.configure(options_);
  });
  return old;
}

void Collector::note_new_limit() {
  native([this] {
    const std::lock_guard guard(mutex_);
    pacer_.configure(options_);
  });
}

void Collector::note_allocated(std::uint64_t bytes) noexcept {
  const std::uint64_t sum = pacer_.add(bytes);
  if (!pacer_.wants_cycle(sum)) return;
  // Acquire-release: pairs with run_cycle's release, after which the pacer counts from zero again.
  if (!requested_.exchange(true, std::memory_order_acq_rel)) request();
  if (marking_wanted()) pacer_.assist(bytes);
  if (pacer_.at_backstop(sum)) wait_for_cycle();
}

void Collector::request() noexcept {
  native([&] {
    {
      const std::lock_guard guard(mutex_);
      // Acquire pairs with run_cycle's release: a cycle that has ended since did what was to be asked.
      if (!requested_.load(std::memory_order_acquire)) return;
      wanted_ = std::max(wanted_, begun_ + 1);
    }
    work_.notify_one();
  });
}

void Collector::request_cycle() noexcept {
  native([&] {
    {
      const std::lock_guard guard(mutex_);
      wanted_ = std::max(wanted_, begun_ + 1);
    }
    work_.notify_one();
  });
}

std::uint64_t Collector::cycles_ended() noexcept {
  std::uint64_t ended = 0;
  native([&] {
    const std::lock_guard guard(mutex_);
    ended = ended_;
  });
  return ended;
}

// At the backstop, the last resort: who allocates marks a slice at a time, as long as its fiber may be asked
// to, and waits in between, a fiber without its worker. Its bounds end the wait, and it goes on past the
// backstop. What it did not mark is one hold, as long as it was.
void Collector::wait_for_cycle() noexcept {
  constexpr std::int64_t kUntilNextSliceNs = 1'000'000;
  constexpr std::int64_t kAskAgainNs =
      10'000'000;  // whether the work has ended, or the limiter is off
  const std::uint64_t ended = cycles_ended();
  const std::int64_t begin_ns = os::now_ns();
  std::int64_t marked_ns = 0;
  waiting_.fetch_add(1, std::memory_order_relaxed);
  for (;;) {
    const bool marks = !pacer_.limited() && assist_allowance_ns(own_alloc_counts()) > 0;
    if (marks) marked_ns += Marking::instance().slice(/*assist=*/true);
    // Before the cycle is looked at: if it ends after that, the line is told.
    const std::uint64_t seen = at_backstop_.news();
    // Acquire pairs with run_cycle's release: the cycle that was to be waited for has ended.
    if (!requested_.load(std::memory_order_acquire) || cycles_ended() != ended) break;
    const internal::Bounds bounds = internal::all_bounds();
    const std::int64_t now_ns = os::now_ns();
    if (bounds.ended || now_ns >= bounds.deadline_ns) break;
    const std::int64_t until_ns = now_ns + (marks ? kUntilNextSliceNs : kAskAgainNs);
    internal::wait_in(at_backstop_, seen, std::min(until_ns, bounds.deadline_ns));
  }
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  note_hold(HoldKind::kStall, os::now_ns() - begin_ns - marked_ns);
}

void Collector::collect() {
  static_cast<void>(attached_mutator());  // in a native scope as well: it touches nothing itself
  native([&] {
    std::unique_lock lock(mutex_);
    // A cycle that has begun may have passed what the caller has just let go. This runs in a native
    // scope, so perhaps in the middle of such a cycle, which must not take the request for its own.
    const std::uint64_t number = begun_ + 1;
    wanted_ = std::max(wanted_, number);
    forced_ = true;
    // Relaxed: advice to the slow path.
    requested_.store(true, std::memory_order_relaxed);
    work_.notify_one();
    waiting_.fetch_add(1, std::memory_order_relaxed);
    done_.wait(lock, [&] { return swept_ >= number; });
    waiting_.fetch_sub(1, std::memory_order_relaxed);
  });
}

void Collector::run() {
  ::pthread_setname_np(::pthread_self(), "tailrace-gc");
  cycle_ = new Cycle();
  internal::exclude_block(cycle_);
  for (;;) {
    bool forced = false;
    std::uint64_t number = 0;
    {
      std::unique_lock lock(mutex_);
      std::int64_t due_ns = last_end_ns_ + kPeriodNs - os::now_ns();
      // Who waits for the limiter to go off may be the one who would ask for the next cycle.
      if (pacer_.limited()) due_ns = std::min(due_ns, CpuLimiter::kPeriodNs);
      const bool asked = work_.wait_for(lock, std::chrono::nanoseconds(due_ns),
                                        [this] { return begun_ < wanted_; });
      if (!asked && os::now_ns() < last_end_ns_ + kPeriodNs) {
        pacer_.account(begun_);
        continue;
      }
      // Two minutes without a cycle: one is run unless cycles are off.
      if (!asked && options_.percent < 0) {
        last_end_ns_ = os::now_ns();
        continue;
      }
      forced = forced_;
      forced_ = false;
      number = ++begun_;
      // Relaxed: advice to the slow path.
      requested_.store(true, std::memory_order_relaxed);
    }
    internal::note_cycle_begun(number);
    run_cycle(forced);
  }
}

// The thread's CPU time since the last call.
void Collector::note_own_cpu(GcCpu kind) noexcept {
  const std::int64_t now_ns = os::thread_cpu_ns();
  note_gc_cpu(kind, now_ns - noted_cpu_ns_);
  noted_cpu_ns_ = now_ns;
}

// Of the cycle under way.
Marking::Pace Collector::pace() noexcept {
  const std::int64_t now_ns = os::now_ns();
  if (now_ns - accounted_ns_ >= CpuLimiter::kPeriodNs) {
    accounted_ns_ = now_ns;
    note_own_cpu(GcCpu::kBackground);
    const std::lock_guard guard(mutex_);
    pacer_.account(begun_);
  }
  // While the limiter is on, who waits hurries nobody: else one at the backstop would do away with the limit.
  const bool hurry = waiting_.load(std::memory_order_relaxed) != 0 && !pacer_.limited();
  return {pacer_.mark_share(), hurry};
}

CycleOptions Collector::begin_cycle(std::int64_t now_ns, CycleTrace& trace) {
  const std::lock_guard guard(mutex_);
  CycleOptions cycle;
  cycle.limits = {options_.procs, options_.marks_beside};
  cycle.stop_the_world = options_.stop_the_world;
  cycle.check_marks = options_.check_marks;
  cycle.share = [](void* self) { return static_cast<Collector*>(self)->pace(); };
  cycle.share_argument = this;
  cycle.number = begun_;
  trace.heap_at_begin = pacer_.live_bytes() + pacer_.allocated_bytes();
  trace.goal = pacer_.goal_bytes();
  pacer_.account(begun_);
  pacer_.begin_cycle(now_ns);
  // Roots are scanned before anybody owes anything.
  Marking::instance().ledger().done(static_cast<std::int64_t>(root_table_bytes()));
  return cycle;
}

void Collector::run_cycle(bool forced) {
  note_own_cpu(GcCpu::kSweep);  // since the last one: waking up
  const std::int64_t cpu_begin_ns = noted_cpu_ns_;
  const std::int64_t begin_ns = os::now_ns();
  const Marking& marking = Marking::instance();
  CycleTrace trace;
  const CycleOptions cycle = begin_cycle(begin_ns, trace);
  const CycleResult result = cycle_->run(cycle);
  const bool beside = !cycle.stop_the_world;
  note_own_cpu(beside ? GcCpu::kBackground : GcCpu::kPause);
  const std::int64_t own_cpu_ns = noted_cpu_ns_ - cpu_begin_ns;
  const std::int64_t workers_ns = beside ? marking.workers_ns() : 0;
  const std::int64_t assist_ns = beside ? marking.assist_ns() : 0;
  const std::int64_t end_ns = os::now_ns();
  std::uint64_t runway = 0;
  {
    const std::lock_guard guard(mutex_);
    runway = pacer_.end_cycle({.number = begun_,
                               .now_ns = end_ns,
                               .live_bytes = result.live_bytes,
                               .found_bytes = result.marked_bytes,
                               .stack_bytes = result.stack_bytes,
                               .root_bytes = root_table_bytes(),
                               .mark_cpu_ns = marking.own_ns() + workers_ns + assist_ns,
                               .beside = beside});
  }
  // Release pairs with note_allocated's exchange: a request from now on is one for the next cycle.
  requested_.store(false, std::memory_order_release);
  note_cycle({result.rounds, forced, result.held, result.marked_bytes, result.marked_objects});
#if defined(TAILRACE_VERIFY)
  internal::report_stale_words();
#endif
  {
    const std::lock_guard guard(mutex_);
    ++ended_;
    if (forced) ++forced_cycles_;
    const auto hold = static_cast<std::uint64_t>(result.longest_hold_ns);
    pause_total_ns_ += hold;
    pauses_ns_[(ended_ - 1) % MemStats::kPauses] = hold;
    mark_queue_bytes_ = MarkQueue::instance().sys_bytes();
    last_end_ns_ = end_ns;
    last_end_unix_ns_ = unix_now_ns();
    trace.number = ended_;
    trace.since_start_ns = begin_ns - started_ns_;
    trace.gc_cpu_fraction = cpu_fraction(end_ns);
    trace.procs = options_.procs;
  }
  at_backstop_.tell();
  if (trace_.load(std::memory_order_relaxed)) {
    trace.begin_ns = trace.begin_cpu_ns = result.begin_ns;
    trace.mark_ns = result.mark_ns;
    trace.end_ns = trace.end_cpu_ns = result.end_ns;
    trace.assist_cpu_ns = assist_ns;
    trace.background_cpu_ns = own_cpu_ns + workers_ns;
    trace.heap_at_end = trace.heap_at_begin + runway;
    trace.heap_live = result.live_bytes;
    trace.stacks = result.stack_bytes;
    trace.globals = root_table_bytes();
    trace.forced = forced;
    print_gctrace(trace);
  }
  internal::note_cycle_marked(result.marked_bytes);
  notify_finalizers();
  sweep_behind();
}

double Collector::cpu_fraction(std::int64_t now_ns) const noexcept {
  const double elapsed = static_cast<double>(now_ns - started_ns_) * options_.procs;
  return elapsed <= 0 ? 0 : static_cast<double>(read_cycle_stats().all_cpu_ns()) / elapsed;
}

// All is swept before the next cycle begins. In slices, with the rest of the processors' time between them
// unless somebody waits for it or a worker has nothing to do.
void Collector::sweep_behind() {
  constexpr std::size_t kPages = 64;
  std::int64_t slice_ns = os::now_ns();
  for (;;) {
    if (!heap::sweep_some(kPages)) break;
    if (os::now_ns() - slice_ns < MarkBudget::kSliceNs) continue;
    bool hurry = World::instance().has_idle_thread();
    {
      const std::lock_guard guard(mutex_);
      hurry |= waiting_.load(std::memory_order_relaxed) != 0 || begun_ < wanted_;
    }
    if (!hurry) {
      const timespec while_ns{0, 2 * MarkBudget::kSliceNs};
      ::nanosleep(&while_ns, nullptr);
    }
    slice_ns = os::now_ns();
  }
  // Somebody else may be at the last spans.
  while (!heap::swept()) ::sched_yield();
  note_own_cpu(GcCpu::kSweep);
  std::uint64_t goal_bytes = 0;
  std::uint64_t number = 0;
  unsigned procs = 1;
  {
    const std::lock_guard guard(mutex_);
    goal_bytes = pacer_.goal_bytes();
    number = ended_;
    procs = options_.procs;
  }
  // Before collect() returns: who called it finds all of them told.
  note_mark_rate();
  Scavenger::instance().note_swept(goal_bytes);
  internal::note_cycle_swept(number, procs);
  const std::lock_guard guard(mutex_);
  pacer_.configure(options_);  // what counts beside the heap is known anew
  swept_ = ended_;
  done_.notify_all();
}

void Collector::fill(MemStats& stats) {
  const heap::SweepTotals freed = heap::sweep_totals();  // first: what was freed had been allocated
  const ArenaDead dead = read_arena_dead();
  const AllocCounts counts = World::instance().counts();
  const heap::HeapLevels levels = [] {
    // A lock that mutators hold in sections: taken in one, if this thread can be stopped at all.
    if (base::current_mutator() == nullptr) return heap::levels();
    const Section section;
    return heap::levels();
  }();
  World::instance().stack_bytes(stats.stack_inuse, stats.stack_sys);
  const std::size_t mutators = World::instance().mutator_count();
  native([&] {
    const std::lock_guard guard(mutex_);
    stats.total_alloc = all_bytes(counts) + counts.arena_bytes;
    stats.mallocs = counts.objects + counts.large_objects + counts.arena_objects;
    // Slots may be freed between the two readings; never below zero.
    stats.frees = std::min(freed.freed_objects + dead.objects, stats.mallocs);
    stats.heap_alloc =
        stats.total_alloc - std::min(freed.freed_bytes + dead.bytes, stats.total_alloc);
    stats.heap_objects = stats.mallocs - stats.frees;
    stats.next_gc = pacer_.goal_bytes();
    stats.heap_live = pacer_.live_bytes();
    stats.num_gc = ended_;
    stats.num_forced_gc = forced_cycles_;
    stats.last_gc_unix_ns = last_end_unix_ns_;
    stats.pause_total_ns = pause_total_ns_;
    stats.gc_cpu_ns = read_cycle_stats().all_cpu_ns();
    stats.gc_cpu_fraction = cpu_fraction(os::now_ns());
    stats.gc_percent = options_.percent;
    stats.memory_limit = memory_limit();
    stats.procs = options_.procs;
    stats.sustainable_alloc_bytes_per_second = pacer_.sustainable_alloc_rate();
    stats.pause_count = ended_ < MemStats::kPauses ? ended_ : MemStats::kPauses;
    for (std::size_t i = 0; i < stats.pause_count; ++i) stats.pauses_ns[i] = pauses_ns_[i];
    stats.gc_sys = levels.tables_sys_bytes + mark_queue_bytes_;
  });
  stats.heap_inuse = levels.inuse_bytes;
  // Read one after the other: what was swept in between is not in its spans any more.
  stats.heap_alloc = std::min(stats.heap_alloc, stats.heap_inuse);
  stats.heap_idle = levels.idle_bytes;
  stats.heap_released = levels.released_bytes;
  stats.heap_sys = levels.inuse_bytes + levels.idle_bytes;
  stats.mspan_inuse = levels.span_records * sizeof(heap::Span);
  stats.mspan_sys = levels.span_record_sys_bytes;
  stats.mcache_inuse = stats.mcache_sys = mutators * sizeof(Mutator);
  stats.other_sys = root_table_bytes() + weak_table_bytes() + read_finalizer_stats().table_bytes;
  stats.sys = stats.heap_sys + stats.stack_sys + stats.mspan_sys + stats.mcache_sys + stats.gc_sys +
              stats.other_sys;
}

void Collector::fill(PacerStats& stats) {
  native([&] {
    const std::lock_guard guard(mutex_);
    pacer_.fill(stats);
  });
}

PacerStats read_pacer_stats() {
  PacerStats stats;
  Collector::instance().fill(stats);
  return stats;
}
std::uint64_t assist_debt_bytes() noexcept { return Collector::instance().pacer().debt_bytes(); }
bool gc_cpu_limited() noexcept { return Collector::instance().pacer().limited(); }

MemStats read_mem_stats() {
  MemStats stats;
  Collector::instance().fill(stats);
  return stats;
}

void configure(const CollectorOptions& options) { Collector::instance().configure(options); }
void collect() { Collector::instance().collect(); }
int set_percent(int percent) { return Collector::instance().set_percent(percent); }
void set_procs(unsigned procs) { Collector::instance().set_procs(procs); }

AllocCounts thread_alloc_counts() noexcept { return mutator()->counts(); }

}  // namespace tailrace::gc
