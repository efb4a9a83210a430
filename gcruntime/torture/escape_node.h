// What the program `escape` builds graphs of: nodes that hold managed pointers of every kind, and beside each
// pointer the number of what it should lead to. A node whose memory was given away too early, or that was
// not scanned, shows as a wrong number at the next look.
//
// A node is changed by its owner only, and by nobody any more once it is frozen, which it is before others
// can see it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <variant>

#include "gcruntime/gc/make.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/torture/run.h"

namespace tailrace::torture::escape {

struct Node {
  static constexpr std::size_t kEdges = 3;

  std::uint64_t serial = 0;  // its owner's number stands in the highest 16 bits
  std::uint64_t seal = 0;    // of what never changes
  std::uint64_t arena = 0;   // in which it was made; 0: in none
  std::uint32_t id = 0;      // there
  std::uint32_t payload_words = 0;
  std::array<gc::Member<Node>, kEdges> edges;
  std::array<std::uint64_t, kEdges> edge_serials{};  // 0: no edge, here and below
  gc::Member<std::uint64_t> inner;                   // into another one's payload
  std::uint64_t inner_value = 0;
  gc::String text;
  std::uint64_t text_serial = 0;
  std::variant<std::int64_t, gc::Member<Node>> either;
  std::uint64_t either_serial = 0;
  gc::Vector<gc::Member<Node>> more;
  std::uint64_t more_sum = 0;              // of their serials
  std::uint64_t weight = 0;                // frozen: about how many nodes it reaches; else 0
  std::array<std::uint64_t, 1> payload{};  // goes on in larger ones

  bool frozen() const noexcept { return weight != 0; }
  // Not larger: what publish copies.
  bool plain() const noexcept { return payload_words == 1; }
};
BOOST_DESCRIBE_STRUCT(Node, (),
                      (serial, seal, arena, id, payload_words, edges, edge_serials, inner,
                       inner_value, text, text_serial, either, either_serial, more, more_sum,
                       weight, payload))

inline std::uint64_t serial_of(const Node* node) noexcept {
  return node == nullptr ? 0 : node->serial;
}

// Of one of five sizes, two of them over 8 KiB. `on_heap`: whatever arena there is.
Node* make_node(std::uint64_t serial, bool on_heap, Random& random);

// At most 15 bytes for every fourth serial.
gc::String make_text(std::uint64_t serial);

// All that is in the node, and that its pointers lead where they should: from what is in no arena, or has
// faded, to nothing that has not.
void check_node(Run& run, const Node* node);
// One of the nodes that it points to, or null.
Node* step_from(const Node* node, Random& random);
// Checks the nodes on a random way of at most so many steps.
void check_walk(Run& run, const Node* node, Random& random, unsigned steps);
// The same of a node that was found where what is unfaded never is.
void check_outside(Run& run, const Node* node, Random& random, unsigned steps);

}  // namespace tailrace::torture::escape
