// Lists of up to 10 M nodes in all: what a marker that recurses dies of, and what one cycle takes longest
// to walk. They are cut in two at random, the pieces reversed in place and joined again, with switches in
// the middle, where only the stack knows both halves.
// Oracle: the nodes' numbers run up or down by one, and none is lost.
#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

struct Node {
  gc::Member<Node> next;
  std::uint64_t number = 0;
};
BOOST_DESCRIBE_STRUCT(Node, (), (next, number))

// A node costs ThreadSanitizer and AddressSanitizer ten times as much: shorter lists in the same time.
constexpr std::uint64_t kMostNodes = TAILRACE_TSAN || TAILRACE_ASAN ? 1'000'000 : 10'000'000;
constexpr std::uint64_t kSomeNodes = kMostNodes / 10;
constexpr std::uint64_t kStride = 4096;  // nodes between two signs of life

void breathe(Run& run, Random& random, std::uint64_t done) {
  if (done % kStride != 0) return;
  run.step();
  gc::poll();
  if (random.one_in(4)) fiber::yield();
}

Node* reverse(Run& run, Random& random, Node* list) {
  Node* reversed = nullptr;
  for (std::uint64_t done = 0; list != nullptr; ++done) {
    Node* next = list->next.get();
    list->next = reversed;
    reversed = list;
    list = next;
    breathe(run, random, done);
  }
  return reversed;
}

// The node before which `steps` others stand.
Node* walk(Run& run, Random& random, Node* list, std::uint64_t steps) {
  for (std::uint64_t done = 1; done <= steps; ++done) {
    list = list->next.get();
    breathe(run, random, done);
  }
  return list;
}

}  // namespace

void long_list(Run& run) {
  constexpr unsigned kLists = 2;
  const std::uint64_t length = run.scaled(4'000, kSomeNodes, kMostNodes) / kLists;
  run.fibers(kLists, [&](unsigned, Random random) {
    Node* list = nullptr;
    for (std::uint64_t number = length; number > 0; --number) {
      Node* node = gc::make<Node>();
      node->number = number;
      node->next = list;
      list = node;
      breathe(run, random, number);
    }
    do {
      // [1, cut] and [cut + 1, length]; the second is reversed and put before the first.
      const std::uint64_t cut = 1 + random.below(length - 1);
      Node* last = walk(run, random, list, cut - 1);
      Node* tail = last->next.get();
      last->next = nullptr;
      pause(random);
      tail = reverse(run, random, tail);
      list = reverse(run, random, list);
      // Now tail is length ... cut + 1 and list is cut ... 1: joined, one falling list.
      Node* end = walk(run, random, tail, length - cut - 1);
      run.expect_equal(end->number, cut + 1, "the cut's other side", end);
      end->next = list;
      list = tail;
      std::uint64_t expected = length;
      for (const Node* node = list; node != nullptr; node = node->next.get(), --expected) {
        run.expect_equal(node->number, expected, "node", node);
        breathe(run, random, expected);
      }
      run.expect_equal(expected, 0, "nodes lost");
      list = reverse(run, random, list);
      run.step();
    } while (run.more());
  });
}

}  // namespace tailrace::torture
