// mark_bench [SHAPE [MIB [MARKERS [ROUNDS]]]]: how many MB (1e6) of live slots a core marks in a second,
// the best of the rounds. Shapes: random (64-byte slots, 4 pointers each to any object), tree64 and tree32
// (slots of that size, 2 pointers, in allocation order). loadtest/peers/go_marking has the same ones and
// prints the same line; deploy/marking runs the two in turn. Without a shape: all of them, small, once.
//
// Marking time is the CPU time of the marking threads, so that other work on the machine is not in it.
// The objects are held by nothing but a pointer outside the heap: cycles are off, markers are run by hand.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <vector>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/mark_queue.h"
#include "gcruntime/gc/marker.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/heap/heap.h"
#include "gcruntime/heap/page_map.h"
#include "gcruntime/os/clock.h"

namespace tailrace::gc {
namespace {

// With its header: a 64-byte slot.
struct Node {
  std::array<Member<Node>, 4> links;
  std::array<std::int64_t, 3> values{};
};
BOOST_DESCRIBE_STRUCT(Node, (), (links, values))

struct Tree64 {
  Member<Tree64> left;
  Member<Tree64> right;
  std::array<std::int64_t, 5> values{};
};
BOOST_DESCRIBE_STRUCT(Tree64, (), (left, right, values))

struct Tree32 {
  Member<Tree32> left;
  Member<Tree32> right;
  std::int64_t value = 0;
};
BOOST_DESCRIBE_STRUCT(Tree32, (), (left, right, value))

// splitmix64, as the other side has it.
class Random {
 public:
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }

 private:
  std::uint64_t state_ = 1;
};

void* make_random(std::size_t mib) {
  std::vector<Node*> nodes(mib << 20 >> 6);
  for (Node*& each : nodes) each = heap_make<Node>();
  Random random;
  for (Node* each : nodes) {
    for (Member<Node>& link : each->links) link = nodes[random.next() % nodes.size()];
  }
  return nodes[0];
}

template <typename Tree>
Tree* make_tree(int depth) {
  Tree* tree = heap_make<Tree>();
  if (depth > 1) {
    tree->left = make_tree<Tree>(depth - 1);
    tree->right = make_tree<Tree>(depth - 1);
  }
  return tree;
}

void* make_shape(std::string_view shape, std::size_t mib) {
  const auto depth = [mib](std::size_t slot) {
    return static_cast<int>(std::bit_width((mib << 20) / slot)) - 1;
  };
  if (shape == "random") return make_random(mib);
  if (shape == "tree64") return make_tree<Tree64>(depth(64));
  if (shape == "tree32") return make_tree<Tree32>(depth(32));
  std::fprintf(stderr, "no such shape; there are random, tree64 and tree32\n");
  std::exit(2);
}

// Only small objects were made.
void clear_marks() {
  const heap::GrownPages grown = heap::grown_pages();
  for (std::size_t page = 0; page < grown.small_end; ++page) {
    // Relaxed: no marker is at work.
    for (auto& word : heap::page_map.slot_bits[page].mark) word.store(0, std::memory_order_relaxed);
  }
}

struct Marked {
  std::uint64_t bytes = 0;
  std::int64_t cpu_ns = 0;   // of all markers
  std::int64_t wall_ns = 0;  // until the last one has ended
};

Marked mark(void* root, int markers) {
  MarkQueue& queue = MarkQueue::instance();
  clear_marks();
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<std::int64_t> cpu_ns{0};
  const std::int64_t begin = os::now_ns();
  {
    Marker first(queue);
    first.shade(root);
  }
  std::vector<std::jthread> threads;
  for (int i = 0; i < markers; ++i) {
    threads.emplace_back([&] {
      const std::int64_t cpu_begin = os::thread_cpu_ns();
      Marker marker(queue);
      marker.drain();
      // Relaxed: read after the threads have been joined.
      bytes.fetch_add(marker.stats().marked_bytes, std::memory_order_relaxed);
      cpu_ns.fetch_add(os::thread_cpu_ns() - cpu_begin, std::memory_order_relaxed);
    });
  }
  threads.clear();
  return {bytes.load(std::memory_order_relaxed), cpu_ns.load(std::memory_order_relaxed),
          os::now_ns() - begin};
}

void measure(std::string_view shape, std::size_t mib, int markers, int rounds) {
  void* const root = make_shape(shape, mib);
  Marked best;
  double wall = 0;
  for (int i = 0; i < rounds; ++i) {
    const Marked marked = mark(root, markers);
    if (best.cpu_ns == 0 || marked.cpu_ns < best.cpu_ns) best = marked;
    wall = std::max(wall,
                    static_cast<double>(marked.bytes) * 1e3 / static_cast<double>(marked.wall_ns));
  }
  clear_marks();
  std::printf("shape=%.*s markers=%d live_mb=%.1f mb_per_core_s=%.1f mb_per_wall_s=%.1f\n",
              static_cast<int>(shape.size()), shape.data(), markers,
              static_cast<double>(best.bytes) / 1e6,
              static_cast<double>(best.bytes) * 1e3 / static_cast<double>(best.cpu_ns), wall);
  std::fflush(stdout);
}

}  // namespace
}  // namespace tailrace::gc

int main(int argc, char** argv) {
  const auto number = [&](int at, int otherwise) {
    if (at >= argc) return otherwise;
    const int value = std::atoi(argv[at]);
    if (value > 0) return value;
    std::fprintf(stderr, "usage: mark_bench [SHAPE [MIB [MARKERS [ROUNDS]]]]\n");
    std::exit(2);
  };
  const tailrace::gc::ThreadScope scope;
  tailrace::gc::set_percent(-1);
  if (argc < 2) {
    for (const char* shape : {"random", "tree64", "tree32"}) {
      tailrace::gc::measure(shape, 4, 2, 1);
    }
    return 0;
  }
  const auto mib = static_cast<std::size_t>(number(2, 512));
  tailrace::gc::measure(argv[1], mib, number(3, 1), number(4, 5));
}
