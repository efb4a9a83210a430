// hold_bench holds|deep|spin [key=value...]: how long the collector keeps fibers from their work, while cycles
// run back to back beside a busy program. loadtest/peers/go_holds is the same program in Go, with the same
// keys as flags; deploy/holds runs the two in turn and reads the lines that both print.
//
//   holds   the holds of each kind as a histogram ("bucket" lines, preempted ones apart, and "max"), after
//           one cycle that does not count
//   deep    the same beside fibers whose stacks are full of pointers and that are woken all the time, so that
//           some are late in each round; they are `parked`, at most 64, and `depth` KiB deep
//   spin    how long cycles take ("cycle" lines) with a fiber beside that spins without allocating or
//           polling, and without one, in turn
//
// Keys: mib live bytes · cycles · parked fibers · workers · rate of garbage in MB/s · seconds a fiber spins ·
// depth of a deep stack in KiB (`deep` and its depth are on this side only).
// The live heap is trees of 64-byte nodes. Parked fibers wait on a channel each, some frames deep, and hold
// nodes. Two churning fibers a worker relink the trees, replace parts of them, make garbage at the rate,
// spawn short fibers, pass nodes over channels and wake parked ones. In `holds` they are never idle: what
// the rate leaves over goes into relinking. Without arguments: both modes, small.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "gcruntime/fiber/scheduler.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/cycle_stats.h"
#include "gcruntime/gc/holds.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/os/clock.h"
#include "gcruntime/sync/channel.h"
#include "gcruntime/sync/wait_group.h"

namespace tailrace {
namespace {

struct Keys {
  std::int64_t mib = 10;
  std::int64_t cycles = 200;
  std::int64_t parked = 10'000;
  std::int64_t workers = 3;
  std::int64_t rate = 300;
  std::int64_t seconds = 2;
  std::int64_t depth = 256;
};

constexpr int kTreeDepth = 10;  // 1023 nodes, 64 KiB
constexpr std::int64_t kTreeBytes = 64 << kTreeDepth;
constexpr int kFrames = 6;  // of a parked fiber
constexpr int kChain = 64;  // nodes of garbage a turn
constexpr std::int64_t kTurnBytes = kChain * 64 + 7 * 64 + 1024;
constexpr std::int64_t kMostDebtNs = 20'000'000;  // of garbage, which is made up for

// With its header: a 64-byte slot.
struct Node {
  std::array<gc::Member<Node>, 2> links;
  std::array<std::int64_t, 5> values{};
};
BOOST_DESCRIBE_STRUCT(Node, (), (links, values))

using Forest = gc::Vector<gc::Member<Node>>;

// The compiler may not know what becomes of it.
template <typename T>
void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

// splitmix64, as the other side has it.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  std::size_t below(std::size_t bound) { return next() % bound; }

 private:
  std::uint64_t state_;
};

Node* grow(int depth) {
  Node* tree = gc::make<Node>();
  if (depth > 1) {
    for (gc::Member<Node>& link : tree->links) link = grow(depth - 1);
  }
  return tree;
}

std::int64_t sum(const Node* tree, int depth) {
  if (tree == nullptr || depth == 0) return 0;
  return tree->values[0] + sum(tree->links[0].get(), depth - 1) +
         sum(tree->links[1].get(), depth - 1);
}

// A fiber that waits on its channel in the innermost of some frames; each of them holds a node.
using Line = fiber::Channel<std::int64_t>;

[[gnu::noinline]] std::int64_t wait_in_frames(Line& line, Node* held, int frames) {
  std::array<std::int64_t, 16> own{};
  keep(own);
  std::int64_t result = 0;
  if (frames == 0) {
    for (const std::int64_t word : line) result += word + held->values[0];
  } else {
    result =
        wait_in_frames(line, held->links[static_cast<std::size_t>(frames) & 1].get(), frames - 1);
  }
  keep(held);
  keep(own);
  return result + own[0];
}

class Service {
 public:
  Service(const Keys& keys, bool busy)
      : keys_(keys), busy_(busy), churners_(static_cast<std::size_t>(keys.workers) * 2) {
    const std::size_t trees =
        std::max(static_cast<std::size_t>((keys.mib << 20) / kTreeBytes), churners_ * 2);
    forest_->reserve(trees);
    for (std::size_t i = 0; i < trees; ++i) forest_->push_back(grow(kTreeDepth));
    for (std::int64_t i = 0; i < keys.parked; ++i) lines_.push_back(std::make_unique<Line>(1));
  }

