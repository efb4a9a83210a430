// Naming the runtime's numbers.
#include "metrics/runtime_collector.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>

#include "metrics/arena_families.h"
#include "metrics/gc_families.h"
#include "metrics/pool_families.h"

namespace tailrace::metrics {
namespace {

class Page {
 public:
  template <typename Number>
  void gauge(const char* name, const char* help, Number value) {
    families.push_back(single(name, help, Kind::kGauge, value));
  }
  template <typename Number>
  void counter(const char* name, const char* help, Number value) {
    families.push_back(single(name, help, Kind::kCounter, value));
  }
  // One series for each value of one label.
  void labelled(const char* name, const char* help, Kind kind, const char* label,
                std::initializer_list<std::pair<const char*, std::uint64_t>> values) {
    Family family{name, help, kind, {}};
    for (const auto& [label_value, value] : values) {
      add(family, {{label, label_value}}, value);
    }
    families.push_back(std::move(family));
  }

  std::vector<Family> families;
};

std::uint64_t minus(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : 0; }

// The levels of MemStats were read one by one; here they are made to fit each other.
struct Levels {
  explicit Levels(const gc::MemStats& m)
      : heap_inuse(m.heap_inuse),
        heap_idle(m.heap_idle),
        heap_sys(m.heap_inuse + m.heap_idle),
        heap_released(std::min(m.heap_released, m.heap_idle)),
        heap_alloc(std::min(m.heap_alloc, m.heap_inuse)),
        stack_inuse(m.stack_inuse),
        stack_sys(std::max(m.stack_sys, m.stack_inuse)),
        mspan_inuse(m.mspan_inuse),
        mspan_sys(std::max(m.mspan_sys, m.mspan_inuse)),
        mcache_inuse(m.mcache_inuse),
        mcache_sys(std::max(m.mcache_sys, m.mcache_inuse)),
        sys(heap_sys + stack_sys + mspan_sys + mcache_sys + m.gc_sys + m.other_sys) {}
  std::uint64_t heap_inuse, heap_idle, heap_sys, heap_released, heap_alloc;
  std::uint64_t stack_inuse, stack_sys;
  std::uint64_t mspan_inuse, mspan_sys, mcache_inuse, mcache_sys;
  std::uint64_t sys;
};

// The quantiles 0, 1/4, 1/2, 3/4, 1 of the newest cycles' longest holds.
Family gc_durations(const gc::MemStats& memory) {
  auto pauses = memory.pauses_ns;
  const std::size_t count = std::min(memory.pause_count, pauses.size());
  std::sort(pauses.begin(), pauses.begin() + static_cast<long>(count));
  Series series;
  series.count = memory.num_gc;
  series.sum = static_cast<double>(memory.pause_total_ns) / 1e9;
  for (std::size_t quarter = 0; quarter <= 4; ++quarter) {
    const std::size_t rank = count == 0 ? 0 : std::min(count - 1, count * quarter / 4);
    const double value = count == 0 ? 0 : static_cast<double>(pauses[rank]) / 1e9;
    series.quantiles.emplace_back(static_cast<double>(quarter) / 4, value);
  }
  return {"go_gc_duration_seconds",
          "Each collection cycle's longest hold of a fiber; quantiles over the newest 256.",
          Kind::kSummary,
          {std::move(series)}};
}

void add_go_base(Page& page, const RuntimeSnapshot& s) {
  Family info{"go_info", "The runtime that speaks Go's metric names.", Kind::kGauge, {}};
  add(info, {{"version", "tailrace-" + version()}}, 1);
  page.families.push_back(std::move(info));

  page.gauge("go_goroutines", "Fibers alive.", s.scheduler.fibers);
  if (s.process.threads) {
    page.gauge("go_threads", "OS threads of the process.", *s.process.threads);
    page.gauge("go_sched_threads_total_threads", "OS threads of the process.", *s.process.threads);
  }
  page.families.push_back(gc_durations(s.memory));
}

void add_go_memstats(Page& page, const gc::MemStats& m, const Levels& v) {
  page.gauge("go_memstats_alloc_bytes", "Bytes in objects, live or not yet swept.", v.heap_alloc);
  page.counter("go_memstats_alloc_bytes_total", "Bytes allocated, freed ones included.",
               m.total_alloc);
  page.gauge("go_memstats_sys_bytes", "Bytes obtained from the OS; the sum of all *_sys_bytes.",
             v.sys);
  page.counter("go_memstats_mallocs_total", "Objects allocated.", m.mallocs);
  page.counter("go_memstats_frees_total", "Objects freed.", minus(m.mallocs, m.heap_objects));
  page.gauge("go_memstats_heap_alloc_bytes", "Bytes in objects, live or not yet swept.",
             v.heap_alloc);
  page.gauge("go_memstats_heap_sys_bytes", "Heap bytes obtained from the OS.", v.heap_sys);
  page.gauge("go_memstats_heap_idle_bytes", "Heap bytes in free spans.", v.heap_idle);
  page.gauge("go_memstats_heap_inuse_bytes", "Heap bytes in spans that hold objects.",
             v.heap_inuse);
  page.gauge("go_memstats_heap_released_bytes", "Idle heap bytes given back to the OS.",
             v.heap_released);
  page.gauge("go_memstats_heap_objects", "Objects allocated and not yet freed.",
             std::min(m.heap_objects, m.mallocs));
  page.gauge("go_memstats_stack_inuse_bytes", "Bytes of fiber stacks in use.", v.stack_inuse);
  page.gauge("go_memstats_stack_sys_bytes", "Bytes of fiber stacks, cached ones included.",
             v.stack_sys);
  page.gauge("go_memstats_mspan_inuse_bytes", "Bytes of span records in use.", v.mspan_inuse);
  page.gauge("go_memstats_mspan_sys_bytes", "Bytes obtained for span records.", v.mspan_sys);
  page.gauge("go_memstats_mcache_inuse_bytes", "Bytes of worker caches in use.", v.mcache_inuse);
  page.gauge("go_memstats_mcache_sys_bytes", "Bytes obtained for worker caches.", v.mcache_sys);
  page.gauge("go_memstats_buck_hash_sys_bytes",
             "Always 0: profile buckets are counted in other_sys_bytes.", std::uint64_t{0});
  page.gauge("go_memstats_gc_sys_bytes", "Bytes of the collector's own tables.", m.gc_sys);
  page.gauge("go_memstats_other_sys_bytes", "Bytes obtained for roots and all else.", m.other_sys);
  page.gauge("go_memstats_next_gc_bytes", "Heap size at which the next cycle starts.", m.next_gc);
  page.gauge("go_memstats_last_gc_time_seconds", "Unix time of the last cycle's end; 0: none yet.",
             static_cast<double>(m.last_gc_unix_ns) / 1e9);
  page.gauge("go_memstats_gc_cpu_fraction", "Share of the available CPU time used to collect.",
             m.gc_cpu_fraction);
}

void add_go_classes(Page& page, const gc::MemStats& m, const Levels& v) {
  page.gauge("go_memory_classes_heap_free_bytes", "Free heap memory that could be given back.",
             v.heap_idle - v.heap_released);
  page.gauge("go_memory_classes_heap_objects_bytes", "Objects, live or not yet swept.",
             v.heap_alloc);
  page.gauge("go_memory_classes_heap_released_bytes", "Heap memory given back to the OS.",
             v.heap_released);
  page.gauge("go_memory_classes_heap_stacks_bytes", "Fiber stacks in use.", v.stack_inuse);
  page.gauge("go_memory_classes_heap_unused_bytes", "Spans in use, without their objects.",
             v.heap_inuse - v.heap_alloc);
  page.gauge("go_memory_classes_metadata_mcache_free_bytes", "Worker caches not in use.",
             v.mcache_sys - v.mcache_inuse);
  page.gauge("go_memory_classes_metadata_mcache_inuse_bytes", "Worker caches in use.",
             v.mcache_inuse);
  page.gauge("go_memory_classes_metadata_mspan_free_bytes", "Span records not in use.",
             v.mspan_sys - v.mspan_inuse);
  page.gauge("go_memory_classes_metadata_mspan_inuse_bytes", "Span records in use.", v.mspan_inuse);
  page.gauge("go_memory_classes_metadata_other_bytes", "The collector's own tables.", m.gc_sys);
  page.gauge("go_memory_classes_os_stacks_bytes", "Fiber stacks that are cached.",
             v.stack_sys - v.stack_inuse);
  page.gauge("go_memory_classes_other_bytes", "Roots and all else.", m.other_sys);
  page.gauge("go_memory_classes_profiling_buckets_bytes",
             "Always 0: profile buckets are counted in other_bytes.", std::uint64_t{0});
  page.gauge("go_memory_classes_total_bytes", "The sum of all classes.", v.sys);
}

void add_go_gc(Page& page, const RuntimeSnapshot& s) {
  const gc::MemStats& m = s.memory;
  page.counter("go_gc_cycles_automatic_gc_cycles_total", "Cycles that the pacer started.",
               minus(m.num_gc, m.num_forced_gc));
  page.counter("go_gc_cycles_forced_gc_cycles_total", "Cycles that the program asked for.",
               std::min(m.num_forced_gc, m.num_gc));
  page.counter("go_gc_cycles_total_gc_cycles_total", "Cycles ended.", m.num_gc);
  add_go_gc_families(page.families, s);
  // As Go converts its percent of -1.
  page.gauge("go_gc_gogc_percent", "Heap growth that starts a cycle; 1.8e19: off.",
             static_cast<std::uint64_t>(static_cast<std::int64_t>(std::max(m.gc_percent, -1))));
  constexpr std::uint64_t kNoLimit = std::numeric_limits<std::int64_t>::max();
  page.gauge("go_gc_gomemlimit_bytes", "Soft memory limit; 9.2e18: none.",
             std::min(m.memory_limit, kNoLimit));
  page.gauge("go_gc_heap_goal_bytes", "Heap size at which the next cycle starts.", m.next_gc);
  page.gauge("go_gc_heap_live_bytes", "Bytes that the last cycle found live.", m.heap_live);
  page.gauge("go_gc_heap_objects_objects", "Objects allocated and not yet freed.",
             std::min(m.heap_objects, m.mallocs));
  page.counter("go_gc_heap_allocs_bytes_total", "Bytes allocated, freed ones included.",
               m.total_alloc);
  page.counter("go_gc_heap_allocs_objects_total", "Objects allocated.", m.mallocs);
  page.counter("go_gc_heap_frees_bytes_total", "Bytes freed.", s.freed_bytes);
  page.counter("go_gc_heap_frees_objects_total", "Objects freed.",
               minus(m.mallocs, m.heap_objects));
}

// From ready to running, of the sampled ones. The count is the buckets' sum, so that they agree.
Family sched_latencies(const fiber::SchedulerStats& s) {
  Series series;
  for (std::size_t i = 0; i < s.waits.size(); ++i) {
    series.count += s.waits[i];
    const double bound = i + 1 == s.waits.size()
                             ? std::numeric_limits<double>::infinity()
                             : static_cast<double>(fiber::wait_bound_ns(i)) / 1e9;
    series.buckets.emplace_back(bound, series.count);
  }
  series.sum = static_cast<double>(s.waits_total_ns) / 1e9;
  return {"go_sched_latencies_seconds",
          "How long fibers were ready before they ran; one in 59 is measured.",
          Kind::kHistogram,
          {std::move(series)}};
}

void add_go_sched(Page& page, const fiber::SchedulerStats& s) {
  const std::uint64_t busy = s.fibers_running + s.fibers_runnable;
  page.gauge("go_sched_gomaxprocs_threads", "Workers.", std::uint64_t{s.workers});
  page.gauge("go_sched_goroutines_goroutines", "Fibers alive.", s.fibers);
  page.gauge("go_sched_goroutines_running_goroutines", "Fibers running.", s.fibers_running);
  page.gauge("go_sched_goroutines_runnable_goroutines", "Fibers ready to run.", s.fibers_runnable);
  page.gauge("go_sched_goroutines_waiting_goroutines", "Fibers parked.", minus(s.fibers, busy));
  page.counter("go_sched_goroutines_created_goroutines_total", "Fibers made.", s.fibers_created);
  page.families.push_back(sched_latencies(s));
}

void add_tailrace(Page& page, const fiber::SchedulerStats& s) {
  Family build{"tailrace_build_info", "What this program was built from.", Kind::kGauge, {}};
  add(build, {{"version", version()}, {"compiler", "gcc " __VERSION__}}, 1);
  page.families.push_back(std::move(build));

  page.counter("tailrace_sched_switches_total", "Switches to a fiber.", s.switches);
  page.counter("tailrace_sched_jobs_total", "Jobs run on warm fibers.", s.jobs);
  page.labelled("tailrace_sched_steals_total",
                "Work stealing: fibers moved (ok) and looks that found nothing (empty).",
                Kind::kCounter, "result", {{"ok", s.steals}, {"empty", s.steal_misses}});
  page.counter("tailrace_sched_worker_parks_total", "Times that a worker went to sleep.", s.sleeps);
  page.counter("tailrace_sched_worker_unparks_total", "Times that a sleeping worker was woken.",
               s.wakes);
  page.counter("tailrace_sched_polls_total", "Polls of a worker's own netpoll.", s.polls);
  page.labelled("tailrace_sched_rescues_total",
                "Polls of another worker's netpoll: done (ok), or already under way (contended).",
                Kind::kCounter, "result", {{"ok", s.rescues}, {"contended", s.rescue_misses}});
  page.counter("tailrace_sched_long_slices_total",
               "Fibers that ran for longer than the threshold (timeouts.long_slice) without "
               "suspending.",
               s.long_slices);
  page.labelled("tailrace_stack_bytes", "Address space of fiber stacks.", Kind::kGauge, "state",
                {{"in_use", s.stack_bytes_in_use}, {"cached", s.stack_bytes_cached}});
}

void add_fiber_stacks(Page& page, const fiber::SchedulerStats& s) {
  page.counter("tailrace_fiber_stack_faults_total",
               "Pages that fibers' stacks have touched anew, counted when a stack is looked at.",
               s.stack_faults);
  page.counter("tailrace_fiber_stacks_trimmed_total",
               "Times that the stack of a fiber at rest gave pages back.", s.stacks_trimmed);
  page.counter("tailrace_fiber_stack_trimmed_bytes_total",
               "Bytes that stacks of fibers at rest gave back.", s.stack_bytes_trimmed);
  page.gauge("tailrace_fiber_stacks_unguarded",
             "Stacks without a guard page, on which an overflow is not noticed.",
             std::uint64_t{s.stacks_unguarded});
}

void add_blocking(Page& page, const fiber::BlockingStats& b) {
  page.labelled("tailrace_blocking_threads", "Threads of the pool for blocking calls.",
                Kind::kGauge, "state",
                {{"busy", minus(b.threads, b.idle)}, {"idle", std::min(b.idle, b.threads)}});
  page.gauge("tailrace_blocking_queued_calls", "Blocking calls that wait for a thread.",
             std::uint64_t{b.queued});
  page.labelled("tailrace_blocking_calls_total",
                "Blocking calls ended: on a thread of the pool (pool), or on their worker because "
                "no thread could be had (worker).",
                Kind::kCounter, "where", {{"pool", b.ran}, {"worker", b.ran_inline}});
}

void add_process(Page& page, const ProcessFacts& p) {
  const auto gauge = [&](const char* name, const char* help, const auto& value) {
    if (value) {
      page.gauge(name, help, *value);
    }
  };
  if (p.cpu_seconds) {
    page.counter("process_cpu_seconds_total", "CPU time used, user and system.", *p.cpu_seconds);
  }
  gauge("process_open_fds", "Open file descriptors.", p.open_fds);
  gauge("process_max_fds", "Limit of open file descriptors.", p.max_fds);
  gauge("process_virtual_memory_bytes", "Address space in use.", p.virtual_bytes);
  gauge("process_virtual_memory_max_bytes", "Limit of the address space; 1.8e19: none.",
        p.virtual_max_bytes);
  gauge("process_resident_memory_bytes", "Resident memory.", p.resident_bytes);
  gauge("process_start_time_seconds", "Unix time of the start.", p.start_time_seconds);
  if (p.network_receive_bytes) {
    page.counter("process_network_receive_bytes_total", "Bytes received in this network namespace.",
                 *p.network_receive_bytes);
  }
  if (p.network_transmit_bytes) {
    page.counter("process_network_transmit_bytes_total", "Bytes sent in this network namespace.",
                 *p.network_transmit_bytes);
  }
}

}  // namespace

RuntimeCollectorOptions runtime_collector_options_from_environment() {
  const char* const value = std::getenv("TAILRACE_GO_METRICS");
  return {.go_metrics = value == nullptr || std::string_view(value) != "0"};
}

std::vector<Family> gather(const RuntimeSnapshot& snapshot,
                           const RuntimeCollectorOptions& options) {
  Page page;
  page.families.reserve(96);
  if (options.go_metrics) {
    const Levels levels(snapshot.memory);
    add_go_base(page, snapshot);
    add_go_memstats(page, snapshot.memory, levels);
    add_go_classes(page, snapshot.memory, levels);
    add_go_gc(page, snapshot);
    add_go_sched(page, snapshot.scheduler);
  }
  add_tailrace(page, snapshot.scheduler);
  add_gc_families(page.families, snapshot);
  add_arena_families(page.families, snapshot.arenas, snapshot.arena_labels);
  add_pool_families(page.families, snapshot.pools);
  add_fiber_stacks(page, snapshot.scheduler);
  add_blocking(page, snapshot.blocking);
  add_process(page, snapshot.process);
  return std::move(page.families);
}

RuntimeCollector::RuntimeCollector(Registry& registry, const fiber::Scheduler* scheduler,
                                   const RuntimeCollectorOptions& options)
    : registration_(registry.source([scheduler, options](std::vector<Family>& families) {
        std::vector<Family> ours = gather(take_snapshot(scheduler), options);
        families.insert(families.end(), std::make_move_iterator(ours.begin()),
                        std::make_move_iterator(ours.end()));
      })) {}

}  // namespace tailrace::metrics
