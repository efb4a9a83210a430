// Trees relinked while cycles run: mirrored, rotated, and their subtrees grafted elsewhere, in the own tree
// and over a table into those of others. Nodes are never made after the start: whatever is lost, is lost by
// the collector. Oracle: count, sum and square sum of all nodes' numbers.
#include <atomic>
#include <vector>

#include "gcruntime/gc/make.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

struct Node {
  gc::Member<Node> left;
  gc::Member<Node> right;
  std::uint64_t number = 0;
  std::uint64_t seal = 0;  // of the number
};
BOOST_DESCRIBE_STRUCT(Node, (), (left, right, number, seal))

constexpr std::size_t kExchanges = 16;
struct Exchange {
  std::array<gc::Atomic<Node>, kExchanges> places;
};
BOOST_DESCRIBE_STRUCT(Exchange, (), (places))

struct Sums {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  std::uint64_t squares = 0;

  void add(std::uint64_t number) {
    ++count;
    sum += number;
    squares += number * number;
  }
};

std::uint64_t seal_of(std::uint64_t number) { return ~number * 0x9E3779B97F4A7C15u; }

class Gardener {
 public:
  Gardener(Run& run, Random& random, Exchange& exchange)
      : run_(run), random_(random), exchange_(exchange) {}

  // The numbers first to last, balanced.
  Node* grow(std::uint64_t first, std::uint64_t last) {
    if (first > last) return nullptr;
    const std::uint64_t middle = first + (last - first) / 2;
    Node* node = gc::make<Node>();
    node->number = middle;
    node->seal = seal_of(middle);
    node->left = grow(first, middle - 1);
    node->right = grow(middle + 1, last);
    return node;
  }
  // Rotations and grafts make trees of any depth in time, so this does not recurse; a circle would show
  // as more nodes than there are.
  void add_up(const Node* tree, Sums& sums, std::uint64_t most) {
    std::vector<const Node*> open;  // all of them in the tree, which the caller holds
    if (tree != nullptr) open.push_back(tree);
    while (!open.empty()) {
      const Node* node = open.back();
      open.pop_back();
      run_.expect(sums.count < most, "nodes of all trees", node, sums.count, most);
      run_.expect_equal(node->seal, seal_of(node->number), "seal of a node", node);
      sums.add(node->number);
      for (const Node* next : {node->left.get(), node->right.get()}) {
        if (next != nullptr) open.push_back(next);
      }
    }
  }

  Node* turn(Node* tree) {
    switch (random_.below(4)) {
      case 0:
        mirror(tree, 0);
        return tree;
      case 1:
        return rotate(tree);
      case 2:
        graft(tree);
        return tree;
      default:
        trade(tree);
        return tree;
    }
  }

 private:
  static constexpr unsigned kDeepestGraft = 40;

  void mirror(Node* node, unsigned depth) {
    if (node == nullptr || depth > 6) return;
    Node* left = node->left.get();
    Node* right = node->right.get();
    node->left = nullptr;
    node->right = nullptr;
    // Only this frame knows the two now.
    mirror(left, depth + 1);
    if (random_.one_in(8)) pause(random_);
    mirror(right, depth + 1);
    node->left = right;
    node->right = left;
  }
  Node* rotate(Node* node) {
    Node* left = node->left.get();
    if (left == nullptr) return node;
    node->left = nullptr;
    Node* middle = left->right.get();
    left->right = nullptr;
    if (random_.one_in(4)) pause(random_);
    node->left = middle;
    left->right = node;
    return left;
  }
  // A node from which a random walk goes no further, and how deep it is.
  Node* stroll(Node* node, unsigned& depth) {
    for (depth = 0; !random_.one_in(6); ++depth) {
      Node* next = random_.one_in(2) ? node->left.get() : node->right.get();
      if (next == nullptr) break;
      node = next;
    }
    return node;
  }
  Node* cut(Node* tree) {
    unsigned depth = 0;
    Node* parent = stroll(tree, depth);
    gc::Member<Node>& side = random_.one_in(2) ? parent->left : parent->right;
    Node* branch = side.get();
    side = nullptr;
    return branch;
  }
  // Hangs the branch where there is room. It is deep, so the place must not be.
  void hang(Node* tree, Node* branch) {
    if (branch == nullptr) return;
    for (;;) {
      unsigned depth = 0;
      Node* parent = stroll(tree, depth);
      if (depth > kDeepestGraft) continue;
      if (parent->left == nullptr) {
        parent->left = branch;
        return;
      }
      if (parent->right == nullptr) {
        parent->right = branch;
        return;
      }
      if (random_.one_in(64)) {  // no room on the way: what was here hangs below
        Node* old = parent->left.get();
        parent->left = branch;
        branch = old;
        tree = parent->left.get();
      }
    }
  }
  void graft(Node* tree) {
    Node* branch = cut(tree);
    pause(random_);
    hang(tree, branch);
  }
  // The branch goes to the table, and what was there is hung here.
  void trade(Node* tree) {
    Node* branch = cut(tree);
    branch = exchange_.places[random_.below(kExchanges)].exchange(branch);
    pause(random_);
    hang(tree, branch);
  }

  Run& run_;
  Random& random_;
  Exchange& exchange_;
};

}  // namespace

void relinking(Run& run) {
  const std::uint64_t nodes = run.scaled(500, 500, 20'000);
  const unsigned fibers = run.workers() * 2;
  const gc::Root<Exchange> exchange(gc::make<Exchange>());
  std::atomic<std::uint64_t> count{0};
  std::atomic<std::uint64_t> sum{0};
  std::atomic<std::uint64_t> squares{0};
  const auto add = [&](const Sums& sums) {
    // Relaxed: read after the fibers were joined.
    count.fetch_add(sums.count, std::memory_order_relaxed);
    sum.fetch_add(sums.sum, std::memory_order_relaxed);
    squares.fetch_add(sums.squares, std::memory_order_relaxed);
  };
  run.fibers(fibers, [&](unsigned number, Random random) {
    Gardener gardener(run, random, *exchange);
    Node* tree = gardener.grow(number * nodes + 1, (number + 1) * nodes);
    do {
      for (int turn = 0; turn < 16; ++turn) tree = gardener.turn(tree);
      pause(random);
      run.step();
    } while (run.more());
    Sums sums;
    gardener.add_up(tree, sums, fibers * nodes);
    add(sums);
  });
  run.fibers(1, [&](unsigned, Random random) {
    Gardener gardener(run, random, *exchange);
    Sums sums;
    for (gc::Atomic<Node>& place : exchange->places)
      gardener.add_up(place.load(), sums, fibers * nodes);
    add(sums);
  });
  Sums expected;
  for (std::uint64_t number = 1; number <= fibers * nodes; ++number) expected.add(number);
  run.expect_equal(count.load(std::memory_order_relaxed), expected.count, "nodes");
  run.expect_equal(sum.load(std::memory_order_relaxed), expected.sum, "sum of the nodes");
  run.expect_equal(squares.load(std::memory_order_relaxed), expected.squares,
                   "squares of the nodes");
}

}  // namespace tailrace::torture
