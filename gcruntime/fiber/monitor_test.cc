// Long slices: counted, and reported with the name, the label and the stack of the culprit. The
// scheduler's trace.
#if defined(__GNUC__) && !defined(__clang__)
// In <regex>, where sanitizers' code keeps g++ 12 from seeing what is initialised.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "gcruntime/fiber/monitor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <regex>
#include <string>
#include <vector>

#include "gcruntime/base/annotations.h"
#include "gcruntime/fiber/fiber_fixture.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/os/clock.h"

namespace tailrace::fiber {
namespace {

using MonitorTest = FiberTest;
TAILRACE_FIBER_TESTS(MonitorTest);

std::mutex reports_mutex;
std::vector<LongSlice> reports;

void keep(const LongSlice& slice) {
  const std::lock_guard lock(reports_mutex);
  reports.push_back(slice);
}
std::vector<LongSlice> take_reports() {
  const std::lock_guard lock(reports_mutex);
  return std::exchange(reports, {});
}

constexpr std::int64_t kThresholdNs = 5'000'000;

SchedulerOptions watched() {
  take_reports();
  SchedulerOptions options;
  options.long_slice_ns = kThresholdNs;
  options.on_long_slice = keep;
  return options;
}

// Spins until somebody has complained, without calling anything that suspends.
TAILRACE_NOINLINE bool spin_until_counted(const Scheduler& scheduler, std::uint64_t slices) {
  const bool counted = spin_until([&] { return scheduler.stats().long_slices >= slices; });
  asm volatile("" ::: "memory");  // no tail call: this frame stays
  return counted;
}

TEST_P(MonitorTest, ASpinningFiberIsNamedWithItsStack) {
  Scheduler& own = start(watched());
  SpawnOptions options;
  options.name = "spinner";
  own.spawn(options,
            [&] {
              set_label("GET /spin");
              const std::uint64_t before = own.stats().long_slices;
              EXPECT_TRUE(spin_until_counted(own, before + 1));
              // The report comes after the count, and its stack is that of a slice that still runs.
              EXPECT_TRUE(spin_until([] {
                const std::lock_guard lock(reports_mutex);
                return !reports.empty();
              }));
            })
      .join();
  const std::vector<LongSlice> told = take_reports();
  ASSERT_FALSE(told.empty());
  const auto culprit = std::find_if(told.begin(), told.end(),
                                    [](const LongSlice& slice) { return slice.name == "spinner"; });
  if (TAILRACE_TSAN) GTEST_SKIP() << "the sanitizer delays signals until the slice is over";
  ASSERT_NE(culprit, told.end());
  EXPECT_EQ(culprit->label, "GET /spin");
  EXPECT_LT(culprit->worker, workers());
  EXPECT_GE(culprit->ran_ns, kThresholdNs);
  EXPECT_GE(culprit->cpu_ns, 0);
  EXPECT_GE(culprit->stack.size(), 2u);
}

TEST_P(MonitorTest, ASliceIsCountedOnce) {
  Scheduler& own = start(watched());
  own.run([&] {
    const std::uint64_t before = own.stats().long_slices;
    ASSERT_TRUE(spin_until([&] { return own.stats().long_slices == before + 1; }));
    // As long again, in the same slice. Others do not run.
    const std::int64_t end_ns = os::now_ns() + 4 * kThresholdNs;
    while (os::now_ns() < end_ns) {
    }
    EXPECT_EQ(own.stats().long_slices, before + 1);
    yield();
    EXPECT_TRUE(spin_until([&] { return own.stats().long_slices == before + 2; }));
  });
}

TEST_P(MonitorTest, FibersThatSuspendAreNotCounted) {
  SchedulerOptions options = watched();
  options.long_slice_ns = 2'000'000'000;  // a slice here is shorter on any machine that works
  Scheduler& own = start(options);
  own.run([&] {
    const std::int64_t end_ns = os::now_ns() + 60'000'000;
    while (os::now_ns() < end_ns) yield();
    sleep_for_ns(20'000'000);
  });
  EXPECT_EQ(own.stats().long_slices, 0u);
}

TEST_P(MonitorTest, NobodyLooksWhenTheThresholdIsZero) {
  SchedulerOptions options = watched();
  options.long_slice_ns = 0;
  Scheduler& own = start(options);
  own.run([] {
    const std::int64_t end_ns = os::now_ns() + 4 * kThresholdNs;
    while (os::now_ns() < end_ns) {
    }
  });
  EXPECT_EQ(own.stats().long_slices, 0u);
}

// Samples while the collector stops the same threads again and again, by its own signal.
TEST_P(MonitorTest, SamplesBesideCollections) {
  SchedulerOptions options = watched();
  options.long_slice_ns = 1'000'000;
  Scheduler& own = start(options);
  std::atomic<bool> enough{false};
  std::vector<JoinHandle> spinners;
  for (unsigned i = 0; i < workers(); ++i) {
    spinners.push_back(own.spawn([&] {
      // Relaxed: a flag for the test's end.
      while (!enough.load(std::memory_order_relaxed)) {
        const std::int64_t end_ns = os::now_ns() + 3'000'000;
        while (os::now_ns() < end_ns) {
        }
        yield();
      }
    }));
  }
  const std::uint64_t wanted = 5 * workers();
  const gc::ThreadScope attached;
  EXPECT_TRUE(spin_until([&] {
    gc::collect();
    return own.stats().long_slices >= wanted;
  }));
  enough = true;
  for (JoinHandle& spinner : spinners) spinner.join();
  EXPECT_FALSE(take_reports().empty());
}

// What goes to stderr meanwhile, by a pipe in its place.
class StderrPipe {
 public:
  StderrPipe() : stderr_(::dup(STDERR_FILENO)) {
    EXPECT_EQ(::pipe2(ends_, O_CLOEXEC), 0);
    EXPECT_EQ(::dup2(ends_[1], STDERR_FILENO), STDERR_FILENO);
  }
  ~StderrPipe() {
    ::dup2(stderr_, STDERR_FILENO);
    for (const int end : {stderr_, ends_[0], ends_[1]}) ::close(end);
  }
  StderrPipe(const StderrPipe&) = delete;
  StderrPipe& operator=(const StderrPipe&) = delete;

