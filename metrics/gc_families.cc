// Naming the collector's numbers.
#include "metrics/gc_families.h"

#include <cstdint>
#include <limits>
#include <utility>

namespace tailrace::metrics {
namespace {

double seconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }

template <typename Number>
void add_counter(std::vector<Family>& families, const char* name, const char* help, Number value) {
  families.push_back(single(name, help, Kind::kCounter, value));
}

// Bounds by powers of two, which are the counts' own: from 256 ns to 1.07 s.
Series hold_series(const gc::HoldCounts& holds, const char* kind) {
  constexpr unsigned kFirstPower = 8;
  constexpr unsigned kLastPower = 30;
  Series series;
  series.labels = {{"kind", kind}};
  for (unsigned power = kFirstPower; power <= kLastPower; ++power) {
    const std::int64_t bound_ns = std::int64_t{1} << power;
    series.buckets.emplace_back(to_base(static_cast<double>(bound_ns), Unit::kNanoseconds),
                                holds.count_up_to(bound_ns));
  }
  series.count = holds.count();
  series.buckets.emplace_back(std::numeric_limits<double>::infinity(), series.count);
  series.sum = seconds(holds.total_ns);
  return series;
}

// The count is the buckets' sum, so that they agree.
Family round_family(const gc::CycleStats& cycles) {
  Series series;
  for (std::size_t i = 0; i < cycles.rounds.size(); ++i) {
    series.count += cycles.rounds[i];
    const double bound = i + 1 == cycles.rounds.size() ? std::numeric_limits<double>::infinity()
                                                       : static_cast<double>(i + 1);
    const bool told = i < 4 || i == 5 || i == 7 || i == 11 || i + 1 == cycles.rounds.size();
    if (told) {
      series.buckets.emplace_back(bound, series.count);
    }
  }
  series.sum = static_cast<double>(cycles.rounds_total);
  return {"tailrace_gc_rounds",
          "Rounds over all stacks that a cycle took; an undisturbed one takes two or three.",
          Kind::kHistogram,
          {std::move(series)}};
}

Family cpu_family(const gc::CycleStats& cycles) {
  Family family{"tailrace_gc_cpu_seconds_total",
                "CPU time used to collect: by allocating threads (assist), the collector's thread "
                "(background), workers with nothing else to do (idle), answers to the collector "
                "(pause), and for sweeping (sweep).",
                Kind::kCounter,
                {}};
  constexpr std::pair<const char*, gc::GcCpu> kKinds[] = {{"assist", gc::GcCpu::kAssist},
                                                          {"background", gc::GcCpu::kBackground},
                                                          {"idle", gc::GcCpu::kIdle},
                                                          {"pause", gc::GcCpu::kPause},
                                                          {"sweep", gc::GcCpu::kSweep}};
  for (const auto& [label, kind] : kKinds) {
    add(family, {{"kind", label}}, seconds(cycles.cpu(kind)));
  }
  return family;
}

}  // namespace

