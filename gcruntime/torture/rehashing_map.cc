// Maps that grow, are emptied and rehash with every kind of pressure between, keys and values managed.
// Oracle: a plain array beside them that says what each key holds.
#include <string>
#include <vector>

#include "gcruntime/gc/map.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/torture/item.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

constexpr std::size_t kKeys = 3'000;

// Long ones are managed objects, short ones lie in the handle.
std::string text_of(std::size_t key) {
  return (key % 2 == 0 ? "k" : "a key that does not fit the handle itself ") + std::to_string(key);
}

// One fiber's two maps and what they should hold: 0, or the id of the item under that key.
class Maps {
 public:
  Maps(Run& run, unsigned number, Random& random)
      : run_(run), random_(random), next_id_(std::int64_t{number + 1} << 40), expected_(kKeys) {}

  void turn() {
    // A phase that mostly inserts, then one that mostly erases: sizes swing over all capacities.
    if (random_.one_in(2'000)) growing_ = !growing_;
    const std::size_t key = random_.below(kKeys);
    check(key);
    if (growing_ ? random_.one_in(4) : !random_.one_in(4)) {
      by_number_->erase(static_cast<std::int64_t>(key));
      by_text_->erase(std::string_view(text_of(key)));
      expected_[key] = 0;
      return;
    }
    Item* item = make_item(++next_id_, random_);
    if (random_.one_in(8)) hang(item, make_chain(random_.below(4), next_id_, random_));
    by_number_->insert_or_assign(static_cast<std::int64_t>(key), item);
    by_text_->insert_or_assign(gc::String(text_of(key)), item->id);
    expected_[key] = item->id;
  }
  void check_all() {
    std::size_t held = 0;
    for (std::size_t key = 0; key < kKeys; ++key) {
      check(key);
      if (expected_[key] != 0) ++held;
    }
    run_.expect_equal(by_number_->size(), held, "size of the map");
    std::size_t visited = 0;
    for (const auto& entry : *by_text_) {
      run_.expect(entry.value != 0, "visited entry", &entry, 0, 1);
      ++visited;
    }
    run_.expect_equal(visited, held, "entries visited");
  }
  void clear() {
    by_number_->clear();
    by_text_->clear();
    expected_.assign(kKeys, 0);
  }

 private:
  void check(std::size_t key) {
    const gc::Member<Item>* item = by_number_->find(static_cast<std::int64_t>(key));
    const std::int64_t id = item == nullptr ? 0 : item->get()->id;
    run_.expect_equal(static_cast<std::uint64_t>(id), static_cast<std::uint64_t>(expected_[key]),
                      "item in the map", item);
    if (item != nullptr) check_chain(run_, item->get());
    const std::int64_t* by_text = by_text_->find(std::string_view(text_of(key)));
    run_.expect_equal(static_cast<std::uint64_t>(by_text == nullptr ? 0 : *by_text),
                      static_cast<std::uint64_t>(expected_[key]), "number in the map", by_text);
  }

  Run& run_;
  Random& random_;
  std::int64_t next_id_;
  bool growing_ = true;
  std::vector<std::int64_t> expected_;
  gc::Root<gc::Map<std::int64_t, gc::Member<Item>>> by_number_;
  gc::Root<gc::Map<gc::String, std::int64_t>> by_text_;
};

}  // namespace

void rehashing_map(Run& run) {
  run.fibers(run.workers() + 1, [&](unsigned number, Random random) {
    Maps maps(run, number, random);
    do {
      for (int turn = 0; turn < 200; ++turn) maps.turn();
      if (random.one_in(16)) maps.check_all();
      if (random.one_in(64)) maps.clear();
      pause(random);
      run.step();
    } while (run.more());
    maps.check_all();
  });
}

}  // namespace tailrace::torture
