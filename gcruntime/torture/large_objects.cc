// Large objects that come and go: bytes and pointer arrays of 32 KiB to 4 MiB, in tables of a few, held
// over switches. Oracle: a stamp on every page, and the items that the arrays point to.
#include <array>
#include <cstring>

#include "gcruntime/gc/allocate.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/torture/item.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

struct Bulk {
  gc::Member<std::uint64_t> words;
  std::uint64_t count = 0;  // of words
  std::uint64_t id = 0;
  gc::Vector<gc::Member<Item>> items;  // each 64th place is taken
};
BOOST_DESCRIBE_STRUCT(Bulk, (), (words, count, id, items))

constexpr std::size_t kTable = 6;
struct Table {
  std::array<gc::Member<Bulk>, kTable> bulks;
};
BOOST_DESCRIBE_STRUCT(Table, (), (bulks))

constexpr std::size_t kPageWords = 512;
constexpr std::size_t kEach = 64;

void check(Run& run, const Bulk* bulk) {
  const std::uint64_t* words = bulk->words.get();
  for (std::uint64_t i = 0; i + 1 < bulk->count; i += kPageWords) {
    run.expect_equal(words[i], bulk->id ^ i, "stamp of a page", &words[i]);
  }
  if (bulk->count > 0) {
    run.expect_equal(words[bulk->count - 1], ~bulk->id, "last word", &words[bulk->count - 1]);
  }
  for (std::size_t i = 0; i < bulk->items.size(); ++i) {
    const Item* item = bulk->items[i].get();
    run.expect((item != nullptr) == (i % kEach == 0), "place in a large array", &bulk->items[i],
               reinterpret_cast<std::uintptr_t>(item), 0);
    if (item != nullptr) check_fixed(run, item);
  }
}

}  // namespace

void large_objects(Run& run) {
  const std::size_t most =
      run.scaled(std::size_t{256} << 10, std::size_t{1} << 20, std::size_t{4} << 20);
  run.fibers(run.workers() + 1, [&](unsigned number, Random random) {
    const gc::Root<Table> table(gc::make<Table>());
    std::int64_t next_id = std::int64_t{number + 1} << 40;
    do {
      gc::Member<Bulk>& place = table->bulks[random.below(kTable)];
      if (place) check(run, place.get());
      const std::size_t bytes = 32'000 + random.below(most - 32'000);
      Bulk* bulk = gc::make<Bulk>();
      bulk->id = random.next();
      if (random.one_in(3)) {
        // Growth by doubling leaves a trail of large garbage.
        const std::size_t places = bytes / 16;
        if (random.one_in(2)) bulk->items.reserve(places);
        for (std::size_t i = 0; i < places; ++i) {
          bulk->items.push_back(i % kEach == 0 ? make_item(++next_id, random) : nullptr);
        }
      } else {
        auto* words = static_cast<std::uint64_t*>(gc::allocate_noscan(bytes));
        bulk->words = words;
        bulk->count = bytes / 8;
        for (std::uint64_t i = 0; i < bulk->count; i += kPageWords) words[i] = bulk->id ^ i;
        words[bulk->count - 1] = ~bulk->id;
      }
      place = nullptr;
      pause(random);
      check(run, bulk);
      if (!random.one_in(4)) place = bulk;
      run.step();
    } while (run.more());
    for (const gc::Member<Bulk>& bulk : table->bulks) {
      if (bulk) check(run, bulk.get());
    }
  });
}

}  // namespace tailrace::torture
