// What arenas cost: allocation, the end, and a store with and without one, beside what they replace, in one run.
// Divide; the machine's speed is not in the ratio.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <thread>

#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"

namespace tailrace::gc {
namespace {

// 56 bytes and the header: 64.
struct Node {
  std::array<Member<Node>, 4> links;
  std::array<std::int64_t, 3> values{};
};
BOOST_DESCRIBE_STRUCT(Node, (), (links, values))

constexpr std::int64_t kObjects = 450;  // of 64 bytes: most of a block

void on_the_heap(benchmark::State& state) {
  const ThreadScope scope;
  for (auto _ : state) {
    for (int i = 0; i < kObjects; ++i) benchmark::DoNotOptimize(make<Node>());
  }
  state.SetItemsProcessed(state.iterations() * kObjects);
}
BENCHMARK(on_the_heap)->MeasureProcessCPUTime();

// Opened and ended once for each block.
void in_an_arena(benchmark::State& state) {
  const ThreadScope scope;
  for (auto _ : state) {
    with_arena([] {
      for (int i = 0; i < kObjects; ++i) benchmark::DoNotOptimize(make<Node>());
    });
  }
  state.SetItemsProcessed(state.iterations() * kObjects);
}
BENCHMARK(in_an_arena)->MeasureProcessCPUTime();

// With so many blocks: what an arena costs beside its objects is in the difference to one with a block.
void open_and_end(benchmark::State& state) {
  const ThreadScope scope;
  const std::int64_t blocks = state.range(0);
  for (auto _ : state) {
    with_arena([blocks] {
      for (std::int64_t i = 0; i < blocks * 4; ++i) benchmark::DoNotOptimize(allocate_noscan(8000));
    });
  }
}
BENCHMARK(open_and_end)->Arg(0)->Arg(1)->Arg(4)->Arg(16);

void store_plain(benchmark::State& state) {
  const ThreadScope scope;
  Node* const to = heap_make<Node>();
  Node* const value = heap_make<Node>();
  Node* volatile* const slot = reinterpret_cast<Node* volatile*>(&to->links[0]);
  for (auto _ : state) {
    *slot = value;
    benchmark::ClobberMemory();
  }
}
BENCHMARK(store_plain);

void store_loop(benchmark::State& state, Node* to, Node* value) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(value);
    to->links[0] = value;
    benchmark::ClobberMemory();
  }
}
void store_on_the_heap(benchmark::State& state) {
  const ThreadScope scope;
  store_loop(state, heap_make<Node>(), heap_make<Node>());
}
BENCHMARK(store_on_the_heap);
// From an arena's object to one of the same, and from the heap to one.
void store_inside(benchmark::State& state) {
  const ThreadScope scope;
  with_arena([&] { store_loop(state, make<Node>(), make<Node>()); });
}
BENCHMARK(store_inside);
void store_of_the_heaps_inside(benchmark::State& state) {
  const ThreadScope scope;
  with_arena([&] { store_loop(state, make<Node>(), heap_make<Node>()); });
}
BENCHMARK(store_of_the_heaps_inside);

// What the net costs for one object that escapes.
void fade_one(benchmark::State& state) {
  const ThreadScope scope;
  const Root<Node> kept(heap_make<Node>());
  for (auto _ : state) {
    with_arena([&] {
      for (int i = 0; i < 100; ++i) kept->links[0] = make<Node>();
    });
  }
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(fade_one);

}  // namespace
}  // namespace tailrace::gc

// On a thread: an arena's end looks through the frames above it, and the first thread's stack has the
// environment there.
int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  std::thread([] { benchmark::RunSpecifiedBenchmarks(); }).join();
}
