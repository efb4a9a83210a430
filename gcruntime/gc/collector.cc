#include "gcruntime/gc/collector.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <new>
#include <thread>

#include "gcruntime/gc/cycle_stats.h"
#include "gcruntime/gc/finalizer.h"
#include "gcruntime/gc/gctrace.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/malloc_blocks.h"
#include "gcruntime/gc/mark_queue.h"
#include "gcruntime/gc/marking.h"
#include "gcruntime/gc/origin.h"
#include "gcruntime/gc/root_table.h"
#include "gcruntime/gc/stale_words.h"
#include "gcruntime/gc/weak.h"
#include "gcruntime/gc/world.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/page_runs.h"
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

// A tenth over the goal: the price in memory of passing over spans that are more than half full.
std::uint64_t roomy_bytes(std::uint64_t goal_bytes) {
  constexpr std::uint64_t kLeast = std::uint64_t{4} << 20;
  return std::max(goal_bytes, kLeast) / 10 * 11;
}

}  // namespace

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
    set_trigger();
  });
}

int Collector::set_percent(int percent) {
  int old = 0;
  native([&] {
    const std::lock_guard guard(mutex_);
    old = options_.percent;
    options_.percent = percent < 0 ? -1 : percent;
    set_trigger();
  });
  return old;
}

// The heap may grow by `percent` of what the last cycle found alive, and to 4 MiB times percent/100 in
// any case. What was allocated while it ran is alive for all it knows, and mostly is not: that gives no
// room to grow, or a cycle that was late would make the next one later. A cycle that marks beside the
// service begins before that, by what was allocated during the last one and a quarter of it, at 70 % of the
// way at the earliest and 95 % at the latest (Go's bounds).
// The backstop, half as far again, holds whoever allocates faster than the collector marks.
void Collector::set_trigger() noexcept {
  if (options_.percent < 0) {
    goal_bytes_ = UINT64_MAX;
    heap::set_roomy_bytes(roomy_bytes(2 * live_bytes_));
    // Relaxed: advice to the slow path, read at its next look.
    trigger_.store(UINT64_MAX, std::memory_order_relaxed);
    growth_.store(UINT64_MAX, std::memory_order_relaxed);
    backstop_.store(UINT64_MAX, std::memory_order_relaxed);
    heap::set_sweep_budget(std::max(live_bytes_, kSmallestHeapBytes));
    return;
  }
  const auto percent = static_cast<std::uint64_t>(options_.percent);
  std::uint64_t growth = marked_bytes_ / 100 * percent;
  const std::uint64_t smallest = kSmallestHeapBytes * percent / 100;
  if (live_bytes_ + growth < smallest) growth = smallest - live_bytes_;
  if (growth < 64 * 1024) growth = 64 * 1024;
  goal_bytes_ = live_bytes_ + growth;
  std::uint64_t trigger = growth;
  if (!options_.stop_the_world) {
    const std::uint64_t runway = runway_bytes_ + runway_bytes_ / 4;
    trigger = std::clamp(growth - std::min(runway, growth), growth / 100 * 70, growth / 100 * 95);
  }
  trigger_.store(trigger, std::memory_order_relaxed);
  growth_.store(growth, std::memory_order_relaxed);
  backstop_.store(growth + growth / 2 + (std::uint64_t{8} << 20), std::memory_order_relaxed);
  heap::set_roomy_bytes(roomy_bytes(goal_bytes_));
  heap::set_sweep_budget(trigger);
}

