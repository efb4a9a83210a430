#include "gcruntime/fiber/monitor.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <limits>
#include <system_error>
#include <utility>

#include "gcruntime/base/check.h"
#include "gcruntime/base/describe_code.h"
#include "gcruntime/fiber/scheduler_impl.h"
#include "gcruntime/os/clock.h"

namespace tailrace::fiber {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
// Looks for each threshold while somebody is awake.
constexpr std::int64_t kLooks = 4;
constexpr std::int64_t kShortestLookNs = 250'000;
// Of reports; what comes in between is counted.
constexpr std::int64_t kReportEveryNs = 1'000'000'000;

// Nanoseconds of CPU that a worker's thread has used; 0 if the kernel does not tell.
std::int64_t cpu_ns_of(std::thread& thread) noexcept {
  clockid_t clock;
  timespec time{};
  if (::pthread_getcpuclockid(thread.native_handle(), &clock) != 0 ||
      ::clock_gettime(clock, &time) != 0) {
    return 0;
  }
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

// Waits on the descriptor; true when it became readable. Not on a futex: system calls of requests
// are counted, and futexes there are wakes.
bool wait_readable(int descriptor, std::int64_t timeout_ns) noexcept {
  timespec timeout{};
  timeout.tv_sec = timeout_ns / 1'000'000'000;
  timeout.tv_nsec = timeout_ns % 1'000'000'000;
  pollfd wanted{descriptor, POLLIN, 0};
  return ::ppoll(&wanted, 1, &timeout, nullptr) > 0;
}

// Threads of the process, or 0.
unsigned process_threads() noexcept {
  std::FILE* file = std::fopen("/proc/self/status", "re");
  if (file == nullptr) return 0;
  char line[128];
  unsigned threads = 0;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::sscanf(line, "Threads: %u", &threads) == 1) break;
  }
  std::fclose(file);
  return threads;
}

void print_long_slice(const LongSlice& slice) {
  const double milliseconds = static_cast<double>(slice.ran_ns) / 1e6;
  std::string text = "tailrace: fiber \"" + slice.name + "\"";
  if (!slice.label.empty()) text += " (" + slice.label + ")";
  char numbers[160];
  std::snprintf(numbers, sizeof numbers,
                " has kept worker %u for %.1f ms without suspending (%.1f ms of CPU); others wait. "
                "Yield, or move it to the blocking pool.",
                slice.worker, milliseconds, static_cast<double>(slice.cpu_ns) / 1e6);
  text += numbers;
  if (slice.unreported != 0) {
    text += " " + std::to_string(slice.unreported) + " more since the last such message.";
  }
  text += '\n';
  for (const std::string& frame : slice.stack) text += "    " + frame + '\n';
  std::fputs(text.c_str(), stderr);
}

}  // namespace

Monitor::~Monitor() {
  if (stop_fd_ >= 0) ::close(stop_fd_);
}

void Monitor::start() {
  const SchedulerOptions& options = scheduler_.options;
  if (options.long_slice_ns <= 0 && options.trace_every_ns <= 0) return;
  stop_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  TAILRACE_CHECK_VALUE(stop_fd_ >= 0, "no descriptor left for the monitor: raise ulimit -n", errno);
  start_ns_ = os::now_ns();
  seen_.resize(scheduler_.workers.size());
  try {
    thread_ = std::thread(&Monitor::main, this);
  } catch (const std::system_error& error) {
    // The workers matter, this thread does not.
    std::fprintf(stderr, "tailrace: no thread for the scheduler's monitor: %s\n", error.what());
  }
}

void Monitor::stop() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  TAILRACE_CHECK_VALUE(::write(stop_fd_, &one, sizeof one) == sizeof one,
                       "the monitor cannot be told to end", errno);
  thread_.join();
}

void Monitor::main() {
  ::pthread_setname_np(::pthread_self(), "monitor");
  const SchedulerOptions& options = scheduler_.options;
  const std::int64_t look_ns = options.long_slice_ns <= 0
                                   ? kNever
                                   : std::max(options.long_slice_ns / kLooks, kShortestLookNs);
  std::int64_t distance_ns = look_ns;
  std::int64_t trace_ns = options.trace_every_ns <= 0 ? kNever : start_ns_ + options.trace_every_ns;
  std::int64_t now_ns = start_ns_;
  std::int64_t look_at_ns = look_ns == kNever ? kNever : now_ns + look_ns;
  while (!wait_readable(stop_fd_,
                        std::max<std::int64_t>(std::min(trace_ns, look_at_ns) - now_ns, 0))) {
    now_ns = os::now_ns();
    if (now_ns >= look_at_ns) {
      look(now_ns);
      const bool idle = scheduler_.sleepers.awake_count() == 0;
      distance_ns = idle ? std::min(2 * distance_ns, 2 * kLooks * look_ns) : look_ns;
      look_at_ns = now_ns + distance_ns;
    }
    if (now_ns >= trace_ns) {
      trace(now_ns);
      trace_ns = now_ns + options.trace_every_ns;
    }
  }
}