  // On a fiber: starts them all; and ends them.
  void start() {
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      parked_.go([this, i] {
        Node* const tree = (*forest_)[i % forest_->size()].get();
        keep(wait_in_frames(*lines_[i], tree, kFrames));
      });
    }
    fiber::yield();
    for (std::size_t i = 0; i < churners_; ++i) churn_.go([this, i] { churn(i); });
  }
  void stop() {
    // Relaxed: a late look costs a turn.
    stopped_.store(true, std::memory_order_relaxed);
    churn_.wait();
    for (auto& line : lines_) line->close();
    parked_.wait();
  }

 private:
  // A link in one of the churner's own trees, `depth` links down. No two churners write to the same one.
  gc::Member<Node>& place(std::size_t churner, std::size_t nth, int depth, Random& random) {
    const std::size_t own = (forest_->size() - churner - 1) / churners_ + 1;
    gc::Member<Node>* link = &(*forest_)[churner + nth % own * churners_];
    for (; depth > 0; --depth) link = &(*link)->links[random.next() & 1];
    return *link;
  }

  // Two branches of two trees change places, and one of them is walked over.
  void relink(std::size_t churner, Random& random) {
    const std::size_t nth = random.next() >> 1;
    const int depth = 1 + static_cast<int>(random.below(5));
    gc::Member<Node>& one = place(churner, nth, depth, random);
    gc::Member<Node>& other = place(churner, nth + 1, depth, random);
    Node* const branch = one.get();
    one = other.get();
    other = branch;
    keep(sum(branch, 4));
  }

  void make_garbage(std::size_t churner, Random& random) {
    Node* chain = nullptr;
    for (int i = 0; i < kChain; ++i) {
      Node* const node = gc::make<Node>();
      node->links[0] = chain;
      chain = node;
    }
    keep(gc::allocate_noscan(1024));
    place(churner, random.next(), kTreeDepth - 3, random) = grow(3);
    if (random.below(8) == 0) {
      fiber::Channel<Node*> answers(1);
      fiber::JoinHandle asked = fiber::spawn([&answers, chain] {
        Node* const answer = gc::make<Node>();
        answer->links[1] = chain;
        answers.send(answer);
      });
      chain = *answers.receive();
      asked.join();
    }
    if (random.below(8) == 0 && !lines_.empty()) {
      lines_[random.below(lines_.size())]->try_send(1);
    }
    keep(chain);
  }

  void churn(std::size_t churner) {
    Random random(churner + 1);
    const std::int64_t turn_ns =
        kTurnBytes * 1000 * static_cast<std::int64_t>(churners_) / keys_.rate;
    std::int64_t due_ns = os::now_ns();
    // Relaxed: see stop().
    while (!stopped_.load(std::memory_order_relaxed)) {
      const std::int64_t now_ns = os::now_ns();
      if (due_ns <= now_ns) {
        make_garbage(churner, random);
        due_ns = std::max(due_ns + turn_ns, now_ns - kMostDebtNs);
      } else if (busy_) {
        relink(churner, random);
      } else {
        relink(churner, random);
        fiber::sleep_for_ns(1'000'000);
      }
      if (random.below(16) == 0) fiber::yield();
    }
  }

  const Keys keys_;
  const bool busy_;
  const std::size_t churners_;
  gc::Root<Forest> forest_;
  std::vector<std::unique_ptr<Line>> lines_;
  std::atomic<bool> stopped_{false};
  fiber::Group parked_;
  fiber::Group churn_;
};

fiber::SchedulerOptions scheduler_options(const Keys& keys) {
  fiber::SchedulerOptions options;
  options.workers = static_cast<unsigned>(keys.workers);
  options.long_slice_ns = 0;
  return options;
}

// Runs `measure` beside the service, on this thread.
template <typename F>
void beside_service(const Keys& keys, bool busy, F&& measure) {
  // No cycles while the heap is built.
  gc::configure({.percent = -1, .procs = static_cast<unsigned>(keys.workers)});
  fiber::Scheduler scheduler(scheduler_options(keys));
  scheduler.start();
  {
    Service service(keys, busy);
    gc::set_percent(100);
    scheduler.run([&] { service.start(); });
    gc::collect();
    measure(scheduler);
    scheduler.run([&] { service.stop(); });
  }
  gc::set_percent(-1);
  gc::collect();
}

void rest(std::int64_t ns) {
  gc::native([ns] { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); });
}

// Of the whole process so far.
struct Readings {
  std::array<gc::HoldCounts, gc::kHoldKinds> holds;
  std::array<gc::HoldCounts, gc::kHoldKinds> preempted;
  gc::MemStats memory;
  gc::CycleStats cycles;
  std::int64_t now_ns = 0;
};

Readings read() {
  Readings result;
  for (std::size_t i = 0; i < gc::kHoldKinds; ++i) {
    result.holds[i] = gc::read_holds(static_cast<gc::HoldKind>(i));
    result.preempted[i] = gc::read_preempted_holds(static_cast<gc::HoldKind>(i));
  }
  result.memory = gc::read_mem_stats();
  result.cycles = gc::read_cycle_stats();
  result.now_ns = os::now_ns();
  return result;
}

