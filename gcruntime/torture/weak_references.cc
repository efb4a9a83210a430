// Weak references to what other fibers drop: objects in shared places, each known to some fibers by a weak
// reference in malloc's memory only. Cycles decide meanwhile which of them are dead.
// Oracle: what lock() gives is whole and stays so while it is held; an object that somebody holds on the
// stack is never given up; one that was given up never comes back; and what nobody holds is given up.
#include <array>
#include <cstdint>
#include <vector>

#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/weak.h"
#include "gcruntime/torture/item.h"
#include "gcruntime/torture/programs.h"

namespace tailrace::torture {
namespace {

constexpr std::size_t kPlaces = 32;
constexpr std::size_t kReferences = 64;
struct Places {
  std::array<gc::Atomic<Item>, kPlaces> places;
};
BOOST_DESCRIBE_STRUCT(Places, (), (places))

struct Reference {
  gc::Weak<Item> weak;
  std::int64_t id = 0;
  bool gone = false;
};

class Observer {
 public:
  Observer(Run& run, Random& random, Places& places, unsigned number)
      : run_(run), random_(random), places_(places), next_id_(std::int64_t{number + 1} << 40) {
    references_.resize(kReferences);
  }

  void turn() {
    Reference& reference = references_[random_.below(kReferences)];
    switch (random_.below(4)) {
      case 0:  // a new one, for all
        observe(reference, make_chain(1 + random_.below(3), next_id_, random_));
        break;
      case 1:  // somebody's
        if (Item* item = places_.places[random_.below(kPlaces)].load()) {
          reference.weak = item;
          reference.id = item->id;
          reference.gone = false;
        }
        break;
      default:
        look(reference);
        break;
    }
    if (random_.one_in(8)) litter(random_, random_.below(40));
  }
  // However few cycles the run had: nobody holds the items any more, and one comes after that.
  void finish() {
    for (gc::Atomic<Item>& place : places_.places) place.store(nullptr);
    gc::collect();
    for (Reference& reference : references_) look(reference);
  }
  std::uint64_t gone() const { return gone_; }

 private:
  void observe(Reference& reference, Item* item) {
    reference.weak = item;
    reference.id = item->id;
    reference.gone = false;
    places_.places[random_.below(kPlaces)].exchange(random_.one_in(2) ? item : nullptr);
    pause(random_);
    // This stack has it.
    run_.expect(reference.weak.lock() == item, "a weak reference to what is held", item, 0, 1);
    check_chain(run_, item);
  }
  void look(Reference& reference) {
    Item* const item = reference.weak.lock();
    if (item == nullptr) {
      if (reference.id != 0 && !reference.gone) {
        reference.gone = true;
        ++gone_;
      }
      return;
    }
    run_.expect(!reference.gone, "a weak reference came back", item, 1, 0);
    run_.expect_equal(static_cast<std::uint64_t>(item->id),
                      static_cast<std::uint64_t>(reference.id), "id of a weak reference", item);
    const gc::Weak<Item> copy = reference.weak;
    pause(random_);
    check_chain(run_, item);
    run_.expect(copy.lock() == item, "a copy of a weak reference to what is held", item, 0, 1);
    if (random_.one_in(3)) places_.places[random_.below(kPlaces)].exchange(item);
  }

  Run& run_;
  Random& random_;
  Places& places_;
  std::int64_t next_id_;
  std::vector<Reference> references_;
  std::uint64_t gone_ = 0;
};

}  // namespace

void weak_references(Run& run) {
  const gc::Root<Places> places(gc::make<Places>());
  std::atomic<std::uint64_t> gone{0};
  run.fibers(2 + 2 * run.workers(), [&](unsigned number, Random random) {
    Observer observer(run, random, *places, number);
    do {
      observer.turn();
      run.step();
    } while (run.more());
    observer.finish();
    // Relaxed: read after the fibers were joined.
    gone.fetch_add(observer.gone(), std::memory_order_relaxed);
  });
  run.expect(gone.load(std::memory_order_relaxed) > 0, "dead objects that were given up", nullptr,
             0, 1);
}

}  // namespace tailrace::torture
