// What managed memory costs: allocation, containers, and a whole cycle over a big heap. Figures are to be
// compared within one run (malloc and std beside ours), not with another machine's. Where CPU time is the
// process's, the collector's thread is in it. Go's counterparts: loadtest/peers/go/bench; deploy/benchmarks
// runs both.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gcruntime/gc/allocs_per_run.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/mem_stats.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/vector.h"

namespace tailrace::gc {
namespace {

// 56 bytes and the header: a 64-byte slot.
struct Node {
  std::array<Member<Node>, 4> links;
  std::array<std::int64_t, 3> values{};
};
BOOST_DESCRIBE_STRUCT(Node, (), (links, values))
static_assert(sizeof(Node) == 56);

struct Numbers {
  std::array<std::int64_t, 8> values{};
};
BOOST_DESCRIBE_STRUCT(Numbers, (), (values))

struct Tree {
  Member<Tree> left;
  Member<Tree> right;
};
BOOST_DESCRIBE_STRUCT(Tree, (), (left, right))

// Attached, and the cycles of the run as a counter.
class Attached {
 public:
  explicit Attached(benchmark::State& state) : state_(state), cycles_(read_mem_stats().num_gc) {}
  ~Attached() {
    state_.counters["cycles"] = static_cast<double>(read_mem_stats().num_gc - cycles_);
  }

