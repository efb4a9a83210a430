// Trees that are mirrored by the reversal of their own pointers (Schorr and Waite's walk) while they are
// marked: at every moment the way from the root to the place of work points upwards, and the two ends of
// it are on the fiber's stack only. Nothing recurses and nothing is allocated, so all that keeps the nodes
// is what the barrier saw.
// Oracle: the numbers in order, rising or falling by one, none lost.
#include <cstdint>

#include "gcruntime/gc/make.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

struct Node {
  gc::Member<Node> left;
  gc::Member<Node> right;
  std::uint64_t number = 0;
  std::uint64_t seen = 0;  // how often the walk came by
};
BOOST_DESCRIBE_STRUCT(Node, (), (left, right, number, seen))

class Mirror {
 public:
  Mirror(Run& run, Random& random) : run_(run), random_(random) {}

  // With the numbers [first, end), balanced at random.
  Node* grow(std::uint64_t first, std::uint64_t end) {
    if (first == end) return nullptr;
    const std::uint64_t middle = first + (end - first) / 4 + random_.below((end - first + 1) / 2);
    Node* node = gc::make<Node>();
    node->number = middle;
    node->left = grow(first, middle);
    node->right = grow(middle + 1, end);
    return node;
  }

  Node* reverse(Node* at) {
    Node* up = nullptr;
    for (std::uint64_t done = 0;; ++done) {
      if (done % 256 == 0) breathe();
      Node* const side = at->seen == 0 ? at->left.get() : at->seen == 1 ? at->right.get() : nullptr;
      if (at->seen < 2) {
        gc::Member<Node>& way = at->seen++ == 0 ? at->left : at->right;
        if (side == nullptr) continue;
        way = up;
        up = at;
        at = side;
        continue;
      }
      at->seen = 0;
      Node* const left = at->left.get();
      at->left = at->right.get();
      at->right = left;
      if (up == nullptr) return at;
      gc::Member<Node>& way = up->seen == 1 ? up->left : up->right;
      Node* const above = way.get();
      way = at;
      at = up;
      up = above;
    }
  }

  void check(const Node* node, std::uint64_t& expected, std::uint64_t step) {
    if (node == nullptr) return;
    check(node->left.get(), expected, step);
    run_.expect_equal(node->number, expected, "node of a mirrored tree", node);
    expected += step;
    check(node->right.get(), expected, step);
  }

 private:
  void breathe() {
    gc::poll();
    if (random_.one_in(16)) pause(random_);
  }

  Run& run_;
  Random& random_;
};

}  // namespace

void tree_reverse(Run& run) {
  const std::uint64_t nodes = run.scaled(3'000, 10'000, 200'000);
  run.fibers(2 * run.workers(), [&](unsigned, Random random) {
    Mirror mirror(run, random);
    Node* tree = mirror.grow(1, nodes + 1);
    bool mirrored = false;
    do {
      tree = mirror.reverse(tree);
      mirrored = !mirrored;
      std::uint64_t expected = mirrored ? nodes : 1;
      mirror.check(tree, expected, mirrored ? ~std::uint64_t{0} : 1);
      run.expect_equal(expected, mirrored ? 0 : nodes + 1, "nodes of a mirrored tree");
      litter(random, 20);
      run.step();
    } while (run.more());
  });
}

}  // namespace tailrace::torture
