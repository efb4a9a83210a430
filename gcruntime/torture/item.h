// What the programs build graphs of: an object that knows its id, its child's id and a payload made from
// its id, so that whatever is freed too early or scanned wrongly shows as a wrong number.
//
// An item's id and payload never change. Its child is changed by its owner only, by plain stores.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "gcruntime/gc/make.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/torture/run.h"

namespace tailrace::torture {

struct Item {
  std::int64_t id = 0;
  std::int64_t child_id = 0;
  std::int64_t payload_words = 0;
  gc::Member<Item> child;
};
BOOST_DESCRIBE_STRUCT(Item, (), (id, child_id, payload_words, child))

// A childless one; of 5 sizes.
Item* make_item(std::int64_t id, Random& random);
void check_fixed(Run& run, const Item* item);
// Checks item and all below it. Returns how many.
std::size_t check_chain(Run& run, const Item* item);
// A chain of `length` items with ids from *next_id on.
Item* make_chain(std::size_t length, std::int64_t& next_id, Random& random);

inline void hang(Item* parent, Item* child) {
  parent->child_id = child == nullptr ? 0 : child->id;
  parent->child = child;
}
// Takes the child off by a plain store; the only pointer to it is the returned one.
inline Item* detach(Item* parent) {
  Item* child = parent->child.get();
  parent->child_id = 0;
  parent->child = nullptr;
  return child;
}

}  // namespace tailrace::torture
