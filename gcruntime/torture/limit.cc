// At the memory limit: it leaves a twentieth of the live set free, and several fibers replace that set piece by
// piece. They stall, are refused, draw on the reserve and go on. Oracle: the items that each
// keeps; that all goes on, the watchdog tells.
#include <array>
#include <cstring>

#include "gcruntime/gc/allocate.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/memory_limit.h"
#include "gcruntime/gc/memory_wait.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/sync/context.h"
#include "gcruntime/sync/memory_bounds.h"
#include "gcruntime/torture/item.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

constexpr std::size_t kPlaces = 1500;
constexpr std::size_t kBulkBytes = 2000;
constexpr unsigned kFibers = 6;

struct Place {
  gc::Member<Item> chain;
  gc::Member<std::uint64_t> bulk;
};
BOOST_DESCRIBE_STRUCT(Place, (), (chain, bulk))
struct Shelf {
  gc::Vector<Place> places;
};
BOOST_DESCRIBE_STRUCT(Shelf, (), (places))

// All or nothing: what is thrown half-way leaves the place as it was.
void replace(Place& place, std::int64_t& next_id, Random& random) {
  Item* const chain = make_chain(1 + random.below(4), next_id, random);
  const std::size_t bytes = random.one_in(40) ? 40'000 + random.below(200'000) : kBulkBytes;
  auto* const bulk = static_cast<std::uint64_t*>(gc::allocate_noscan(bytes));
  bulk[0] = ~static_cast<std::uint64_t>(chain->id);
  place.bulk = bulk;
  place.chain = chain;
}

void check(Run& run, const Place& place) {
  if (!place.chain) return;
  check_chain(run, place.chain.get());
  run.expect_equal(place.bulk.get()[0], ~static_cast<std::uint64_t>(place.chain->id),
                   "stamp of a bulk", place.bulk.get());
}

void set_limit() {
  gc::free_os_memory();
  gc::refresh_accounts();
  gc::set_memory_limit(gc::accounted_bytes() + gc::read_mem_stats().heap_live / 20);
}

void use(Run& run, Shelf& shelf, std::int64_t& next_id, Random& random) {
  Place& place = shelf.places[random.below(kPlaces)];
  check(run, place);
  try {
    if (random.one_in(64)) pause(random);  // which makes garbage
    switch (random.below(8)) {
      case 0: {
        const fiber::CancelScope context = fiber::with_timeout(
            fiber::Context(), static_cast<std::int64_t>(random.below(2'000'000)));
        const fiber::MemoryWaitsUnder bounded(context);
        replace(place, next_id, random);
        break;
      }
      case 1: {
        const gc::MemoryReserve reserve;
        replace(place, next_id, random);
        break;
      }
      case 2:
        place = Place{};
        break;
      default:
        replace(place, next_id, random);
    }
  } catch (const gc::MemoryLimitExceeded&) {
    fiber::yield();
  }
  check(run, place);
  run.step();
}

}  // namespace

void limit(Run& run) {
  std::array<gc::Root<Shelf>, kFibers> shelves;
  run.fibers(kFibers, [&](unsigned number, Random random) {
    std::int64_t next_id = std::int64_t{number + 1} << 40;
    shelves[number] = gc::make<Shelf>();
    shelves[number]->places.resize(kPlaces);
    for (Place& place : shelves[number]->places) replace(place, next_id, random);
  });
  run.fibers(1, [](unsigned, Random) { set_limit(); });
  run.fibers(kFibers, [&](unsigned number, Random random) {
    std::int64_t next_id = std::int64_t{number + 11} << 40;
    do {
      use(run, *shelves[number], next_id, random);
    } while (run.more());
    for (const Place& place : shelves[number]->places) check(run, place);
  });
  gc::set_memory_limit(gc::kNoMemoryLimit);
}

}  // namespace tailrace::torture