void Monitor::look(std::int64_t now_ns) {
  const unsigned started = scheduler_.started.load(std::memory_order_seq_cst);
  for (unsigned i = 0; i < started; ++i) {
    Worker& worker = *scheduler_.workers[i];
    Seen& seen = seen_[i];
    // In this order: a worker counts a slice before it names its fiber, so a fiber of the next slice
    // is never seen with the count of this one.
    const bool runs = worker.runs_fiber();
    const std::uint64_t slice = std::as_const(worker).counters().switches.read();
    if (!runs) {
      seen.since_ns = 0;
      continue;
    }
    if (slice != seen.slice || seen.since_ns == 0) {
      seen = Seen{slice, now_ns, cpu_ns_of(worker.thread), false};
      continue;
    }
    if (seen.told || now_ns - seen.since_ns < scheduler_.options.long_slice_ns) continue;
    seen.told = true;
    // Relaxed: a statistic.
    long_slices_.fetch_add(1, std::memory_order_relaxed);
    report(i, seen, now_ns);
  }
}

void Monitor::report(unsigned index, const Seen& seen, std::int64_t now_ns) {
  const SchedulerOptions& options = scheduler_.options;
  if (options.on_long_slice == nullptr) {
    if (now_ns < report_after_ns_) {
      ++unreported_;
      return;
    }
    report_after_ns_ = now_ns + kReportEveryNs;
  }
  Worker& worker = *scheduler_.workers[index];
  LongSlice slice;
  slice.worker = index;
  slice.ran_ns = now_ns - seen.since_ns;
  slice.cpu_ns = std::max<std::int64_t>(cpu_ns_of(worker.thread) - seen.cpu_ns, 0);
  slice.unreported = std::exchange(unreported_, 0);
  StackSample& sample = worker.stack_sample();
  if (sample.take(seen.slice, worker.thread)) {
    slice.name = sample.name();
    slice.label = sample.label();
    for (unsigned i = 0; i < sample.frames(); ++i) {
      // A return address may be the first byte behind its function.
      const auto* address = static_cast<const char*>(sample.frame(i)) - (i == 0 ? 0 : 1);
      slice.stack.push_back(base::describe_code(address));
    }
  } else {
    slice.name = "(it has just left)";
  }
  (options.on_long_slice != nullptr ? options.on_long_slice : print_long_slice)(slice);
}

// As Go's GODEBUG=schedtrace prints it: a processor is a worker that may run fibers, a thread that is
// idle one that does not run, and nobody ever waits to be let search. Levels are of slightly different
// moments.
void Monitor::trace(std::int64_t now_ns) const {
  // Relaxed, both: estimates. [fiber.bench]
  const unsigned workers = scheduler_.active.load(std::memory_order_relaxed);
  const unsigned started = scheduler_.started.load(std::memory_order_relaxed);
  const unsigned idle = std::min(scheduler_.sleepers.idle_count(), workers);
  const unsigned awake = std::min(scheduler_.sleepers.awake_count(), started);
  std::string text = "SCHED " + std::to_string((now_ns - start_ns_) / 1'000'000) +
                     "ms: gomaxprocs=" + std::to_string(workers) +
                     " idleprocs=" + std::to_string(idle) +
                     " threads=" + std::to_string(process_threads()) +
                     " spinningthreads=" + std::to_string(scheduler_.sleepers.searching()) +
                     " needspinning=0 idlethreads=" + std::to_string(started - awake) +
                     " runqueue=" + std::to_string(scheduler_.global.size()) + " [";
  for (unsigned i = 0; i < workers; ++i) {
    text += (i == 0 ? "" : " ") + std::to_string(scheduler_.workers[i]->queue().size());
  }
  text += "]\n";
  // One call a line, so that lines of several writers do not mix. If nobody can read it, nobody does.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace tailrace::fiber
