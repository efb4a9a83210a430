// Binary trees: many small ones that die at once beside one that lives long, built over switches.
// Oracle: each node's number follows from its parent's, and a tree's count from its depth.
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

struct Tree {
  gc::Member<Tree> left;
  gc::Member<Tree> right;
  std::uint64_t number = 0;
};
BOOST_DESCRIBE_STRUCT(Tree, (), (left, right, number))

std::uint64_t left_of(std::uint64_t number) { return number * 0x9E3779B97F4A7C15u + 1; }
std::uint64_t right_of(std::uint64_t number) { return number * 0xD1B54A32D192ED03u + 2; }

Tree* make_tree(std::uint64_t number, unsigned depth, Random& random) {
  Tree* tree = gc::make<Tree>();
  tree->number = number;
  if (depth > 0) {
    tree->left = make_tree(left_of(number), depth - 1, random);
    if (random.one_in(512)) fiber::yield();
    tree->right = make_tree(right_of(number), depth - 1, random);
  }
  return tree;
}

std::uint64_t count(Run& run, const Tree* tree, std::uint64_t number, unsigned depth) {
  run.expect_equal(tree->number, number, "tree node", tree);
  if (depth == 0) {
    run.expect(tree->left == nullptr && tree->right == nullptr, "leaf with children", tree, 1, 0);
    return 1;
  }
  return 1 + count(run, tree->left.get(), left_of(number), depth - 1) +
         count(run, tree->right.get(), right_of(number), depth - 1);
}

}  // namespace

void binary_trees(Run& run) {
  const auto long_lived_depth = static_cast<unsigned>(run.scaled(8, 2, 16));
  run.fibers(run.workers() * 2, [&](unsigned number, Random random) {
    const Tree* long_lived = make_tree(number, long_lived_depth, random);
    do {
      const auto depth = static_cast<unsigned>(2 + random.below(8));
      const std::uint64_t root = random.next();
      const Tree* tree = make_tree(root, depth, random);
      pause(random);
      run.expect_equal(count(run, tree, root, depth), (std::uint64_t{2} << depth) - 1, "tree size");
      run.step();
    } while (run.more());
    run.expect_equal(count(run, long_lived, number, long_lived_depth),
                     (std::uint64_t{2} << long_lived_depth) - 1, "size of the long-lived tree");
  });
}

}  // namespace tailrace::torture
