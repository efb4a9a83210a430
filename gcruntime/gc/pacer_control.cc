#include "gcruntime/gc/pacer_control.h"

#include <algorithm>
#include <ctime>

#include "gcruntime/gc/allocs_per_run.h"
#include "gcruntime/gc/cycle_stats.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/mark_budget.h"
#include "gcruntime/gc/mark_rate.h"
#include "gcruntime/gc/mark_slice.h"
#include "gcruntime/gc/marking.h"
#include "gcruntime/gc/memory_limit.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/sweep.h"

namespace tailrace::gc {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;
// Between two reports of one thread: no goal is nearer.
constexpr std::uint64_t kLeastGrowth = 64 * 1024;
constexpr std::uint64_t kSweepBudgetWithoutGoal = 4 * kMebibyte;
// Of one report: the rest is let off.
constexpr int kMostSlices = 4;
constexpr std::int64_t kLeastSliceNs = 25'000;
constexpr double kFading = 0.7;

// A tenth over the goal: the price in memory of passing over spans that are more than half full.
std::uint64_t roomy_bytes(std::uint64_t goal_bytes) {
  return std::max(goal_bytes, 4 * kMebibyte) / 10 * 11;
}

std::int64_t process_cpu_ns() noexcept {
  timespec time;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

std::int64_t all_gc_cpu_ns() noexcept {
  return static_cast<std::int64_t>(read_cycle_stats().all_cpu_ns());
}

// What marking is behind by when a slice's work has not been entered yet, at each processor.
std::int64_t slack_bytes(unsigned procs, std::uint64_t expected) noexcept {
  constexpr std::uint64_t kSliceWork = 128 * 1024;
  return static_cast<std::int64_t>(std::min(kSliceWork * procs, expected / 8));
}

}  // namespace

// --- Threads that allocate -----------------------------------------------------------------------

CyclePlan PacerControl::plan() const noexcept {
  return {.begin_bytes = plan_.begin.load(kRelaxed),
          .goal_bytes = plan_.goal.load(kRelaxed),
          .expected_bytes = plan_.expected.load(kRelaxed),
          .most_work_bytes = plan_.most_work.load(kRelaxed),
          .limit_goal_bytes = plan_.limit_goal.load(kRelaxed),
          .percent = plan_.plan_percent.load(kRelaxed)};
}

void PacerControl::assist(std::uint64_t bytes) noexcept {
  AssistLedger& ledger = Marking::instance().ledger();
  const CyclePlan now = plan();
  const auto done = static_cast<std::uint64_t>(ledger.work_done());
  const double ratio = assist_ratio(now, heap_bytes(), done);
  // Near the goal the ratio is as good as infinite; nobody owes more than there can be.
  const auto most = static_cast<double>(std::max(now.most_work_bytes, done) - done + kLeastGrowth);
  const auto owed = static_cast<std::int64_t>(std::min(static_cast<double>(bytes) * ratio, most));
  ledger.owe(owed);
  if (ledger.due() <= 0) return;
  if (!limited()) {
    std::int64_t left_ns = assist_allowance_ns(own_alloc_counts());
    for (int slices = 0; slices < kMostSlices && left_ns > 0; ++slices) {
      const std::int64_t due = ledger.due();
      if (due <= 0) return;
      const double rate = mark_rate_.load(kRelaxed);
      const std::int64_t wanted_ns =
          rate > 0 ? static_cast<std::int64_t>(static_cast<double>(due) / rate * 1e9)
                   : MarkBudget::kSliceNs;
      const std::int64_t most_ns =
          std::clamp(std::min(wanted_ns, left_ns), kLeastSliceNs, MarkBudget::kSliceNs);
      const std::int64_t took_ns = Marking::instance().slice(/*assist=*/true, most_ns);
      // Others have all that there is in their hands.
      if (took_ns == 0) break;
      left_ns -= took_ns;
    }
  }
  ledger.let_off(owed);
}

// --- Any thread ----------------------------------------------------------------------------------

std::uint64_t PacerControl::debt_bytes() const noexcept {
  if (!marking_wanted()) return 0;
  const AssistLedger& ledger = Marking::instance().ledger();
  const std::int64_t left =
      static_cast<std::int64_t>(std::max(plan_.expected.load(kRelaxed), kMebibyte)) -
      ledger.work_done();
  return static_cast<std::uint64_t>(std::min(ledger.debt(), std::max<std::int64_t>(left, 0)));
}

double PacerControl::mark_share() const noexcept {
  if (limited()) return MarkBudget::kShare;
  return MarkBudget::share(allocated_bytes(), growth_.load(kRelaxed), backstop_.load(kRelaxed));
}

// --- Under the collector's mutex -----------------------------------------------------------------

void PacerControl::configure(const CollectorOptions& options) noexcept {
  options_ = options;
  limiter_.configure(options.procs, options.cpu_limit);
  limited_.store(limiter_.on(), kRelaxed);
  commit();
}

void PacerControl::commit() noexcept {
  settings_ = {.percent = options_.percent,
               .memory_limit_bytes = memory_limit(),
               .min_percent = options_.min_percent,
               .share = MarkBudget::kShare};
  const std::uint64_t beside = non_heap_bytes() + free_slot_bytes_;
  const std::uint64_t live = left_.live_bytes;
  limit_goal_bytes_ = limit_goal(left_, settings_, beside);
  goal_bytes_ = heap_goal(left_, settings_, beside);
  runway_bytes_ = runway_bytes(cons_mark_.value(), left_.work_bytes(), settings_.share);
  publish_plan();
  if (goal_bytes_ == UINT64_MAX) {
    trigger_bytes_ = UINT64_MAX;
    for (std::atomic<std::uint64_t>* each : {&trigger_, &growth_, &backstop_}) {
      each->store(UINT64_MAX, kRelaxed);
    }
    heap::set_roomy_bytes(roomy_bytes(2 * live));
    heap::set_sweep_budget(std::max(live, kSweepBudgetWithoutGoal));
    return;
  }
  goal_bytes_ = std::max(goal_bytes_, live + kLeastGrowth);
  trigger_bytes_ =
      options_.stop_the_world ? goal_bytes_ : heap_trigger(live, goal_bytes_, runway_bytes_);
  const std::uint64_t growth = goal_bytes_ - live;
  const std::uint64_t trigger = std::max(trigger_bytes_, live + kLeastGrowth / 2) - live;
  trigger_.store(trigger, kRelaxed);
  growth_.store(growth, kRelaxed);
  backstop_.store(heap_backstop(left_, settings_.percent, goal_bytes_) - live, kRelaxed);
  heap::set_roomy_bytes(roomy_bytes(goal_bytes_));
  heap::set_sweep_budget(trigger - std::min(trigger, allocated_bytes()));
}

void PacerControl::publish_plan() noexcept {
  plan_.goal.store(goal_bytes_, kRelaxed);
  plan_.limit_goal.store(limit_goal_bytes_, kRelaxed);
  plan_.plan_percent.store(settings_.percent, kRelaxed);
}

void PacerControl::begin_cycle(std::int64_t now_ns) noexcept {
  begin_ns_ = now_ns;
  allocated_before_ = allocated_bytes();
  const std::uint64_t expected = left_.work_bytes();
  plan_.begin.store(left_.live_bytes + allocated_before_, kRelaxed);
  plan_.expected.store(expected, kRelaxed);
  plan_.most_work.store(expected + allocated_before_, kRelaxed);
  publish_plan();
  Marking::instance().ledger().begin(slack_bytes(options_.procs, expected));
}

void PacerControl::note_rate(std::uint64_t work_bytes, std::int64_t cpu_ns) noexcept {
  // A cycle over next to nothing is all handshakes.
  if (work_bytes < 64 * 1024 || cpu_ns <= 0) return;
  rate_work_ = rate_work_ * kFading + static_cast<double>(work_bytes);
  rate_seconds_ = rate_seconds_ * kFading + static_cast<double>(cpu_ns) / 1e9;
  mark_rate_.store(rate_work_ / rate_seconds_, kRelaxed);
}

std::uint64_t PacerControl::end_cycle(const CycleEnd& cycle) noexcept {
  AssistLedger& ledger = Marking::instance().ledger();
  const std::uint64_t work =
      cycle.beside ? static_cast<std::uint64_t>(ledger.work_done()) : cycle.found_bytes;
  ledger.begin(0);
  const std::uint64_t allocated = allocated_.exchange(0, kRelaxed);
  const std::uint64_t runway = allocated - std::min(allocated_before_, allocated);
  peak_bytes_ = left_.live_bytes + allocated;
  if (goal_bytes_ != UINT64_MAX) {
    overshoot_bytes_ =
        static_cast<std::int64_t>(peak_bytes_) - static_cast<std::int64_t>(goal_bytes_);
  }
  if (cycle.beside) {
    const double processors_ns =
        static_cast<double>(std::max<std::int64_t>(cycle.now_ns - begin_ns_, 1)) * options_.procs;
    cons_mark_.note({runway, work, static_cast<double>(cycle.mark_cpu_ns) / processors_ns},
                    MarkBudget::kShare);
    note_rate(work, cycle.mark_cpu_ns);
  }
  const std::uint64_t not_objects = cycle.stack_bytes + cycle.root_bytes;
  left_ = {.live_bytes = cycle.live_bytes,
           .found_bytes = cycle.found_bytes,
           .stack_bytes = cycle.stack_bytes,
           .root_bytes = cycle.root_bytes,
           .scanned_bytes = work - std::min(work, not_objects)};
  base_.store(cycle.live_bytes, kRelaxed);
  if (memory_limit() != kNoMemoryLimit) {
    const std::uint64_t inuse = heap::levels().inuse_bytes;
    free_slot_bytes_ = inuse - std::min(inuse, peak_bytes_);
  }
  commit();
  account(cycle.number);
  ends_[ended_++ % kWindow] = {cycle.now_ns, all_gc_cpu_ns()};
  return runway;
}

// CPU time that nobody used is neither's: the process's own clock leaves it out.
void PacerControl::account(std::uint64_t cycle) noexcept {
  const std::int64_t process_ns = process_cpu_ns();
  const std::int64_t gc_ns = all_gc_cpu_ns();
  const std::int64_t gc_since = gc_ns - gc_cpu_ns_;
  limiter_.add(gc_since, process_ns - process_cpu_ns_ - gc_since);
  gc_cpu_ns_ = gc_ns;
  process_cpu_ns_ = process_ns;
  if (limiter_.on() && !limited()) limiter_cycle_ = cycle;
  limited_.store(limiter_.on(), kRelaxed);
}

// By the rate at which whole cycles mark, handshakes and all, which is told in bytes found alive: so is the
// work.
double PacerControl::sustainable_alloc_rate() const noexcept {
  return gc::sustainable_alloc_rate(
      {.live_bytes = left_.live_bytes, .scanned_bytes = left_.found_bytes}, goal_bytes_,
      {mark_bytes_per_cpu_second(), options_.procs, settings_.share});
}

void PacerControl::fill(PacerStats& stats) const noexcept {
  stats.live_bytes = left_.live_bytes;
  stats.goal_bytes = goal_bytes_;
  stats.trigger_bytes = trigger_bytes_;
  stats.runway_bytes = runway_bytes_;
  stats.peak_bytes = peak_bytes_;
  stats.overshoot_bytes = overshoot_bytes_;
  stats.debt_bytes = debt_bytes();
  stats.mark_bytes_per_core_second = mark_bytes_per_cpu_second();
  stats.sustainable_alloc_bytes_per_second = sustainable_alloc_rate();
  stats.limiter_fill = limiter_.fill();
  stats.limiter_times = limiter_.times_on();
  stats.limiter_cycle = limiter_cycle_;
  stats.limiter_on = limiter_.on();
  if (ended_ < 2) return;
  const End& last = ends_[(ended_ - 1) % kWindow];
  const End& first = ended_ < kWindow ? ends_[0] : ends_[ended_ % kWindow];
  const double processors_ns = static_cast<double>(last.now_ns - first.now_ns) * options_.procs;
  if (processors_ns > 0) {
    stats.gc_cpu_share = static_cast<double>(last.gc_cpu_ns - first.gc_cpu_ns) / processors_ns;
  }
}

}  // namespace tailrace::gc
