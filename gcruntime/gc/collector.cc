#include "gcruntime/gc/collector.h"

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <ctime>
#include <new>
#include <thread>

#include "gcruntime/gc/malloc_blocks.h"
#include "gcruntime/gc/origin.h"
#include "gcruntime/gc/root_table.h"
#include "gcruntime/gc/stale_words.h"
#include "gcruntime/gc/verifier.h"
#include "gcruntime/gc/world.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/page_runs.h"
#include "gcruntime/heap/span.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

std::int64_t unix_now_ns() {
  timespec time;
  ::clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

std::uint64_t all_bytes(const AllocCounts& counts) { return counts.bytes + counts.large_bytes; }

// A tenth over the goal: the price in memory of passing over spans that are more than half full.
std::uint64_t roomy_bytes(std::uint64_t goal_bytes) {
  constexpr std::uint64_t kLeast = std::uint64_t{4} << 20;
  return std::max(goal_bytes, kLeast) / 10 * 11;
}

constexpr double kMebibyte = 1024.0 * 1024.0;

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
// any case. The backstop, half as far again, holds whoever allocates faster than the collector's
// thread gets a core.
void Collector::set_trigger() noexcept {
  if (options_.percent < 0) {
    goal_bytes_ = UINT64_MAX;
    heap::set_roomy_bytes(roomy_bytes(2 * live_bytes_));
    // Relaxed: advice to the slow path, read at its next look.
    trigger_.store(UINT64_MAX, std::memory_order_relaxed);
    backstop_.store(UINT64_MAX, std::memory_order_relaxed);
    return;
  }
  const auto percent = static_cast<std::uint64_t>(options_.percent);
  std::uint64_t growth = live_bytes_ / 100 * percent;
  const std::uint64_t smallest = kSmallestHeapBytes * percent / 100;
  if (live_bytes_ + growth < smallest) growth = smallest - live_bytes_;
  if (growth < 64 * 1024) growth = 64 * 1024;
  goal_bytes_ = live_bytes_ + growth;
  trigger_.store(growth, std::memory_order_relaxed);
  backstop_.store(growth + growth / 2 + (std::uint64_t{8} << 20), std::memory_order_relaxed);
  heap::set_roomy_bytes(roomy_bytes(goal_bytes_));
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

void Collector::wait_for_cycle() noexcept {
  native([&] {
    std::unique_lock lock(mutex_);
    const std::uint64_t number = begun_ + 1;
    done_.wait(lock,
               [&] { return ended_ >= number || !requested_.load(std::memory_order_acquire); });
  });
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
    done_.wait(lock, [&] { return ended_ >= number; });
  });
}