  // What one write has put there; waits for it.
  std::string next() const {
    char block[8192];
    const ssize_t got = ::read(ends_[0], block, sizeof block);
    return {block, static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
  }

 private:
  int stderr_;
  int ends_[2] = {-1, -1};
};

TEST_P(MonitorTest, TracesInGosFormatUntilItStops) {
  SchedulerOptions options;
  options.trace_every_ns = 1'000'000;
  options.long_slice_ns = 0;
  const std::string procs = std::to_string(workers());
  std::string queues = R"(\d+)";
  for (unsigned i = 1; i < workers(); ++i) queues += R"( \d+)";
  const std::regex line("SCHED (\\d+)ms: gomaxprocs=" + procs +
                        R"( idleprocs=\d threads=\d+ spinningthreads=\d needspinning=0)" +
                        R"( idlethreads=\d runqueue=\d+ \[)" + queues + R"(\]\n)");
  std::string text;
  {
    const StderrPipe pipe;
    {
      Scheduler& own = start(options);
      long before_ms = -1;
      while (std::count(text.begin(), text.end(), '\n') < 5) {
        const std::string written = pipe.next();  // each line is one write; several may be there
        text += written;
        ASSERT_EQ(written.back(), '\n') << written;
      }
      for (std::sregex_iterator each(text.begin(), text.end(), line), end; each != end; ++each) {
        EXPECT_GE(std::stol((*each)[1]), before_ms);
        before_ms = std::stol((*each)[1]);
      }
      EXPECT_TRUE(std::regex_match(text.substr(0, text.find('\n') + 1), line)) << text;
      own.stop();
    }
    // Whoever wrote has ended: nothing follows this.
    ASSERT_EQ(::write(STDERR_FILENO, "the end\n", 8), 8);
    while (!text.ends_with("the end\n")) text += pipe.next();
  }
  EXPECT_TRUE(
      std::regex_match(text.erase(text.size() - 8), std::regex(R"((SCHED \d+ms: [^\n]*\]\n)+)")))
      << text;
}

}  // namespace
}  // namespace tailrace::fiber