void add_go_gc_families(std::vector<Family>& families, const RuntimeSnapshot& snapshot) {
  const gc::CycleStats& cycles = snapshot.cycles;
  const std::uint64_t dedicated =
      cycles.cpu(gc::GcCpu::kBackground) + cycles.cpu(gc::GcCpu::kSweep);
  add_counter(families, "go_cpu_classes_gc_mark_assist_cpu_seconds_total",
              "CPU time of marking by threads that allocate.",
              seconds(cycles.cpu(gc::GcCpu::kAssist)));
  add_counter(families, "go_cpu_classes_gc_mark_dedicated_cpu_seconds_total",
              "CPU time of the collector's own marking, and of sweeping.", seconds(dedicated));
  add_counter(families, "go_cpu_classes_gc_mark_idle_cpu_seconds_total",
              "CPU time of marking by workers with nothing else to do.",
              seconds(cycles.cpu(gc::GcCpu::kIdle)));
  add_counter(families, "go_cpu_classes_gc_pause_cpu_seconds_total",
              "CPU time in which threads answered the collector.",
              seconds(cycles.cpu(gc::GcCpu::kPause)));
  add_counter(families, "go_cpu_classes_gc_total_cpu_seconds_total", "CPU time used to collect.",
              seconds(cycles.all_cpu_ns()));

  const gc::ScavengeStats& scavenge = snapshot.scavenge;
  add_counter(families, "go_cpu_classes_scavenge_assist_cpu_seconds_total",
              "CPU time of giving memory back to the OS by who needed room at once.",
              seconds(scavenge.assist_cpu_ns));
  add_counter(families, "go_cpu_classes_scavenge_background_cpu_seconds_total",
              "CPU time of giving memory back to the OS in the background.",
              seconds(scavenge.background_cpu_ns));
  add_counter(families, "go_cpu_classes_scavenge_total_cpu_seconds_total",
              "CPU time of giving memory back to the OS.",
              seconds(scavenge.assist_cpu_ns + scavenge.background_cpu_ns));

  const gc::FinalizerStats& f = snapshot.finalizers;
  add_counter(families, "go_gc_cleanups_executed_cleanups_total", "Cleanups run.",
              f.cleanups_executed);
  add_counter(families, "go_gc_cleanups_queued_cleanups_total",
              "Cleanups whose objects were found dead.", f.cleanups_queued);
  add_counter(families, "go_gc_finalizers_executed_finalizers_total",
              "Destructors of managed objects run.", f.finalizers_executed);
  add_counter(families, "go_gc_finalizers_queued_finalizers_total",
              "Managed objects with destructors that were found dead.", f.finalizers_queued);
}

void add_gc_families(std::vector<Family>& families, const RuntimeSnapshot& snapshot) {
  const gc::CycleStats& cycles = snapshot.cycles;
  families.push_back(round_family(cycles));
  families.push_back(cpu_family(cycles));
  add_counter(families, "tailrace_gc_assist_seconds_total",
              "CPU time of marking by threads that allocate.",
              seconds(cycles.cpu(gc::GcCpu::kAssist)));
  add_counter(families, "tailrace_gc_held_fibers_total",
              "Times that a fiber was held because it outran the marking.", cycles.fibers_held);
  add_counter(families, "tailrace_gc_marked_bytes_total", "Bytes that cycles found alive.",
              cycles.marked_bytes);
  add_counter(families, "tailrace_gc_marked_objects_total", "Objects that cycles found alive.",
              cycles.marked_objects);

  add_counter(families, "tailrace_gc_released_bytes_total",
              "Bytes of free heap memory given back to the OS.", snapshot.scavenge.released_bytes);
  if (snapshot.memory.sustainable_alloc_bytes_per_second > 0) {
    families.push_back(
        single("tailrace_gc_sustainable_alloc_bytes_per_second",
               "What may be allocated on the heap a second so that marking, with a quarter of the "
               "processors, ends before the heap is at its goal: (goal - live) / (live / (mark "
               "rate of the last cycles * processors / 4)). Absent before the first cycle; +Inf "
               "without a goal.",
               Kind::kGauge, snapshot.memory.sustainable_alloc_bytes_per_second));
  }

  if (snapshot.holds.empty()) {
    return;
  }
  Family holds{"tailrace_gc_hold_seconds",
               "How long the collector kept a thread from its work, by what for.",
               Kind::kHistogram,
               {}};
  for (std::size_t i = 0; i < snapshot.holds.size(); ++i) {
    holds.series.push_back(
        hold_series(snapshot.holds[i], gc::hold_kind_name(static_cast<gc::HoldKind>(i))));
  }
  const auto assist = static_cast<std::size_t>(gc::HoldKind::kAssist);
  add_counter(families, "tailrace_gc_assists_total", "Times that a thread marked as it allocated.",
              holds.series[assist].count);
  families.push_back(std::move(holds));
}

}  // namespace tailrace::metrics