void Collector::note_allocated(std::uint64_t bytes) noexcept {
  // Relaxed: a sum; who crosses the trigger twice asks once.
  const std::uint64_t sum = allocated_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (sum < trigger_.load(std::memory_order_relaxed)) return;
  // Acquire-release: pairs with run_cycle's release, after which allocated_ counts from zero again.
  if (!requested_.exchange(true, std::memory_order_acq_rel)) request();
  if (sum >= backstop_.load(std::memory_order_relaxed)) wait_for_cycle();
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

// At the backstop: the thread marks, and waits where there is nothing to mark.
void Collector::wait_for_cycle() noexcept {
  std::uint64_t ended = 0;
  native([&] {
    const std::lock_guard guard(mutex_);
    ended = ended_;
  });
  bool over = false;
  // Acquire pairs with run_cycle's release: the cycle that was to be waited for has ended.
  while (!over && requested_.load(std::memory_order_acquire)) {
    const std::int64_t marked_ns = Marking::instance().slice(/*assist=*/true);
    if (marked_ns != 0) {
      note_hold(HoldKind::kAssist, marked_ns);
      continue;
    }
    const HoldTimer timer(HoldKind::kStall);
    native([&] {
      std::unique_lock lock(mutex_);
      ++waiting_;
      done_.wait_for(lock, std::chrono::milliseconds(1), [&] {
        return ended_ != ended || !requested_.load(std::memory_order_acquire);
      });
      over = ended_ != ended;
      --waiting_;
    });
  }
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
    ++waiting_;
    done_.wait(lock, [&] { return swept_ >= number; });
    --waiting_;
  });
}

void Collector::run() {
  ::pthread_setname_np(::pthread_self(), "tailrace-gc");
  cycle_ = new Cycle();
  internal::exclude_block(cycle_);
  for (;;) {
    bool forced = false;
    {
      std::unique_lock lock(mutex_);
      const auto due = std::chrono::nanoseconds(last_end_ns_ + kPeriodNs - os::now_ns());
      const bool asked = work_.wait_for(lock, due, [this] { return begun_ < wanted_; });
      // Two minutes without a cycle: one is run unless cycles are off.
      if (!asked && options_.percent < 0) {
        last_end_ns_ = os::now_ns();
        continue;
      }
      forced = forced_;
      forced_ = false;
      ++begun_;
      // Relaxed: advice to the slow path.
      requested_.store(true, std::memory_order_relaxed);
    }
    run_cycle(forced);
  }
}

// What marking may take of the processors now.
double Collector::mark_share() const noexcept {
  return MarkBudget::share(allocated_.load(std::memory_order_relaxed),
                           growth_.load(std::memory_order_relaxed),
                           backstop_.load(std::memory_order_relaxed));
}

void Collector::run_cycle(bool forced) {
  const std::int64_t cpu_begin = os::thread_cpu_ns();
  const std::int64_t begin_ns = os::now_ns();
  CycleOptions cycle;
  CycleTrace trace;
  {
    const std::lock_guard guard(mutex_);
    cycle.limits = {options_.procs, options_.marks_beside};
    cycle.stop_the_world = options_.stop_the_world;
    cycle.check_marks = options_.check_marks;
    cycle.hurry = forced || waiting_ != 0;
    cycle.share = [](void* self) { return static_cast<Collector*>(self)->mark_share(); };
    cycle.share_argument = this;
    cycle.number = begun_;
    trace.heap_at_begin = live_bytes_ + allocated_.load(std::memory_order_relaxed);
    trace.goal = goal_bytes_;
  }
  const std::uint64_t allocated_before = allocated_.load(std::memory_order_relaxed);
  const CycleResult result = cycle_->run(cycle);
  const std::uint64_t runway = allocated_.exchange(0, std::memory_order_relaxed) - allocated_before;
  // Release pairs with note_allocated's exchange: a request from now on is one for the next cycle.
  requested_.store(false, std::memory_order_release);
  const std::int64_t end_ns = os::now_ns();
  const Marking& marking = Marking::instance();
  const std::int64_t workers_ns = cycle.stop_the_world ? 0 : marking.workers_ns();
  const std::int64_t assist_ns = cycle.stop_the_world ? 0 : marking.assist_ns();
  const std::int64_t own_cpu_ns = os::thread_cpu_ns() - cpu_begin;
  note_gc_cpu(cycle.stop_the_world ? GcCpu::kPause : GcCpu::kBackground, own_cpu_ns + workers_ns);
  note_gc_cpu(GcCpu::kAssist, assist_ns);
  note_cycle({result.rounds, forced, result.held, result.marked_bytes, result.marked_objects});
#if defined(TAILRACE_VERIFY)
  internal::report_stale_words();
#endif
  {
    const std::lock_guard guard(mutex_);
    live_bytes_ = result.live_bytes;
    marked_bytes_ = result.marked_bytes;
    runway_bytes_ = runway;
    set_trigger();
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
    // Whoever stalls at the backstop; those in collect() wait for the sweep.
    done_.notify_all();
  }
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
  const std::int64_t cpu_begin = os::thread_cpu_ns();
  std::int64_t slice_ns = os::now_ns();
  for (;;) {
    if (!heap::sweep_some(kPages)) break;
    if (os::now_ns() - slice_ns < MarkBudget::kSliceNs) continue;
    bool hurry = World::instance().has_idle_thread();
    {
      const std::lock_guard guard(mutex_);
      hurry |= waiting_ != 0 || begun_ < wanted_;
    }
    if (!hurry) {
      const timespec while_ns{0, 2 * MarkBudget::kSliceNs};
      ::nanosleep(&while_ns, nullptr);
    }
    slice_ns = os::now_ns();
  }
  // Somebody else may be at the last spans.
  while (!heap::swept()) ::sched_yield();
  note_gc_cpu(GcCpu::kSweep, os::thread_cpu_ns() - cpu_begin);
  const std::lock_guard guard(mutex_);
  swept_ = ended_;
  done_.notify_all();
}

