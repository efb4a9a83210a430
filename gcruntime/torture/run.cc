#include "gcruntime/torture/run.h"

#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "gcruntime/gc/allocate.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/os/clock.h"

namespace tailrace::torture {
namespace {

// A cycle for each 64 KiB allocated, the collector's least.
constexpr int kPercent = 1;

const char* name_of(fiber::FiberState state) {
  switch (state) {
    case fiber::FiberState::kIdle:
      return "idle";
    case fiber::FiberState::kReady:
      return "ready";
    case fiber::FiberState::kRunning:
      return "running";
    case fiber::FiberState::kParked:
      return "parked";
  }
  return "?";
}

// From the seed, another one for each program and number of workers.
Mode choose_mode(const char* program, const Options& options, unsigned workers) {
  if (options.mode != Mode::kAny) return options.mode;
  std::uint64_t stream = workers;
  for (const char* at = program; *at != 0; ++at) {
    stream = stream * 31 + static_cast<unsigned char>(*at);
  }
  switch (Random(options.seed, stream).below(8)) {
    case 0:
      return Mode::kStopped;
    case 1:
      return Mode::kChecked;
    case 2:
    case 3:
      return Mode::kSlices;
    default:
      return Mode::kBeside;
  }
}

const char* name_of(Mode mode) {
  switch (mode) {
    case Mode::kAny:
      return "any";
    case Mode::kBeside:
      return "beside";
    case Mode::kSlices:
      return "slices";
    case Mode::kChecked:
      return "checked";
    case Mode::kStopped:
      return "stopped";
  }
  return "?";
}

gc::HoldCounts operator-(gc::HoldCounts counts, const gc::HoldCounts& before) {
  for (std::size_t i = 0; i < counts.counts.size(); ++i) counts.counts[i] -= before.counts[i];
  counts.total_ns -= before.total_ns;
  return counts;
}

}  // namespace

Run::Run(const char* program, const Options& options, unsigned workers)
    : program_(program),
      options_(options),
      workers_(workers),
      mode_(choose_mode(program, options, workers)),
      begin_ns_(os::now_ns()) {
  gc::configure({.percent = kPercent,
                 .trace = false,
                 .procs = workers,
                 .stop_the_world = mode_ == Mode::kStopped,
                 .check_marks = mode_ == Mode::kChecked,
                 .marks_beside = mode_ != Mode::kSlices});
  cycles_before_ = gc::read_mem_stats().num_gc;
  stats_before_ = gc::read_cycle_stats();
  checks_before_ = gc::read_mark_checks();
  for (std::size_t kind = 0; kind < gc::kHoldKinds; ++kind) {
    holds_before_[kind] = gc::read_holds(static_cast<gc::HoldKind>(kind));
  }
  fiber::SchedulerOptions scheduler;
  scheduler.workers = workers;
  // Threads share processors here, so slices are long; the watchers are at work all the same.
  scheduler.on_long_slice = [](const fiber::LongSlice&) {};
  scheduler.perturb_seed = options.seed * 2 + 1;  // never 0, which is off
  scheduler_ = std::make_unique<fiber::Scheduler>(scheduler);
  scheduler_->start();
  collector_ = std::thread([this] { collect_back_to_back(); });
  watchdog_ = std::thread([this] { watch(); });
}

Run::~Run() {
  over_.store(true, std::memory_order_relaxed);
  scheduler_->stop();
  joined_.store(true, std::memory_order_relaxed);
  gc::native([&] {
    collector_.join();
    {
      const std::lock_guard guard(mutex_);
      watch_over_ = true;
    }
    ended_.notify_one();
    watchdog_.join();
  });
  const fiber::SchedulerStats stats = scheduler_->stats();
  expect_equal(stats.fibers, 0, "fibers left");
  expect_equal(stats.fibers_runnable, 0, "entries left in queues");
  expect_equal(stats.stack_bytes_in_use, 0, "stacks left");
  scheduler_.reset();
  const std::uint64_t cycles = gc::read_mem_stats().num_gc - cycles_before_;
  if (options_.seconds == 0 && options_.steps == 0) {
    expect(cycles >= options_.cycles, "cycles", nullptr, cycles, options_.cycles);
  }
  const double seconds = static_cast<double>(os::now_ns() - begin_ns_) / 1e9;
  const double rate = static_cast<double>(cycles) / seconds;
  std::printf("torture %-13s %u workers, seed %" PRIu64 ": %" PRIu64 " steps, %" PRIu64
              " cycles, %.0f a second, %" PRIu64 " switches, %" PRIu64 " steals, %.2f s, %s",
              program_, workers_, options_.seed, steps_.load(std::memory_order_relaxed), cycles,
              rate, stats.switches, stats.steals, seconds, name_of(mode_));
  print_collector(cycles);
  std::fflush(stdout);
  expect(rate >= options_.least_rate, "cycles a second", nullptr, static_cast<std::uint64_t>(rate),
         static_cast<std::uint64_t>(options_.least_rate));
}

// Rounds: of a cycle on average, and the most (the table ends at 16). Holds in microseconds: p50/p99/most.
void Run::print_collector(std::uint64_t cycles) const {
  const gc::CycleStats stats = gc::read_cycle_stats();
  std::size_t most = 0;
  for (std::size_t i = 0; i < stats.rounds.size(); ++i) {
    if (stats.rounds[i] != stats_before_.rounds[i]) most = i + 1;
  }
  const std::uint64_t rounds = stats.rounds_total - stats_before_.rounds_total;
  std::printf("; rounds %.2f to %zu%s, %" PRIu64 " held",
              cycles == 0 ? 0 : static_cast<double>(rounds) / static_cast<double>(cycles), most,
              most == gc::CycleStats::kMostRounds ? "+" : "",
              stats.fibers_held - stats_before_.fibers_held);
  for (std::size_t kind = 0; kind < gc::kHoldKinds; ++kind) {
    const auto of_kind = static_cast<gc::HoldKind>(kind);
    const gc::HoldCounts holds = gc::read_holds(of_kind) - holds_before_[kind];
    if (holds.count() == 0) continue;
    const auto us = [&](double q) { return static_cast<double>(holds.quantile(q)) / 1e3; };
    std::printf("; %s %" PRIu64 " of %.1f/%.1f/%.0f us", gc::hold_kind_name(of_kind), holds.count(),
                us(0.5), us(0.99), us(1.0));
  }
  const gc::MarkChecks checks = gc::read_mark_checks();
  if (mode_ == Mode::kChecked) {
    std::printf(
        "; %" PRIu64 " checks of %.0f us, %" PRIu64 " objects, %" PRIu64 " suspects in %" PRIu64,
        checks.checks - checks_before_.checks,
        static_cast<double>(checks.total_ns - checks_before_.total_ns) / 1e3 /
            static_cast<double>(std::max<std::uint64_t>(checks.checks - checks_before_.checks, 1)),
        checks.objects - checks_before_.objects, checks.suspects - checks_before_.suspects,
        checks.checks_with_suspects - checks_before_.checks_with_suspects);
  }
  std::printf("\n");
}

std::size_t Run::scaled(std::size_t least, std::size_t per_second,
                        std::size_t most) const noexcept {
  const double size = options_.seconds * static_cast<double>(per_second);
  if (size <= static_cast<double>(least)) return least;
  return size >= static_cast<double>(most) ? most : static_cast<std::size_t>(size);
}

// Until the scheduler has ended, so that the ends of fibers meet cycles too.
void Run::collect_back_to_back() {
  const gc::ThreadScope attached;
  Random random(options_.seed, ~std::uint64_t{0});
  while (!joined_.load(std::memory_order_relaxed)) {
    const std::int64_t begin_ns = os::now_ns();
    gc::collect();
    const std::int64_t cycle_ns = os::now_ns() - begin_ns;
    const std::uint64_t cycles = cycles_.fetch_add(1, std::memory_order_relaxed) + 1;
    const bool enough =
        options_.seconds != 0
            ? static_cast<double>(os::now_ns() - begin_ns_) / 1e9 >= options_.seconds
        : options_.steps != 0 ? steps_.load(std::memory_order_relaxed) >= options_.steps
                              : cycles >= options_.cycles;
    if (enough) over_.store(true, std::memory_order_relaxed);
    // Stopped threads are slow to wake, and a large heap takes long: without a moment of theirs they
    // would stand still.
    const std::int64_t rest_ns = static_cast<std::int64_t>(random.below(400'000)) + cycle_ns / 2;
    gc::native([&] { std::this_thread::sleep_for(std::chrono::nanoseconds(rest_ns)); });
  }
}

// Not attached: a world that stays stopped does not stop it.
void Run::watch() {
  std::unique_lock lock(mutex_);
  std::uint64_t last = 0;
  std::int64_t since_ns = os::now_ns();
  while (!ended_.wait_for(lock, std::chrono::milliseconds(100), [&] { return watch_over_; })) {
    const std::uint64_t steps = steps_.load(std::memory_order_relaxed);
    if (steps != last) {
      last = steps;
      since_ns = os::now_ns();
    } else if (static_cast<double>(os::now_ns() - since_ns) / 1e9 > options_.hang_seconds) {
      report_hang(steps);
    }
  }
}

void Run::report_hang(std::uint64_t steps) {
  std::fprintf(stderr,
               "torture %s: no step in %.0f s; %" PRIu64 " steps and %" PRIu64 " cycles before\n",
               program_, options_.hang_seconds, steps, cycles_.load(std::memory_order_relaxed));
  print_repeat();
  // What follows takes locks that the failure may have left taken: the alarm ends the process then.
  ::alarm(5);
  const fiber::SchedulerStats stats = scheduler_->stats();
  std::fprintf(stderr,
               "%zu fibers alive, %zu running, %zu in queues; %" PRIu64 " switches, %" PRIu64
               " wakes, %" PRIu64 " sleeps\n",
               stats.fibers, stats.fibers_running, stats.fibers_runnable, stats.switches,
               stats.wakes, stats.sleeps);
  for (const fiber::FiberInfo& each : scheduler_->dump(64)) {
    std::fprintf(stderr, "  %s: %s, reason %u, %zu bytes of stack\n", each.name,
                 name_of(each.state), static_cast<unsigned>(each.reason), each.stack_used_bytes);
  }
  std::abort();
}

void Run::fail(const char* what, const void* where, std::uint64_t found, std::uint64_t expected) {
  std::fprintf(stderr,
               "torture %s: %s: object %p holds %" PRIu64 " (0x%" PRIx64 "), not %" PRIu64
               " (0x%" PRIx64 ")\n",
               program_, what, where, found, found, expected, expected);
  print_repeat();
  std::abort();
}

void Run::print_repeat() const {
  char length[64];
  if (options_.seconds != 0) {
    std::snprintf(length, sizeof(length), "--seconds %g", options_.seconds);
  } else if (options_.steps != 0) {
    std::snprintf(length, sizeof(length), "--steps %" PRIu64, options_.steps);
  } else {
    std::snprintf(length, sizeof(length), "--cycles %" PRIu64, options_.cycles);
  }
  std::fprintf(stderr,
               "torture: repeat by: torture %s --seed %" PRIu64 " --workers %u %s --mode %s%s%s\n",
               program_, options_.seed, workers_, length, name_of(mode_),
               options_.mutant.empty() ? "" : " --mutant ", options_.mutant.c_str());
}

void litter(Random& random, std::size_t count) {
  for (; count > 0; --count) {
    const std::size_t bytes = 16 + random.below(600);
    std::memset(gc::allocate_noscan(bytes), 0xE1, bytes);
  }
}

void pause(Random& random) {
  const std::uint64_t length = random.log_uniform(11);
  switch (random.below(4)) {
    case 0:
      for (std::uint64_t i = 0; i < length; ++i) __builtin_ia32_pause();
      gc::poll();
      break;
    case 1:
      litter(random, length / 64);
      break;
    case 2:
      for (std::uint64_t i = 0; i < 1 + length / 256; ++i) fiber::yield();
      break;
    default:
      break;
  }
}

}  // namespace tailrace::torture
