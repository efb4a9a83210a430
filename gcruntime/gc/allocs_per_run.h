// Measuring what code allocates: for users' tests (allocs_per_run) and benchmarks (report_allocs).
//
// Both count what the calling fiber allocates, or the calling attached thread where there is no
// fiber, exactly, even if the fiber goes on on another worker in between. What fibers and threads
// that the code starts allocate is not counted. Both readings must be taken on the same fiber.
#pragma once

#include <cstdint>

#include "gcruntime/base/check.h"
#include "gcruntime/heap/alloc_counts.h"

namespace tailrace::gc {

// What the calling fiber or attached thread has allocated since it began; a difference of two
// readings is what lay between them.
AllocCounts own_alloc_counts() noexcept;

namespace internal {
// The fibers' room tells how to count on a fiber, when the first scheduler is made. Any thread.
void set_own_alloc_counts(AllocCounts (*read)() noexcept) noexcept;
}  // namespace internal

// What f allocates, averaged over n runs (rounded down) after a first one that is not counted.
template <typename F>
AllocCounts allocs_per_run(std::uint64_t n, F&& f) {
  TAILRACE_CHECK(n > 0, "allocs_per_run of no runs");
  f();
  const AllocCounts before = own_alloc_counts();
  for (std::uint64_t i = 0; i < n; ++i) f();
  AllocCounts counts = own_alloc_counts() - before;
  counts.bytes /= n;
  counts.objects /= n;
  counts.large_bytes /= n;
  counts.large_objects /= n;
  counts.assist_ns /= n;
  return counts;
}

// See report_allocs.
template <typename State>
class AllocReport {
 public:
  explicit AllocReport(State& state) noexcept : state_(state), before_(own_alloc_counts()) {}
  ~AllocReport() {
    const AllocCounts used = own_alloc_counts() - before_;
    report("B/op", used.bytes + used.large_bytes);
    report("allocs/op", used.objects + used.large_objects);
  }
  AllocReport(const AllocReport&) = delete;
  AllocReport& operator=(const AllocReport&) = delete;

 private:
  // The sum over the benchmark's threads, divided by their iterations.
  void report(const char* name, std::uint64_t total) {
    using Counter = typename decltype(State::counters)::mapped_type;
    state_.counters[name] = Counter(static_cast<double>(total), Counter::kAvgIterations);
  }

  State& state_;
  const AllocCounts before_;
};

// For Google Benchmark, whose State it takes without depending on it: adds B/op and allocs/op
// (managed memory, slot bytes) to the figures of a benchmark. Hold the result from just before the
// loop:
//
//   const auto allocs = gc::report_allocs(state);
//   for (auto _ : state) benchmark::DoNotOptimize(handle(request));
template <typename State>
[[nodiscard]] AllocReport<State> report_allocs(State& state) noexcept {
  return AllocReport<State>(state);
}

}  // namespace tailrace::gc