void Collector::run() {
  ::pthread_setname_np(::pthread_self(), "tailrace-gc");
  marker_ = new Marker();
  internal::exclude_block(marker_);
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

void Collector::run_cycle(bool forced) {
  World& world = World::instance();
  const std::int64_t cpu_begin = os::thread_cpu_ns();
  const std::int64_t begin = os::now_ns();
  world.stop();
  const std::int64_t stopped = os::now_ns();

  // From here to start(): no malloc, no stdio; see mutator.h.
  world.for_each_mutator([&](Mutator& each) {
    heap::flush_cache(each.cache);
    each.cache.flushed_bytes = all_bytes(each.cache.counts);
  });
  Marker& marker = *marker_;
  marker.begin_cycle();
  const auto visit_root = [](void* visitor, void* object) {
    static_cast<Marker*>(visitor)->shade(object);
  };
  for_each_root(visit_root, &marker);
  world.for_each_stack(
      [](void* visitor, const void* low, const void* high) {
        static_cast<Marker*>(visitor)->scan_stack(low, high);
      },
      &marker);
  marker.drain();
  const std::int64_t marked = os::now_ns();
#if defined(TAILRACE_VERIFY)
  verify_heap(marker);
  internal::find_stale_words(ended_ + 1);
  internal::note_freed(ended_ + 1);
#endif
  const heap::SweepResult swept = heap::sweep();
  // Relaxed: mutators see them after start().
  freed_bytes_.fetch_add(swept.freed_bytes, std::memory_order_relaxed);
  freed_objects_.fetch_add(swept.freed_objects, std::memory_order_relaxed);
  allocated_.store(0, std::memory_order_relaxed);
  // Release pairs with note_allocated's exchange: a request from now on is one for the next cycle.
  requested_.store(false, std::memory_order_release);
  const std::int64_t end = os::now_ns();
  const std::int64_t times_ns[] = {begin, stopped, marked, end};
  const std::int64_t cpu_ns = os::thread_cpu_ns() - cpu_begin;

  // While the world is stopped mutex_ must not be waited for: its holder may be a stopped thread. (They
  // take it in native scopes, so they are not; but the rule is cheap to keep.)
  world.start();
#if defined(TAILRACE_VERIFY)
  internal::report_stale_words();
#endif
  const std::lock_guard guard(mutex_);
  const std::uint64_t goal = goal_bytes_;
  live_bytes_ = swept.live_bytes;
  set_trigger();
  ++ended_;
  if (forced) ++forced_cycles_;
  const auto pause = static_cast<std::uint64_t>(end - begin);
  pause_total_ns_ += pause;
  pauses_ns_[(ended_ - 1) % MemStats::kPauses] = pause;
  gc_cpu_ns_ += static_cast<std::uint64_t>(cpu_ns);
  mark_queue_bytes_ = marker.queue_sys_bytes();
  last_end_ns_ = end;
  last_end_unix_ns_ = unix_now_ns();
  if (options_.trace) {
    print_trace(ended_, times_ns, cpu_ns, swept.live_bytes + swept.freed_bytes, goal);
  }
  done_.notify_all();
}

void Collector::print_trace(std::uint64_t number, const std::int64_t* times_ns, std::int64_t cpu_ns,
                            std::uint64_t heap_before, std::uint64_t goal) {
  const auto ms = [](std::int64_t ns) { return static_cast<double>(ns) / 1e6; };
  const std::int64_t stop = times_ns[1] - times_ns[0];
  const std::int64_t mark = times_ns[2] - times_ns[1];
  const std::int64_t sweep = times_ns[3] - times_ns[2];
  const double elapsed = static_cast<double>(times_ns[3] - started_ns_);
  const double share =
      elapsed <= 0 ? 0 : 100.0 * static_cast<double>(gc_cpu_ns_) / (elapsed * options_.procs);
  std::uint64_t stacks = 0;
  std::uint64_t stack_sys = 0;
  World::instance().stack_bytes(stacks, stack_sys);
  const auto mb = [](std::uint64_t bytes) {
    return static_cast<std::uint64_t>(static_cast<double>(bytes) / kMebibyte);
  };
  std::fprintf(stderr,
               "gc %" PRIu64
               " @%.3fs %.0f%%: %.3g+%.3g+%.3g ms clock, %.3g+0/%.3g/0+%.3g ms cpu, "
               "%" PRIu64 "->%" PRIu64 "->%" PRIu64 " MB, %" PRIu64 " MB goal, %" PRIu64
               " MB stacks, 0 MB globals, %u P\n",
               number, elapsed / 1e9, share, ms(stop), ms(mark), ms(sweep), ms(stop), ms(cpu_ns),
               ms(sweep), mb(heap_before), mb(heap_before), mb(live_bytes_), mb(goal), mb(stacks),
               options_.procs);
}

void Collector::fill(MemStats& stats) {
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
    // Relaxed: a cycle may free between the two readings; never below zero.
    stats.frees = std::min(freed_objects_.load(std::memory_order_relaxed), stats.mallocs);
    stats.heap_alloc = stats.total_alloc -
                       std::min(freed_bytes_.load(std::memory_order_relaxed), stats.total_alloc);
    stats.heap_objects = stats.mallocs - stats.frees;
    stats.next_gc = goal_bytes_;
    stats.heap_live = live_bytes_;
    stats.num_gc = ended_;
    stats.num_forced_gc = forced_cycles_;
    stats.last_gc_unix_ns = last_end_unix_ns_;
    stats.pause_total_ns = pause_total_ns_;
    stats.gc_cpu_ns = gc_cpu_ns_;
    const auto elapsed = static_cast<double>(os::now_ns() - started_ns_);
    stats.gc_cpu_fraction =
        elapsed <= 0 ? 0 : static_cast<double>(gc_cpu_ns_) / (elapsed * options_.procs);
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
  stats.other_sys = root_table_bytes();
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
