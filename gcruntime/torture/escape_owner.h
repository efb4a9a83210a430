// One fiber of the program `escape` and what is its own: a random graph in its arena, or in none, of which
// it puts parts wherever a pointer can be put, with the oracle's shadow beside it. The fiber it spawns by
// reference uses it in its place, while it waits.
//
// Lives in malloc's memory: only what is on its fiber's stack is in Frames.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "gcruntime/fiber/fiber.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/weak.h"
#include "gcruntime/sync/channel.h"
#include "gcruntime/torture/escape_node.h"
#include "gcruntime/torture/escape_shadow.h"

namespace tailrace::torture::escape {

struct Board {
  std::array<gc::Atomic<Node>, 64> places;
};
BOOST_DESCRIBE_STRUCT(Board, (), (places))

// What all fibers read and write. What is put there is frozen.
struct Shared {
  explicit Shared(Run& the_run) : run(the_run), board(gc::heap_make<Board>()) {}

  Run& run;
  gc::Root<Board> board;
  fiber::Channel<Node*> channel{16};
  fiber::Channel<Node*> direct{0};
  // Relaxed: figures, read when the fibers have ended.
  std::atomic<std::uint64_t> arenas{0};
  std::atomic<std::uint64_t> made{0};
  std::atomic<std::uint64_t> faded{0};
};

// A fiber's variables.
struct Frame {
  std::array<gc::Member<Node>, 6> held;
};

class Owner {
 public:
  Owner(Shared& shared, unsigned number, const Random& random);

  // An arena's life, or as much without one.
  void live();
  void finish();

 private:
  using Id = Shadow::Id;
  enum Slot : std::size_t { kInner = Node::kEdges, kEither, kText, kBacking };

  void begin_arena(bool capped);
  // Steps of the graph's life. `own`: the frame is on the stack of the fiber that runs them.
  void steps(Frame& frame, bool own);
  void step(Frame& frame, bool own);

  // --- Nodes ---
  Id id_of(const Node* node) const noexcept;
  bool mine(const Node* node) const noexcept;
  // That others' closures hang from it is bounded.
  static bool linkable(const Node* node) noexcept { return node->weight <= 64; }
  Node* pick(Frame& frame);
  Node* pick_mine(Frame& frame);
  Node* pick_linkable(Frame& frame);
  Node* make(bool on_heap);
  // Nobody changes what the node reaches any more: others may see it.
  void freeze(Node* node);

  // --- Stores into the graph ---
  // A pointer to `value` was stored into `to`.
  void stored(Id to, std::size_t slot, Id value);
  // A pointer to the node was stored outside.
  void published(const Node* node) { shadow_.fade(id_of(node)); }
  void store_edge(Node* to, std::size_t slot, Node* value);
  void store_inner(Node* to, Node* value);
  void store_either(Node* to, Node* value);
  void store_text(Node* to, const Node* from);
  void store_more(Node* to, Node* value);
  void pop_more(Node* to);
  void move_more(Node* to, Node* from);
  void copy_more(Node* to, const Node* from);
  void change(Frame& frame);

  // --- Stores out of it ---
  void hold(Frame& frame, bool own, Node* node);
  void let_go(Frame& frame);
  void exchange(Frame& frame);
  void publish(Frame& frame);
  void meet(Frame& frame);
  void spawn_by_value(Frame& frame);
  void spawn_by_reference(Frame& frame, bool own);
  void block(Frame& frame);
  void nest(Frame& frame);
  Node* load(Random& random);
  void forget();

  Shared& shared_;
  Run& run_;
  const std::uint64_t number_;
  Random random_;
  Shadow shadow_;
  std::uint64_t serials_ = 0;
  std::uint64_t arenas_ = 0;
  bool visited_ = false;  // by a child, which has no arena, in the place of its own fiber
  gc::Root<Node> keep_;   // the heap's
  std::array<gc::Root<Node>, 4> roots_;
  std::array<gc::Weak<Node>, 4> weaks_;
  std::array<fiber::JoinHandle, 4> children_;
};

}  // namespace tailrace::torture::escape
