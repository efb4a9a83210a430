// Owner's stores into its graph, each told to the shadow: what is put into a node, its vector or its text, and
// where that lies if the runtime keeps to its rule, which is where the node does.
#include <utility>

#include "gcruntime/torture/escape_owner.h"

namespace tailrace::torture::escape {

void Owner::stored(Id to, std::size_t slot, Id value) {
  if (shadow_.still(to) == 0) return shadow_.fade(value);
  shadow_.set_edge(to, slot, value);
}

void Owner::store_edge(Node* to, std::size_t slot, Node* value) {
  to->edges[slot] = value;
  to->edge_serials[slot] = serial_of(value);
  stored(id_of(to), slot, id_of(value));
}

void Owner::store_inner(Node* to, Node* value) {
  std::uint64_t* const word =
      value == nullptr ? nullptr : value->payload.data() + random_.below(value->payload_words);
  to->inner = word;
  to->inner_value = word == nullptr ? 0 : *word;
  stored(id_of(to), kInner, id_of(value));
}

void Owner::store_either(Node* to, Node* value) {
  if (value == nullptr) {
    to->either = static_cast<std::int64_t>(random_.next());
  } else {
    to->either = gc::Member<Node>(value);
  }
  to->either_serial = serial_of(value);
  stored(id_of(to), kEither, id_of(value));
}

// A new text, or another node's.
void Owner::store_text(Node* to, const Node* from) {
  const Id to_id = id_of(to);
  Id text = 0;
  if (from != nullptr) {
    to->text = from->text;
    to->text_serial = from->text_serial;
    text = shadow_.edge(id_of(from), kText);
  } else {
    const std::uint64_t serial = number_ << 48 | ++serials_;
    to->text = make_text(serial);
    to->text_serial = serial;
    if (to->text.size() > gc::String::kInlineBytes) {
      shadow_.look();
      text = shadow_.add(to->text.data(), shadow_.still(to_id) != 0);
    }
  }
  stored(to_id, kText, text);
}

void Owner::store_more(Node* to, Node* value) {
  const Id to_id = id_of(to);
  const Id value_id = id_of(value);
  Id backing = shadow_.edge(to_id, kBacking);
  const void* const before = to->more.data();
  to->more.push_back(value);
  to->more_sum += serial_of(value);
  const void* const after = to->more.data();
  if (after != before) {
    shadow_.look();
    const Id grown = shadow_.add(after, shadow_.still(to_id) != 0);
    if (grown != 0 && backing != 0) {
      shadow_.copy_edges(backing, grown);
    } else if (grown != 0) {
      for (std::size_t i = 1; i < to->more.size(); ++i) shadow_.append_edge(grown, 0);
    } else {
      // It was moved out of the arena, element by element.
      for (std::size_t i = 0; i < shadow_.edge_count(backing); ++i) {
        shadow_.fade(shadow_.edge(backing, i));
      }
    }
    backing = grown;
    shadow_.set_edge(to_id, kBacking, backing);
  }
  if (shadow_.still(backing) != 0) {
    shadow_.append_edge(backing, value_id);
  } else {
    shadow_.fade(value_id);
  }
}

void Owner::pop_more(Node* to) {
  if (to->more.empty()) return;
  const Id backing = shadow_.edge(id_of(to), kBacking);
  if (random_.one_in(16)) {
    to->more.clear();
    to->more_sum = 0;
    shadow_.clear_edges(backing);
  } else {
    to->more_sum -= serial_of(to->more.back().get());
    to->more.pop_back();
    shadow_.pop_edge(backing);
  }
}

void Owner::move_more(Node* to, Node* from) {
  if (to == from) return;
  const Id backing = shadow_.edge(id_of(from), kBacking);
  to->more = std::move(from->more);
  to->more_sum = std::exchange(from->more_sum, 0);
  shadow_.set_edge(id_of(from), kBacking, 0);
  stored(id_of(to), kBacking, backing);
}

void Owner::copy_more(Node* to, const Node* from) {
  if (to == from || from->more.size() > 64) return;
  const Id to_id = id_of(to);
  std::array<Id, 64> ids;
  const std::size_t count = from->more.size();
  for (std::size_t i = 0; i < count; ++i) ids[i] = id_of(from->more[i].get());
  to->more = from->more;
  to->more_sum = from->more_sum;
  Id backing = 0;
  if (to->more.data() != nullptr) {
    shadow_.look();
    backing = shadow_.add(to->more.data(), shadow_.still(to_id) != 0);
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (backing != 0) {
      shadow_.append_edge(backing, ids[i]);
    } else {
      shadow_.fade(ids[i]);
    }
  }
  shadow_.set_edge(to_id, kBacking, backing);
}

void Owner::change(Frame& frame) {
  Node* const to = pick_mine(frame);
  if (to == nullptr) return;
  Node* const value = random_.one_in(8) ? nullptr : pick_linkable(frame);
  switch (random_.below(10)) {
    case 0:
      store_inner(to, value);
      break;
    case 1:
      store_either(to, value);
      break;
    case 2:
      store_text(to, random_.one_in(2) ? value : nullptr);
      break;
    case 3:
    case 4:
      if (value == nullptr) break;
      // Now and then over 8 KiB of them.
      for (std::uint64_t count = random_.one_in(300) ? 1100 : 1; count > 0; --count) {
        store_more(to, value);
      }
      break;
    case 5:
      pop_more(to);
      break;
    case 6:
      if (value == nullptr) break;
      if (mine(value) && random_.one_in(2)) {
        move_more(to, value);
      } else {
        copy_more(to, value);
      }
      break;
    default:
      store_edge(to, random_.below(Node::kEdges), value);
      break;
  }
}

}  // namespace tailrace::torture::escape
