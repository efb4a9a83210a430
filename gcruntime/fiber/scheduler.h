// The scheduler: M fibers on N workers. See gcruntime/DESIGN.md [fiber.*] for the protocols.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/fiber/netpoll.h"
#include "gcruntime/fiber/wait_times.h"

namespace tailrace::fiber {

// A fiber that keeps its worker from others. [fiber.slices]
struct LongSlice {
  std::string name;
  std::string label;
  unsigned worker = 0;
  std::int64_t ran_ns = 0;  // so far
  std::int64_t cpu_ns = 0;  // of them; much less if it blocks, or if its thread has no processor
  std::vector<std::string> stack;  // innermost first
  std::uint64_t unreported = 0;    // others since the last report
};

struct SchedulerOptions {
  unsigned workers = 1;                  // 1 to 64 run at first
  unsigned most_workers = 0;             // that set_active_workers may ask for; 0: `workers`
  std::size_t stack_bytes = 256 * 1024;  // virtual; committed page by page on first touch
  Netpoll* netpoll = nullptr;            // not owned; null: workers sleep on futexes
  bool steal = true;                     // false only to measure what stealing is worth
  bool rescue = true;                    // false only to measure what the rescue rule is worth
  // A fiber that runs for longer without suspending is counted and reported; 0: nobody looks.
  std::int64_t long_slice_ns = 10'000'000;
  // Told of each long slice, on a thread of the scheduler's; null: stderr, one a second at most.
  void (*on_long_slice)(const LongSlice& slice) = nullptr;
  std::int64_t trace_every_ns = 0;  // 0: no scheduler trace on stderr
  // Stacks at rest give back pages after two collection cycles, or two of these; 0: never.
  std::int64_t trim_every_ns = 10'000'000'000;
  std::uint64_t perturb_seed = 0;  // not 0: random yields, steals and delays, for torture tests
};

// Monotonic counts since start, and levels; read without stopping anyone.
struct SchedulerStats {
  unsigned workers = 0;    // that may run fibers
  std::size_t fibers = 0;  // alive
  std::size_t fibers_running = 0;
  std::size_t fibers_runnable = 0;   // in queues, estimate
  std::uint64_t fibers_created = 0;  // spawns and jobs' fibers
  std::uint64_t switches = 0;
  std::uint64_t jobs = 0;
  std::uint64_t steals = 0;        // entries moved
  std::uint64_t steal_misses = 0;  // looks that found nothing
  std::uint64_t wakes = 0;         // sleeping workers woken
  std::uint64_t sleeps = 0;
  std::uint64_t polls = 0;
  std::uint64_t rescues = 0;           // another's poller polled
  std::uint64_t rescue_misses = 0;     // its lock was taken
  std::uint64_t long_slices = 0;       // fibers that ran for longer than the threshold
  WaitCounts waits{};                  // from ready to running, by wait_bound_ns; a sample
  std::uint64_t waits_total_ns = 0;    // their sum
  std::size_t stack_bytes_in_use = 0;  // virtual size of stacks with a fiber on them
  std::size_t stack_bytes_cached = 0;  // of warm ones
  std::uint64_t stack_faults = 0;      // pages that stacks touched anew, as StackCounts finds them
  std::uint64_t stacks_trimmed = 0;    // stacks at rest that gave pages back
  std::uint64_t stack_bytes_trimmed = 0;
  std::size_t stacks_unguarded = 0;  // of the process: without a guard page; see StackPool
};

// One line of a fiber dump.
enum class FiberState : std::uint32_t { kIdle, kReady, kRunning, kParked };
struct FiberInfo {
  const char* name = "";
  char label[32] = "";  // set_label
  FiberState state = FiberState::kIdle;
  WaitReason reason = WaitReason::kNone;  // why it is parked, or was when it last was
  std::size_t stack_bytes = 0;            // virtual
  std::size_t stack_used_bytes = 0;       // of one that does not run: saved pointer to base
};

// What lives with a scheduler and is not part of it; see Scheduler::blocking_service.
class SchedulerService {
 public:
  virtual ~SchedulerService() = default;
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);
  // Calls stop().
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Starts the workers. Stops the program with a message if threads cannot be had.
  void start();
  // Waits until every fiber has ended, then ends the workers. The caller must not be a fiber.
  void stop();

  // Workers' indexes lie below it.
  unsigned workers() const noexcept;
  // How many of them may run fibers: the first ones.
  unsigned active_workers() const noexcept;
  // Lets so many run fibers, as the processors at hand change: 1 to workers(). Threads start when they
  // are first wanted; a worker beyond the number takes up no fiber any more when the one it runs
  // suspends. Any thread; returns how many there are now, fewer if a thread cannot be had.
  // [fiber.bench]
  unsigned set_active_workers(unsigned count);
  Netpoll* netpoll() const noexcept;
  SchedulerStats stats() const noexcept;
  // At most `most` fibers that are alive: name, state, what they wait for. Any thread.
  std::vector<FiberInfo> dump(std::size_t most) const;

  // Any thread.
  template <typename F>
  JoinHandle spawn(F&& function) {
    return internal::spawn_on(*this, SpawnOptions{}, std::forward<F>(function));
  }
  template <typename F>
  JoinHandle spawn(const SpawnOptions& options, F&& function) {
    return internal::spawn_on(*this, options, std::forward<F>(function));
  }
  // Runs the job on a warm fiber. Any thread.
  void submit(Job* job);

  // Runs `function` on a fiber and waits for it; for main and for tests. The caller is not a fiber.
  template <typename F>
  void run(F&& function) {
    spawn(std::forward<F>(function)).join();
  }

  // The pool of threads for blocking calls (sync/blocking_pool.h): made at the first call, destroyed
  // by stop() when every fiber has ended. Any thread.
  SchedulerService& blocking_service(SchedulerService* (*make)());
  // Null before that call, and after stop(), with which this must not run at the same time.
  SchedulerService* made_blocking_service() const noexcept;

  // The calling worker's index, or -1 on any other thread. Stale after the next suspension.
  static int current_worker() noexcept;
  // The scheduler of the calling worker, or null.
  static Scheduler* current() noexcept;

  struct Impl;

 private:
  friend JoinHandle internal::spawn(Scheduler&, const SpawnOptions&, const internal::Closure&,
                                    void*);
  Impl* impl_;
};

}  // namespace tailrace::fiber
