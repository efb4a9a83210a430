// Allocation into a heap with holes against an empty one, in one run: the ratio is the figure. CPU of the
// allocating thread, so that other work on the machine is not in it; cycles run as they do, on their thread.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

// 56 bytes and the header: a 64-byte slot.
struct Node {
  std::array<Member<Node>, 4> links;
  std::array<std::int64_t, 3> values{};
};
BOOST_DESCRIBE_STRUCT(Node, (), (links, values))

constexpr int kWindow = 2'000'000;

double ns_per_allocation() {
  const std::int64_t begin = os::thread_cpu_ns();
  for (int i = 0; i < kWindow; ++i) benchmark::DoNotOptimize(make<Node>());
  return static_cast<double>(os::thread_cpu_ns() - begin) / kWindow;
}

// `live_percent` of the slots of 32 MiB, at random.
void checkerboard(benchmark::State& state) {
  const ThreadScope scope;
  double empty = 0;
  double holes = 0;
  for (auto _ : state) {
    collect();
    empty += ns_per_allocation();
    Root<Vector<Member<Node>>> live;
    const int percent = set_percent(-1);
    std::mt19937 random(1);
    for (int i = 0; i < 1 << 19; ++i) {
      Node* node = make<Node>();
      if (random() % 100 < static_cast<unsigned>(state.range(0))) live->push_back(node);
    }
    set_percent(percent);
    collect();
    holes += ns_per_allocation();
  }
  const auto runs = static_cast<double>(state.iterations());
  state.counters["empty_ns"] = empty / runs;
  state.counters["holes_ns"] = holes / runs;
  state.counters["ratio"] = holes / std::max(empty, 1e-9);
}
BENCHMARK(checkerboard)->Arg(50)->Arg(75)->Arg(90)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace tailrace::gc