void Collector::fill(MemStats& stats) {
  const heap::SweepTotals freed = heap::sweep_totals();  // first: what was freed had been allocated
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
    stats.total_alloc = all_bytes(counts);
    stats.mallocs = counts.objects + counts.large_objects;
    // Slots may be freed between the two readings; never below zero.
    stats.frees = std::min(freed.freed_objects, stats.mallocs);
    stats.heap_alloc = stats.total_alloc - std::min(freed.freed_bytes, stats.total_alloc);
    stats.heap_objects = stats.mallocs - stats.frees;
    stats.next_gc = goal_bytes_;
    stats.heap_live = live_bytes_;
    stats.num_gc = ended_;
    stats.num_forced_gc = forced_cycles_;
    stats.last_gc_unix_ns = last_end_unix_ns_;
    stats.pause_total_ns = pause_total_ns_;
    stats.gc_cpu_ns = read_cycle_stats().all_cpu_ns();
    stats.gc_cpu_fraction = cpu_fraction(os::now_ns());
    stats.gc_percent = options_.percent;
    stats.pause_count = ended_ < MemStats::kPauses ? ended_ : MemStats::kPauses;
    for (std::size_t i = 0; i < stats.pause_count; ++i) stats.pauses_ns[i] = pauses_ns_[i];
    stats.gc_sys = levels.tables_sys_bytes + mark_queue_bytes_;
  });
  stats.heap_inuse = levels.inuse_bytes;
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

MemStats read_mem_stats() {
  MemStats stats;
  Collector::instance().fill(stats);
  return stats;
}

void configure(const CollectorOptions& options) { Collector::instance().configure(options); }
void collect() { Collector::instance().collect(); }
int set_percent(int percent) { return Collector::instance().set_percent(percent); }

std::size_t free_os_memory() {
  collect();
  native([] { MarkQueue::instance().trim(0); });
  std::size_t released = 0;
  for (;;) {
    heap::Span* run = nullptr;
    {
      const Section section;
      run = heap::take_idle_run(0);
    }
    if (run == nullptr) return released;
    // In no section: the thread can be stopped here, and nobody waits for the kernel.
    heap::give_pages_back(run);
    released += run->bytes();
    const Section section;
    heap::put_idle_run(run);
  }
}

AllocCounts thread_alloc_counts() noexcept { return mutator()->counts(); }

}  // namespace tailrace::gc
