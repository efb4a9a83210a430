// The oracle of the program `escape`: the graph of what one arena holds, kept in plain memory beside the
// real one, and from it which objects must have faded and which must not. It knows nothing of how the
// runtime decides: a store outside the arena fades what the stored object reaches here.
//
// Objects are known by numbers; the addresses stand disguised. An object that has faded is outside from then
// on, and 0 as everything else outside is. One fiber at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gcruntime/torture/run.h"

namespace tailrace::torture::escape {

class Shadow {
 public:
  using Id = std::uint32_t;

  explicit Shadow(Run& run) : run_(run) {}

  // A new arena. `capped`: it may be full at any time, and what is made then is outside.
  void open(std::uint64_t arena, bool capped);
  // There is none: everything is outside.
  void open_none();
  // All of it has faded, and what is made from now on is outside.
  void close();
  // The same, if the runtime has done so because it is old.
  void look();
  bool closed() const noexcept { return closed_; }
  std::uint64_t arena() const noexcept { return arena_; }

  // A new object; `within` is where its maker's rule puts it, if there is room. 0: it is outside.
  Id add(const void* object, bool within);
  // A node, which any_node() may find.
  Id add_node(const void* node, bool within);
  // That number, or 0 once it has faded.
  Id still(Id id) const noexcept { return id != 0 && at(id).unfaded ? id : 0; }
  // Or if it is not the number of that object, but of the one that this is a copy of.
  Id still(Id id, const void* object) const noexcept {
    return still(id) != 0 && at(id).address() == object ? id : 0;
  }

  // The edges of `from`, which is nothing for 0.
  Id edge(Id from, std::size_t slot) const noexcept;
  void set_edge(Id from, std::size_t slot, Id to);
  void append_edge(Id from, Id to);
  void pop_edge(Id from) noexcept;
  void clear_edges(Id from) noexcept;
  void copy_edges(Id from, Id to);
  std::size_t edge_count(Id from) const noexcept;

  // It was stored outside: it has faded, and all that it reaches here. The caller holds it meanwhile.
  void fade(Id id);
  // It was copied to the heap, with what it reaches: copies(from a node, slot, node or null) tells along which
  // edges. What is at the end of the others has faded.
  template <typename Copies>
  void publish(Id id, Copies&& copies) {
    if (still(id) == 0) return;
    std::vector<bool> copied(count_ + 1);
    std::vector<Id> open{id};
    std::vector<Id> left;
    copied[id] = true;
    while (!open.empty()) {
      const Object& object = at(open.back());
      open.pop_back();
      for (std::size_t slot = 0; slot < object.edges.size(); ++slot) {
        const Id to = still(object.edges[slot]);
        if (to == 0) continue;
        if (!copies(object.node, slot, at(to).node ? at(to).address() : nullptr)) {
          left.push_back(to);
        } else if (!copied[to]) {
          copied[to] = true;
          open.push_back(to);
        }
      }
    }
    for (const Id each : left) fade(each);
  }

  // The address of a node that is within, or null. It lives as long as the arena is open.
  void* any_node(Random& random) const noexcept;

  // A few of those within have not faded; all of them.
  void check_some(Random& random) const;
  void check_all() const;
  std::uint64_t faded() const noexcept { return faded_; }
  std::uint64_t made() const noexcept { return made_; }

 private:
  struct Object {
    std::uintptr_t disguise = 0;
    bool unfaded = false;
    bool node = false;
    std::vector<Id> edges;

    void* address() const noexcept { return reinterpret_cast<void*>(~disguise); }
  };

  Object& at(Id id) noexcept { return objects_[id - 1]; }
  const Object& at(Id id) const noexcept { return objects_[id - 1]; }
  void check_within(const Object& object) const;

  Run& run_;
  std::uint64_t arena_ = 0;
  bool closed_ = true;
  bool capped_ = false;
  std::uint64_t cycles_ = 0;     // when it was opened
  std::vector<Object> objects_;  // the first count_ are in use; the others keep their vectors
  std::size_t count_ = 0;
  std::vector<Id> nodes_;
  std::vector<Id> open_;  // while it fades
  std::uint64_t faded_ = 0;
  std::uint64_t made_ = 0;
};

}  // namespace tailrace::torture::escape
