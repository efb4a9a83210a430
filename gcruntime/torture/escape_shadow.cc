#include "gcruntime/torture/escape_shadow.h"

#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/cycle_stats.h"
#include "gcruntime/gc/escape.h"

namespace tailrace::torture::escape {

using gc::internal::is_unfaded;

void Shadow::open(std::uint64_t arena, bool capped) {
  arena_ = arena;
  capped_ = capped;
  closed_ = false;
  count_ = 0;
  nodes_.clear();
  cycles_ = gc::read_cycle_stats().cycles();
  run_.expect(gc::has_arena(), "the arena that was opened", nullptr, 0, 1);
}

void Shadow::open_none() {
  arena_ = 0;
  closed_ = true;
  count_ = 0;
  nodes_.clear();
  run_.expect(!gc::has_arena(), "no arena", nullptr, 1, 0);
}

void Shadow::close() {
  for (std::size_t i = 0; i < count_; ++i) {
    Object& object = objects_[i];
    if (!object.unfaded) continue;
    run_.expect(!is_unfaded(object.address()), "an object of an arena that faded as a whole",
                object.address(), 1, 0);
    object.unfaded = false;
    ++faded_;
  }
  closed_ = true;
  run_.expect(!gc::has_arena(), "an arena that faded as a whole", nullptr, 1, 0);
}

void Shadow::look() {
  if (closed_ || gc::has_arena()) return;
  const std::uint64_t cycles = gc::read_cycle_stats().cycles() - cycles_;
  run_.expect(cycles > 0, "cycles since an arena was opened that faded as a whole", nullptr, cycles,
              1);
  close();
}

Shadow::Id Shadow::add(const void* object, bool within) {
  look();  // the allocation may have been too much for it
  const bool unfaded = is_unfaded(object);
  const bool expected = within && !closed_;
  run_.expect(unfaded == expected || (expected && capped_), "place of a new object", object,
              unfaded ? 1 : 0, expected ? 1 : 0);
  if (!unfaded) return 0;
  ++made_;
  if (count_ == objects_.size()) objects_.emplace_back();
  Object& made = objects_[count_++];
  made.disguise = ~reinterpret_cast<std::uintptr_t>(object);
  made.unfaded = true;
  made.node = false;
  made.edges.clear();
  return static_cast<Id>(count_);
}

Shadow::Id Shadow::add_node(const void* node, bool within) {
  const Id id = add(node, within);
  if (id == 0) return 0;
  at(id).node = true;
  nodes_.push_back(id);
  return id;
}

Shadow::Id Shadow::edge(Id from, std::size_t slot) const noexcept {
  if (still(from) == 0 || slot >= at(from).edges.size()) return 0;
  return still(at(from).edges[slot]);
}

void Shadow::set_edge(Id from, std::size_t slot, Id to) {
  if (still(from) == 0) return;
  std::vector<Id>& edges = at(from).edges;
  if (edges.size() <= slot) edges.resize(slot + 1);
  edges[slot] = to;
}

void Shadow::append_edge(Id from, Id to) {
  if (still(from) != 0) at(from).edges.push_back(to);
}

void Shadow::pop_edge(Id from) noexcept {
  if (still(from) != 0) at(from).edges.pop_back();
}

void Shadow::clear_edges(Id from) noexcept {
  if (still(from) != 0) at(from).edges.clear();
}

void Shadow::copy_edges(Id from, Id to) {
  if (still(from) != 0 && still(to) != 0) at(to).edges = at(from).edges;
}

std::size_t Shadow::edge_count(Id from) const noexcept {
  return still(from) == 0 ? 0 : at(from).edges.size();
}

void Shadow::fade(Id id) {
  if (still(id) == 0) return;
  open_.assign(1, id);
  at(id).unfaded = false;
  while (!open_.empty()) {
    const Object& object = at(open_.back());
    open_.pop_back();
    ++faded_;
    run_.expect(!is_unfaded(object.address()), "what escaped is unfaded", object.address(), 1, 0);
    for (const Id next : object.edges) {
      if (still(next) == 0) continue;
      at(next).unfaded = false;
      open_.push_back(next);
    }
  }
}

void* Shadow::any_node(Random& random) const noexcept {
  for (int attempt = 0; attempt < 4 && !nodes_.empty(); ++attempt) {
    const Object& object = at(nodes_[random.below(nodes_.size())]);
    if (object.unfaded) return object.address();
  }
  return nullptr;
}

void Shadow::check_within(const Object& object) const {
  if (!object.unfaded) return;
  run_.expect(is_unfaded(object.address()), "what did not escape has faded", object.address(), 0,
              1);
}

void Shadow::check_some(Random& random) const {
  for (int i = 0; i < 3 && count_ > 0; ++i) check_within(objects_[random.below(count_)]);
}

void Shadow::check_all() const {
  for (std::size_t i = 0; i < count_; ++i) check_within(objects_[i]);
}

}  // namespace tailrace::torture::escape
