// Walkers: lists that are consumed from the front while they are marked. The head is on the walker's stack
// only, and each node is cut off before the next is looked at: a marker that comes to the old head finds
// a node without a successor, so every round greys one more node, and nothing but the hold of a fiber that
// outruns the marker [gc.hold] bounds the rounds. Others consume queues whose head is a heap word.
// Oracle: every number is seen once and in order; and cycles have few rounds on average.
#include <cstdint>

#include "gcruntime/base/annotations.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

struct Node {
  gc::Member<Node> next;
  std::uint64_t number = 0;
};
BOOST_DESCRIBE_STRUCT(Node, (), (next, number))

struct Queue {
  gc::Member<Node> head;
  gc::Member<Node> tail;
  std::uint64_t put = 0;
  std::uint64_t taken = 0;
};
BOOST_DESCRIBE_STRUCT(Queue, (), (head, tail, put, taken))

constexpr std::uint64_t kMostNodes = TAILRACE_TSAN || TAILRACE_ASAN ? 20'000 : 200'000;
// The bound is eight rounds before anybody is held, and a few slices, each of which puts the marker
// thousands of nodes ahead; where processors are short a slice may be a node's worth.
constexpr double kMostRounds = 100;

TAILRACE_NOINLINE Node* make_list(std::uint64_t length) {
  Node* list = nullptr;
  for (std::uint64_t number = length; number > 0; --number) {
    Node* node = gc::make<Node>();
    node->number = number;
    node->next = list;
    list = node;
  }
  return list;
}

void walk(Run& run, Random& random, std::uint64_t length) {
  Node* head = make_list(length);
  // Often in the middle of a cycle that has the whole list to mark.
  pause(random);
  std::uint64_t expected = 1;
  while (head != nullptr) {
    run.expect_equal(head->number, expected, "node of a list that is walked", head);
    Node* const next = head->next.get();
    head->next = nullptr;
    head = next;
    if (expected % 64 == 0) gc::poll();
    if (expected % 4096 == 0 && random.one_in(4)) fiber::yield();
    ++expected;
  }
  run.expect_equal(expected, length + 1, "nodes of a list that is walked");
}

void serve(Run& run, Random& random, Queue* queue) {
  for (std::uint64_t burst = random.below(600); burst > 0; --burst) {
    Node* node = gc::make<Node>();
    node->number = ++queue->put;
    if (queue->tail) {
      queue->tail->next = node;
    } else {
      queue->head = node;
    }
    queue->tail = node;
  }
  for (std::uint64_t burst = random.below(600); burst > 0 && queue->head; --burst) {
    Node* const node = queue->head.get();
    queue->head = node->next;
    node->next = nullptr;
    if (!queue->head) queue->tail = nullptr;
    run.expect_equal(node->number, ++queue->taken, "node of a queue", node);
    if (random.one_in(64)) pause(random);
  }
}

}  // namespace

void walker(Run& run) {
  const std::uint64_t longest = run.scaled(20'000, 100'000, kMostNodes);
  const unsigned walkers = (run.workers() + 1) / 2;
  const gc::CycleStats before = gc::read_cycle_stats();
  run.fibers(walkers + run.workers(), [&](unsigned number, Random random) {
    const gc::Root<Queue> queue(gc::make<Queue>());
    do {
      if (number < walkers) {
        walk(run, random, 1 + random.below(longest));
      } else {
        serve(run, random, queue.get());
      }
      pause(random);
      run.step();
    } while (run.more());
  });
  const gc::CycleStats after = gc::read_cycle_stats();
  const std::uint64_t cycles = after.cycles() - before.cycles();
  const std::uint64_t rounds = after.rounds_total - before.rounds_total;
  run.expect(
      cycles == 0 || static_cast<double>(rounds) / static_cast<double>(cycles) <= kMostRounds,
      "rounds of all cycles: a walker outruns the marker", nullptr, rounds, cycles);
}

}  // namespace tailrace::torture