 private:
  ThreadScope scope_;
  benchmark::State& state_;
  std::uint64_t cycles_;
};

void allocate_64_scanned(benchmark::State& state) {
  const Attached attached(state);
  const auto allocs = report_allocs(state);
  for (auto _ : state) benchmark::DoNotOptimize(make<Node>());
}
BENCHMARK(allocate_64_scanned)->MeasureProcessCPUTime();

void allocate_64_noscan(benchmark::State& state) {
  const Attached attached(state);
  const auto allocs = report_allocs(state);
  for (auto _ : state) benchmark::DoNotOptimize(make<Numbers>());
}
BENCHMARK(allocate_64_noscan)->MeasureProcessCPUTime();

// Contents undefined: what text and numbers' backings use.
void allocate_64_noscan_raw(benchmark::State& state) {
  const Attached attached(state);
  for (auto _ : state) benchmark::DoNotOptimize(allocate_noscan(64));
}
BENCHMARK(allocate_64_noscan_raw)->MeasureProcessCPUTime();

void add_live_16_mib(Root<Vector<Member<Node>>>& live) {
  for (int i = 0; i < 1 << 18; ++i) live->push_back(make<Node>());
}

// The same 16 MiB behind: what a process with a working set sees.
void allocate_64_scanned_live_16_mib(benchmark::State& state) {
  const Attached attached(state);
  Root<Vector<Member<Node>>> live;
  add_live_16_mib(live);
  const auto allocs = report_allocs(state);
  for (auto _ : state) benchmark::DoNotOptimize(make<Node>());
}
BENCHMARK(allocate_64_scanned_live_16_mib)->MeasureProcessCPUTime();

void allocate_64_noscan_live_16_mib(benchmark::State& state) {
  const Attached attached(state);
  Root<Vector<Member<Node>>> live;
  add_live_16_mib(live);
  const auto allocs = report_allocs(state);
  for (auto _ : state) benchmark::DoNotOptimize(make<Numbers>());
}
BENCHMARK(allocate_64_noscan_live_16_mib)->MeasureProcessCPUTime();

// Three quarters of all slots live, at random.
void allocate_64_scanned_checkerboard(benchmark::State& state) {
  const Attached attached(state);
  Root<Vector<Member<Node>>> live;
  std::mt19937 random(1);
  for (int i = 0; i < 1 << 18; ++i) {
    Node* node = make<Node>();
    if (random() % 4 != 0) live->push_back(node);
  }
  collect();
  for (auto _ : state) benchmark::DoNotOptimize(make<Node>());
}
BENCHMARK(allocate_64_scanned_checkerboard)->MeasureProcessCPUTime();

void malloc_free_64(benchmark::State& state) {
  for (auto _ : state) {
    void* const memory = std::malloc(64);
    benchmark::DoNotOptimize(memory);
    std::free(memory);
  }
}
BENCHMARK(malloc_free_64);

// Freed much later, as garbage is: a ring of 256 KiB.
void malloc_free_64_ring(benchmark::State& state) {
  std::vector<void*> ring(4096);
  std::size_t at = 0;
  for (auto _ : state) {
    std::free(ring[at]);
    ring[at] = std::malloc(64);
    at = (at + 1) % ring.size();
  }
  for (void* memory : ring) std::free(memory);
}
BENCHMARK(malloc_free_64_ring);

constexpr std::int64_t kElements = 1000;

void per_element(benchmark::State& state, std::int64_t elements = kElements) {
  state.SetItemsProcessed(state.iterations() * elements);
}

void vector_push_back_int(benchmark::State& state) {
  const Attached attached(state);
  const auto allocs = report_allocs(state);
  for (auto _ : state) {
    Vector<int> numbers;
    for (int i = 0; i < kElements; ++i) numbers.push_back(i);
    benchmark::DoNotOptimize(numbers.data());
  }
  per_element(state);
}
BENCHMARK(vector_push_back_int);

void std_vector_push_back_int(benchmark::State& state) {
  for (auto _ : state) {
    std::vector<int> numbers;
    for (int i = 0; i < kElements; ++i) numbers.push_back(i);
    benchmark::DoNotOptimize(numbers.data());
  }
  per_element(state);
}
BENCHMARK(std_vector_push_back_int);

void vector_push_back_member(benchmark::State& state) {
  const Attached attached(state);
  Node* node = make<Node>();
  const auto allocs = report_allocs(state);
  for (auto _ : state) {
    Vector<Member<Node>> members;
    for (int i = 0; i < kElements; ++i) members.push_back(node);
    benchmark::DoNotOptimize(members.data());
  }
  per_element(state);
}
BENCHMARK(vector_push_back_member);

void vector_sum_range_for(benchmark::State& state) {
  const Attached attached(state);
  Vector<int> numbers;
  numbers.resize(kElements);
  for (auto _ : state) {
    int sum = 0;
    for (const int each : numbers) sum += each;
    benchmark::DoNotOptimize(sum);
  }
  per_element(state);
}
BENCHMARK(vector_sum_range_for);

constexpr std::int64_t kKeys = 10'000;

std::vector<int> shuffled_keys() {
  std::vector<int> keys(kKeys);
  for (int i = 0; i < kKeys; ++i) keys[static_cast<std::size_t>(i)] = i * 7919;
  std::shuffle(keys.begin(), keys.end(), std::mt19937(1));
  return keys;
}

void map_insert(benchmark::State& state) {
  const Attached attached(state);
  const std::vector<int> keys = shuffled_keys();
  const auto allocs = report_allocs(state);
  for (auto _ : state) {
    Map<int, std::int64_t> map;
    for (const int key : keys) map.insert(key, key);
    benchmark::DoNotOptimize(map.size());
  }
  per_element(state, kKeys);
}
BENCHMARK(map_insert)->MeasureProcessCPUTime();

void std_unordered_map_insert(benchmark::State& state) {
  const std::vector<int> keys = shuffled_keys();
  for (auto _ : state) {
    std::unordered_map<int, std::int64_t> map;
    for (const int key : keys) map.emplace(key, key);
    benchmark::DoNotOptimize(map.size());
  }
  per_element(state, kKeys);
}
BENCHMARK(std_unordered_map_insert);

void map_find(benchmark::State& state) {
  const Attached attached(state);
  const std::vector<int> keys = shuffled_keys();
  Map<int, std::int64_t> map;
  for (const int key : keys) map.insert(key, key);
  for (auto _ : state) {
    std::int64_t sum = 0;
    for (const int key : keys) sum += *map.find(key);
    benchmark::DoNotOptimize(sum);
  }
  per_element(state, kKeys);
}
BENCHMARK(map_find)->MeasureProcessCPUTime();

void std_unordered_map_find(benchmark::State& state) {
  const std::vector<int> keys = shuffled_keys();
  std::unordered_map<int, std::int64_t> map;
  for (const int key : keys) map.emplace(key, key);
  for (auto _ : state) {
    std::int64_t sum = 0;
    for (const int key : keys) sum += map.find(key)->second;
    benchmark::DoNotOptimize(sum);
  }
  per_element(state, kKeys);
}
BENCHMARK(std_unordered_map_find);

constexpr char kText[] = "forty characters of text, exactly forty.";
static_assert(sizeof(kText) == 41);

void string_construct(benchmark::State& state) {
  const Attached attached(state);
  const std::string_view text(kText, static_cast<std::size_t>(state.range(0)));
  const auto allocs = report_allocs(state);
  for (auto _ : state) {
    String string{text};
    benchmark::DoNotOptimize(string);
  }
}
BENCHMARK(string_construct)->Arg(13)->Arg(40);

void std_string_construct(benchmark::State& state) {
  const std::string_view text(kText, static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    std::string string(text);
    benchmark::DoNotOptimize(string);
  }
}
BENCHMARK(std_string_construct)->Arg(13)->Arg(40);

void string_copy_40(benchmark::State& state) {
  const Attached attached(state);
  const String string{std::string_view(kText)};
  for (auto _ : state) {
    String copy(string);
    benchmark::DoNotOptimize(copy);
  }
}
BENCHMARK(string_copy_40);

Tree* make_tree(int depth) {
  Tree* tree = make<Tree>();
  if (depth > 0) {
    tree->left = make_tree(depth - 1);
    tree->right = make_tree(depth - 1);
  }
  return tree;
}

// A node is one item; a cycle's share is in it.
void binary_trees_depth_16(benchmark::State& state) {
  const Attached attached(state);
  Root<Tree> long_lived(make_tree(16));
  const auto allocs = report_allocs(state);
  for (auto _ : state) benchmark::DoNotOptimize(make_tree(16));
  per_element(state, (std::int64_t{1} << 17) - 1);
}
BENCHMARK(binary_trees_depth_16)->MeasureProcessCPUTime()->Unit(benchmark::kMillisecond);

struct MallocTree {
  std::unique_ptr<MallocTree> left;
  std::unique_ptr<MallocTree> right;
};
std::unique_ptr<MallocTree> make_malloc_tree(int depth) {
  auto tree = std::make_unique<MallocTree>();
  if (depth > 0) {
    tree->left = make_malloc_tree(depth - 1);
    tree->right = make_malloc_tree(depth - 1);
  }
  return tree;
}
void binary_trees_depth_16_malloc(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(make_malloc_tree(16));
  per_element(state, (std::int64_t{1} << 17) - 1);
}
BENCHMARK(binary_trees_depth_16_malloc)->Unit(benchmark::kMillisecond);

constexpr std::size_t kBigHeapBytes = std::size_t{256} << 20;

// Whole cycles: stop, mark, sweep, start; bytes of marked slots a second.
void measure_cycles(benchmark::State& state) {
  for (auto _ : state) collect();
  const MemStats stats = read_mem_stats();
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(stats.heap_live));
  state.counters["live_MiB"] = static_cast<double>(stats.heap_live >> 20);
}

// 64-byte objects with four pointers each to random others.
void cycle_random_graph_256_mib(benchmark::State& state) {
  const ThreadScope scope;
  Root<Vector<Member<Node>>> all;
  all->reserve(kBigHeapBytes / 64);
  for (std::size_t i = 0; i < kBigHeapBytes / 64; ++i) all->push_back(make<Node>());
  std::mt19937_64 random(1);
  for (Member<Node>& node : *all) {
    for (Member<Node>& link : node->links) link = (*all)[random() % all->size()];
  }
  const Root<Node> entry((*all)[0].get());
  all = Root<Vector<Member<Node>>>();
  collect();
  measure_cycles(state);
}
BENCHMARK(cycle_random_graph_256_mib)->Unit(benchmark::kMillisecond)->UseRealTime();

Node* make_wide_tree(int depth) {
  Node* node = make<Node>();
  if (depth > 0) {
    node->links[0] = make_wide_tree(depth - 1);
    node->links[1] = make_wide_tree(depth - 1);
  }
  return node;
}

// 64-byte nodes with two children, in allocation order.
void cycle_tree_256_mib(benchmark::State& state) {
  const ThreadScope scope;
  const Root<Node> root(make_wide_tree(21));
  collect();
  measure_cycles(state);
}
BENCHMARK(cycle_tree_256_mib)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace tailrace::gc