void print_holds(const char* kind, int preempted, const gc::HoldCounts& before,
                 const gc::HoldCounts& after) {
  std::int64_t longest = 0;
  for (std::size_t i = 0; i < gc::HoldCounts::kBuckets; ++i) {
    const std::uint64_t count = after.counts[i] - before.counts[i];
    if (count == 0) continue;
    // The longest of all, if it is older than the first reading, is in no later bucket's way.
    longest = std::min(gc::HoldCounts::bound_ns(i), after.max_ns);
    std::printf("bucket kind=%s preempted=%d low=%" PRId64 " high=%" PRId64 " count=%" PRIu64 "\n",
                kind, preempted, i == 0 ? 0 : gc::HoldCounts::bound_ns(i - 1), longest, count);
  }
  std::printf("max kind=%s preempted=%d ns=%" PRId64 "\n", kind, preempted, longest);
}

// "cycle" lines have the time of one cycle, sweep included; `beside` says what ran.
void print_cycle(const char* beside, std::int64_t ns) {
  std::printf("cycle beside=%s ns=%" PRId64 "\n", beside, ns);
}

// A fiber with so many bytes of pointers on its stack, which yields on top of them until it is told to stop.
[[gnu::noinline]] void yield_on_pointers(const Forest& forest, std::int64_t bytes,
                                         const std::atomic<bool>& stopped, Random& random) {
  constexpr std::int64_t kFrameBytes = 8192;
  std::array<Node*, kFrameBytes / sizeof(Node*)> held;
  for (Node*& each : held) {
    Node* const tree = forest[random.below(forest.size())].get();
    each = tree->links[random.next() & 1]->links[random.next() & 1].get();
  }
  keep(held);
  if (bytes > kFrameBytes) {
    yield_on_pointers(forest, bytes - kFrameBytes, stopped, random);
  } else {
    // Relaxed: a late look costs a turn.
    while (!stopped.load(std::memory_order_relaxed)) fiber::sleep_for_ns(20'000);
  }
  keep(held);
}

class DeepFibers {
 public:
  DeepFibers(const Keys& keys, fiber::Scheduler& scheduler) {
    for (int i = 0; i < 256; ++i) forest_->push_back(grow(4));
    // The frames' own, and what lies below them.
    const std::size_t stack_bytes = static_cast<std::size_t>(keys.depth) * 2048 + 65'536;
    for (std::uint64_t i = 0;
         i < static_cast<std::uint64_t>(std::min<std::int64_t>(keys.parked, 64)); ++i) {
      fibers_.push_back(scheduler.spawn({stack_bytes, "deep"}, [this, i, &keys] {
        Random random(i);
        yield_on_pointers(*forest_, keys.depth * 1024, stopped_, random);
      }));
    }
  }
  ~DeepFibers() {
    stopped_.store(true, std::memory_order_relaxed);
    for (fiber::JoinHandle& each : fibers_) each.join();
  }

 private:
  gc::Root<Forest> forest_;
  std::atomic<bool> stopped_{false};
  std::vector<fiber::JoinHandle> fibers_;
};

void measure_holds(const Keys& keys, bool deep) {
  gc::set_preemption_measured(true);
  Keys service = keys;
  if (deep) service.parked = 0;
  beside_service(service, true, [&](fiber::Scheduler& scheduler) {
    std::optional<DeepFibers> deep_fibers;
    if (deep) {
      deep_fibers.emplace(keys, scheduler);
      gc::collect();
    }
    const Readings before = read();
    for (std::int64_t i = 0; i < keys.cycles; ++i) {
      const std::int64_t begin_ns = os::now_ns();
      gc::collect();
      print_cycle("churn", os::now_ns() - begin_ns);
      rest(2'000'000);
    }
    const Readings after = read();
    for (std::size_t i = 0; i < gc::kHoldKinds; ++i) {
      const char* const kind = gc::hold_kind_name(static_cast<gc::HoldKind>(i));
      print_holds(kind, 0, before.holds[i], after.holds[i]);
      print_holds(kind, 1, before.preempted[i], after.preempted[i]);
    }
    const double seconds = static_cast<double>(after.now_ns - before.now_ns) / 1e9;
    const std::uint64_t cycles = after.memory.num_gc - before.memory.num_gc;
    std::printf(
        "run cycles=%" PRIu64 " rounds=%" PRIu64 " seconds=%.2f live_mb=%.1f mb_per_s=%.1f\n",
        cycles, after.cycles.rounds_total - before.cycles.rounds_total, seconds,
        static_cast<double>(after.memory.heap_live) / 1e6,
        static_cast<double>(after.memory.total_alloc - before.memory.total_alloc) / 1e6 / seconds);
  });
}

[[gnu::noinline]] std::uint64_t spin(std::uint64_t turns) {
  std::uint64_t x = 88172645463325252u;
  for (std::uint64_t i = 0; i < turns; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  return x;
}

// Turns of spin() for so long: the best of several tries, so that a lost processor does not count.
std::uint64_t turns_for(std::int64_t ns) {
  constexpr std::uint64_t kTurns = 1'000'000;
  std::int64_t best_ns = INT64_MAX;
  for (int i = 0; i < 10; ++i) {
    const std::int64_t begin_ns = os::now_ns();
    keep(spin(kTurns));
    best_ns = std::min(best_ns, os::now_ns() - begin_ns);
  }
  return static_cast<std::uint64_t>(static_cast<double>(ns) * static_cast<double>(kTurns) /
                                    static_cast<double>(best_ns));
}

void measure_spin(const Keys& keys) {
  const std::int64_t length_ns = keys.seconds > 0 ? keys.seconds * 1'000'000'000 : 50'000'000;
  const std::uint64_t turns = turns_for(length_ns);
  const std::int64_t rest_ns = length_ns / 50;
  beside_service(keys, false, [&](fiber::Scheduler& scheduler) {
    std::int64_t with = 0;
    std::int64_t without = 0;
    while (with < keys.cycles || without < keys.cycles) {
      std::atomic<int> state{0};
      fiber::JoinHandle spinner = scheduler.spawn({0, "spinner"}, [&] {
        // Release: pairs with the acquire loads below; 1 is before the first turn, 2 behind the last.
        state.store(1, std::memory_order_release);
        keep(spin(turns));
        state.store(2, std::memory_order_release);
      });
      while (state.load(std::memory_order_acquire) == 0) rest(100'000);
      for (;;) {
        const std::int64_t begin_ns = os::now_ns();
        gc::collect();
        const std::int64_t ns = os::now_ns() - begin_ns;
        // One that the fiber's end fell into does not count.
        if (state.load(std::memory_order_acquire) == 2) break;
        print_cycle("spinner", ns);
        ++with;
        rest(rest_ns);
      }
      spinner.join();
      for (const std::int64_t end_ns = os::now_ns() + length_ns; os::now_ns() < end_ns;) {
        const std::int64_t begin_ns = os::now_ns();
        gc::collect();
        print_cycle("none", os::now_ns() - begin_ns);
        ++without;
        rest(rest_ns);
      }
    }
  });
}

[[noreturn]] void usage() {
  std::fprintf(stderr,
               "usage: hold_bench holds|deep|spin [mib=10] [cycles=200] [parked=10000] [workers=3] "
               "[rate=300] [seconds=2] [depth=256]\n");
  std::exit(2);
}

Keys read_keys(int argc, char** argv) {
  Keys keys;
  const std::pair<std::string_view, std::int64_t*> known[] = {
      {"mib=", &keys.mib},         {"cycles=", &keys.cycles}, {"parked=", &keys.parked},
      {"workers=", &keys.workers}, {"rate=", &keys.rate},     {"seconds=", &keys.seconds},
      {"depth=", &keys.depth}};
  for (int i = 2; i < argc; ++i) {
    const std::string_view word = argv[i];
    std::int64_t* value = nullptr;
    for (const auto& [name, place] : known) {
      if (!word.starts_with(name)) continue;
      char* end = nullptr;
      *(value = place) = std::strtoll(argv[i] + name.size(), &end, 10);
      if (*end != 0) usage();
    }
    if (value == nullptr || *value < 0 || *value > 1'000'000) usage();
  }
  if (keys.mib == 0 || keys.workers == 0 || keys.workers > 64 || keys.rate == 0) usage();
  if (keys.depth > 4096) usage();
  return keys;
}

}  // namespace
}  // namespace tailrace

int main(int argc, char** argv) {
  const tailrace::gc::ThreadScope scope;
  const std::string_view mode = argc < 2 ? "" : argv[1];
  if (mode.empty()) {
    const tailrace::Keys small{
        .mib = 1, .cycles = 5, .parked = 100, .workers = 2, .rate = 50, .seconds = 0};
    tailrace::measure_holds(small, false);
    tailrace::measure_holds(small, true);
    tailrace::measure_spin(small);
  } else if (mode == "holds") {
    tailrace::measure_holds(tailrace::read_keys(argc, argv), false);
  } else if (mode == "deep") {
    tailrace::measure_holds(tailrace::read_keys(argc, argv), true);
  } else if (mode == "spin") {
    tailrace::measure_spin(tailrace::read_keys(argc, argv));
  } else {
    tailrace::usage();
  }
  return 0;
}
