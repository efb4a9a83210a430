#include "gcruntime/torture/run.h"

#include <unistd.h>
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

}  // namespace

Run::Run(const char* program, const Options& options, unsigned workers)
    : program_(program), options_(options), workers_(workers), begin_ns_(os::now_ns()) {
  gc::configure({.percent = kPercent, .trace = false, .procs = workers});
  cycles_before_ = gc::read_mem_stats().num_gc;
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
  if (options_.seconds == 0) {
    expect(cycles >= options_.cycles, "cycles", nullptr, cycles, options_.cycles);
  }
  const double seconds = static_cast<double>(os::now_ns() - begin_ns_) / 1e9;
  std::printf("torture %-13s %u workers, seed %" PRIu64 ": %" PRIu64 " steps, %" PRIu64
              " cycles, %.0f a second, %" PRIu64 " switches, %" PRIu64 " steals, %.2f s\n",
              program_, workers_, options_.seed, steps_.load(std::memory_order_relaxed), cycles,
              static_cast<double>(cycles) / seconds, stats.switches, stats.steals, seconds);
  std::fflush(stdout);
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
        options_.seconds == 0
            ? cycles >= options_.cycles
            : static_cast<double>(os::now_ns() - begin_ns_) / 1e9 >= options_.seconds;
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
  if (options_.seconds == 0) {
    std::snprintf(length, sizeof(length), "--cycles %" PRIu64, options_.cycles);
  } else {
    std::snprintf(length, sizeof(length), "--seconds %g", options_.seconds);
  }
  std::fprintf(stderr, "torture: repeat by: torture %s --seed %" PRIu64 " --workers %u %s%s%s\n",
               program_, options_.seed, workers_, length,
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
