// The escape rule as a table: every place that a pointer can be stored to on one thread, and every kind of
// value. A store fades iff the value lies in unfaded arena memory and the place is neither on the own stack
// nor in an unfaded object of the same arena; then it fades what the value reaches, all of it and no more.
// (Places that need fibers: sync/escape_fibers_test.cc.)
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/escape_scene.h"
#include "gcruntime/gc/finalizer.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/store.h"
#include "gcruntime/gc/weak.h"

namespace tailrace::gc {
namespace {

using internal::is_unfaded;
using test::BigPart;
using test::Cell;
using test::Part;
using test::Scene;

struct Cells {
  std::array<Member<void>, 4> words;
};
BOOST_DESCRIBE_STRUCT(Cells, (), (words))
struct Shared {
  Atomic<Cell> cell;
};
BOOST_DESCRIBE_STRUCT(Shared, (), (cell))
struct Published {
  explicit Published(Cell* value) : cell(value) {}
  Atomic<Cell> cell;
};
BOOST_DESCRIBE_STRUCT(Published, (), (cell))
// Over 8 KiB, and the cell stands far behind its head.
struct Far {
  std::array<std::int64_t, 1800> numbers;
  Cell cell;
};
BOOST_DESCRIBE_STRUCT(Far, (), (numbers, cell))

// --- Values ----------------------------------------------------------------------------------------

struct Value {
  const char* name;
  void* word;
  Scene::Set closure;  // what fades where it escapes
  bool object = true;  // a managed one, from its start or within
};

std::int64_t unmanaged[4];

std::vector<Value> values_of(const Scene& scene, void* heap, Part* faded) {
  Part* const head = scene.part(Scene::kHead);
  Part* const mid = scene.part(Scene::kMid);
  char* const text = static_cast<char*>(scene.at(Scene::kHeadText));
  return {
      {"null", nullptr, Scene::none(), false},
      {"static memory", &unmanaged[1], Scene::none(), false},
      // As the word of an inline String is, and it happens to be an address of the arena.
      {"an odd word", text + 1, Scene::none(), false},
      {"an odd word in a scanned object", reinterpret_cast<char*>(head) + 9, Scene::none(), false},
      {"a heap object", heap, Scene::none()},
      {"within a heap object", static_cast<char*>(heap) + 8, Scene::none()},
      {"a faded object", faded, Scene::none()},
      {"within a faded object", &faded->number, Scene::none()},
      {"an object", head, Scene::of_head()},
      {"within an object", &head->number, Scene::of_head()},
      {"an object's last word", reinterpret_cast<char*>(head + 1) - 8, Scene::of_head()},
      {"an object over 8 KiB", scene.big(), Scene::of_big()},
      {"within one, 11 KiB in", &scene.big()->numbers[1408], Scene::of_big()},
      {"its last word", &scene.big()->behind, Scene::of_big()},
      {"a text", text, Scene::of_text()},
      {"a text's end", text + 32, Scene::of_text()},
      {"a backing", mid->list.data(), Scene::of_list()},
      {"a backing's element", mid->list.data() + 1, Scene::of_list()},
      {"a backing's end", mid->list.data() + mid->list.capacity(), Scene::of_list()},
  };
}

// --- Places ----------------------------------------------------------------------------------------

// What is known of one store: the place calls stored() when it is done, while the place still is.
class Store {
 public:
  Store(const Scene& scene, const Value& value, bool escapes)
      : scene_(scene), value_(value), escapes_(escapes) {}

  void* value() const { return value_.word; }
  Cell* cell() const { return static_cast<Cell*>(value_.word); }
  bool object() const { return value_.object; }
  void stored(const void* found) {
    judged_ = true;
    EXPECT_EQ(found, value_.word);
    scene_.expect_faded(escapes_ ? value_.closure : Scene::none());
    EXPECT_TRUE(has_arena());
  }
  bool judged() const { return judged_; }

 private:
  const Scene& scene_;
  const Value& value_;
  const bool escapes_;
  bool judged_ = false;
};

// --- that keep a pointer within the arena's life

void own_stack(Store& store) {
  Member<void> slot;
  slot = store.value();
  store.stored(slot.get());
}
void own_stack_constructed(Store& store) {
  const Member<void> slot(store.value());
  const Member<void> copy(slot);
  store.stored(copy.get());
}
void own_stack_range(Store& store) {
  std::array<void*, 3> from{&unmanaged, store.value(), nullptr};
  std::array<void*, 3> to{};
  store_range(to.data(), from.data(), 3);
  store.stored(to[1]);
}
void same_arena(Store& store) {
  Cell* const cell = make<Cell>();
  cell->word = store.value();
  store.stored(cell->word.get());
  EXPECT_TRUE(is_unfaded(cell));
}
void same_arena_big(Store& store) {
  Far* const far = make<Far>();
  far->cell.word = store.value();
  store.stored(far->cell.word.get());
  EXPECT_TRUE(is_unfaded(far));
}
void same_arena_range(Store& store) {
  Cells* const from = make<Cells>();
  Cells* const to = make<Cells>();
  from->words[2] = store.value();
  store_range(to, from, 4);
  store_range(&to->words[1], &to->words[0], 3);  // overlapping, upwards
  store.stored(to->words[3].get());
  EXPECT_TRUE(is_unfaded(from));
  EXPECT_TRUE(is_unfaded(to));
}
void same_arena_atomic(Store& store) {
  Shared* const shared = make<Shared>();
  shared->cell.store(store.cell());
  shared->cell.exchange(store.cell());
  store.stored(shared->cell.load());
  EXPECT_TRUE(is_unfaded(shared));
}

// --- that outlive it

void faded_object(Store& store) {
  Cell* const cell = make<Cell>();
  const Root<Cell> root(cell);
  ASSERT_FALSE(is_unfaded(cell));
  cell->word = store.value();
  store.stored(cell->word.get());
}
void faded_big(Store& store) {
  Far* const far = make<Far>();
  const Root<Far> root(far);
  ASSERT_FALSE(is_unfaded(far));
  far->cell.word = store.value();
  store.stored(far->cell.word.get());
}
void heap_object(Store& store) {
  Cell* const cell = heap_make<Cell>();
  cell->word = store.value();
  store.stored(cell->word.get());
}
void heap_range(Store& store) {
  std::array<void*, 3> from{&unmanaged, store.value(), nullptr};
  Cells* const to = heap_make<Cells>();
  store_range(to, from.data(), 3);
  store.stored(to->words[1].get());
}
void heap_range_overlapping(Store& store) {
  Cells* const cells = heap_make<Cells>();
  cells->words[0] = store.value();
  store_range(&cells->words[1], &cells->words[0], 3);
  store.stored(cells->words[1].get());
}
void root(Store& store) {
  const Root<Cell> made(store.cell());
  store.stored(made.get());
}
void root_assigned(Store& store) {
  Root<Cell> place(heap_make<Cell>());
  place = store.cell();
  const Root<Cell> copy(place);
  store.stored(copy.get());
}
void atomic_constructed(Store& store) {
  const Published* const published = heap_make<Published>(store.cell());
  store.stored(published->cell.load());
}
void atomic_store(Store& store) {
  Shared* const shared = heap_make<Shared>();
  shared->cell.store(store.cell());
  store.stored(shared->cell.load());
}
void atomic_exchange(Store& store) {
  Shared* const shared = heap_make<Shared>();
  EXPECT_EQ(shared->cell.exchange(store.cell()), nullptr);
  store.stored(shared->cell.load());
}
void atomic_compare_exchange(Store& store) {
  Shared* const shared = heap_make<Shared>();
  Cell* expected = nullptr;
  EXPECT_TRUE(shared->cell.compare_exchange(expected, store.cell()));
  store.stored(shared->cell.load());
}
void weak(Store& store) {
  // What is no object is nothing to have a weak reference to.
  if (!store.object()) return store.stored(store.value());
  const Weak<Cell> made(store.cell());
  Weak<Cell> assigned(heap_make<Cell>());
  assigned = store.cell();
  EXPECT_EQ(assigned.lock(), store.cell());
  store.stored(made.lock());
}

// The table of cleanups knows it by its address.
void cleanup(Store& store) {
  if (!store.object()) return store.stored(store.value());
  Cleanup made = add_cleanup(
      store.cell(), [](int) {}, 0);
  store.stored(store.value());
  EXPECT_TRUE(made.stop());
}

// A thread that keeps something for the test: on_thread calls wait with its place, here is called meanwhile.
using Wait = std::function<void(void* place)>;
template <typename OnThread, typename Here>
void with_other_thread(OnThread&& on_thread, Here&& here) {
  std::binary_semaphore ready{0};
  std::binary_semaphore over{0};
  std::atomic<void*> theirs{nullptr};
  std::thread thread([&] {
    const ThreadScope attached;
    on_thread([&](void* place) {
      theirs.store(place);  // ordered by the semaphore
      ready.release();
      native([&] { over.acquire(); });
    });
  });
  native([&] { ready.acquire(); });
  here(theirs.load());
  over.release();
  test::join(thread);
}
void other_threads_stack(Store& store) {
  with_other_thread(
      [](const Wait& wait) {
        Member<void> slot;
        wait(&slot);
      },
      [&](void* place) {
        auto* const slot = static_cast<Member<void>*>(place);
        *slot = store.value();
        store.stored(slot->get());
      });
}
void store_into_theirs(Store& store, void* place) {
  Cell* const cell = static_cast<Cell*>(place);
  cell->word = store.value();
  store.stored(cell->word.get());
}
void other_threads_arena(Store& store) {
  with_other_thread(
      [](const Wait& wait) {
        with_arena([&] {
          Cell* const cell = make<Cell>();
          EXPECT_TRUE(is_unfaded(cell));
          wait(cell);
          EXPECT_TRUE(is_unfaded(cell));
        });
      },
      [&](void* place) { store_into_theirs(store, place); });
}
// What faded in an arena that has ended; another thread's, as arenas do not nest.
void leftover(Store& store) {
  with_other_thread(
      [](const Wait& wait) {
        const Root<Cell> left(with_arena([] { return make<Cell>(); }));
        EXPECT_TRUE(test::in_arena_range(left.get()));
        EXPECT_FALSE(is_unfaded(left.get()));
        wait(left.get());
      },
      [&](void* place) { store_into_theirs(store, place); });
}

struct Place {
  const char* name;
  bool escapes;
  void (*put)(Store& store);
};
constexpr Place kPlaces[] = {
    {"OwnStack", false, own_stack},
    {"OwnStackConstructed", false, own_stack_constructed},
    {"OwnStackRange", false, own_stack_range},
    {"SameArena", false, same_arena},
    {"SameArenaBig", false, same_arena_big},
    {"SameArenaRange", false, same_arena_range},
    {"SameArenaAtomic", false, same_arena_atomic},
    {"FadedObject", true, faded_object},
    {"FadedBig", true, faded_big},
    {"HeapObject", true, heap_object},
    {"HeapRange", true, heap_range},
    {"HeapRangeOverlapping", true, heap_range_overlapping},
    {"Root", true, root},
    {"RootAssigned", true, root_assigned},
    {"AtomicConstructed", true, atomic_constructed},
    {"AtomicStore", true, atomic_store},
    {"AtomicExchange", true, atomic_exchange},
    {"AtomicCompareExchange", true, atomic_compare_exchange},
    {"Weak", true, weak},
    {"Cleanup", true, cleanup},
    {"OtherThreadsStack", true, other_threads_stack},
    {"OtherThreadsArena", true, other_threads_arena},
    {"Leftover", true, leftover},
};

class Escape : public testing::TestWithParam<Place> {
 protected:
  ThreadScope scope_;
  test::NoCycles no_cycles_;
};

TEST_P(Escape, FadesWhatTheRuleSaysAndNothingElse) {
  const Place& place = GetParam();
  // One value an arena: each begins with nothing faded.
  for (std::size_t number = 0, count = 1; number < count; ++number) {
    with_arena([&] {
      const Scene scene;
      Part* const heap = heap_make<Part>();
      Part* const faded = test::make_part(100);
      const Root<Part> root(faded);
      scene.expect_faded(Scene::none());
      const std::vector<Value> values = values_of(scene, heap, faded);
      count = values.size();
      SCOPED_TRACE(values[number].name);
      Store store(scene, values[number], place.escapes);
      place.put(store);
      EXPECT_TRUE(store.judged());
      Scene::expect_whole(scene.part(Scene::kHead));
    });
    if (HasFailure()) break;
  }
}

std::string place_name(const testing::TestParamInfo<Place>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Places, Escape, testing::ValuesIn(kPlaces), place_name);

class EscapeRule : public testing::Test {
 protected:
  ThreadScope scope_;
  test::NoCycles no_cycles_;
};

// A store that does not happen publishes nothing; whether it fades is not promised, only that it does so
// wholly.
TEST_F(EscapeRule, AFailedExchangeFadesAllOrNothing) {
  with_arena([&] {
    const Scene scene;
    Shared* const shared = heap_make<Shared>();
    shared->cell.store(heap_make<Cell>());
    Cell* expected = nullptr;
    EXPECT_FALSE(
        shared->cell.compare_exchange(expected, static_cast<Cell*>(scene.at(Scene::kHead))));
    EXPECT_NE(shared->cell.load(), scene.at(Scene::kHead));
    const Scene::Set faded = scene.faded();
    EXPECT_TRUE(faded == Scene::none() || faded == Scene::of_head()) << Scene::names(faded);
  });
}

// As text of 15 bytes makes it: the first word of an inline String is an address within the arena.
TEST_F(EscapeRule, InlineTextIsNoPointer) {
  with_arena([&] {
    auto* const bytes = static_cast<char*>(allocate_noscan(512));
    ASSERT_TRUE(is_unfaded(bytes));
    auto address = reinterpret_cast<std::uintptr_t>(bytes);
    while ((address & 0xff) != (String::kInlineBytes << 1 | 1)) ++address;
    ASSERT_LT(address, reinterpret_cast<std::uintptr_t>(bytes) + 512);
    char text[String::kInlineBytes] = {};
    for (unsigned i = 0; i < 7; ++i) text[i] = static_cast<char>(address >> 8 * (i + 1));
    Part* const part = heap_make<Part>();
    part->text = std::string_view(text, sizeof text);
    // The handle's first word, as the collector reads it.
    ASSERT_EQ(*reinterpret_cast<const volatile std::uintptr_t*>(&part->text), address);
    EXPECT_TRUE(is_unfaded(bytes));
  });
}

// What one store has faded, another finds faded: no store after the first adds anything.
TEST_F(EscapeRule, FadingIsForGood) {
  with_arena([&] {
    const Scene scene;
    const Root<Part> root(scene.part(Scene::kMid));
    scene.expect_faded(Scene::of_list());
    const Root<BigPart> more(scene.big());
    scene.expect_faded(Scene::of_list() | Scene::of_big());
    Member<Part> here = scene.part(Scene::kMid);
    scene.part(Scene::kAside)->next = here;
    scene.expect_faded(Scene::of_list() | Scene::of_big());
    // And what is stored into it, in its turn.
    scene.part(Scene::kMid)->maybe = Member<Part>(scene.part(Scene::kOnce));
    Scene::Set expected = Scene::of_list() | Scene::of_big();
    expected.set(Scene::kOnce);
    scene.expect_faded(expected);
    here = scene.part(Scene::kParent);
    scene.expect_faded(expected);
  });
}

using EscapeDeathTest = EscapeRule;

// Only its own fiber fades what an arena holds: another that stores such a pointer stops the program.
TEST_F(EscapeDeathTest, AnothersUnfadedPointerStops) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        std::binary_semaphore ready{0};
        std::binary_semaphore stored{0};
        Cell* theirs = nullptr;
        std::thread thread([&] {
          const ThreadScope attached;
          with_arena([&] {
            theirs = make<Cell>();
            ready.release();
            native([&] { stored.acquire(); });
          });
        });
        native([&] { ready.acquire(); });
        const Root<Cell> root(theirs);
        stored.release();  // it did not stop: the process ends, and the test fails
        thread.join();
      },
      "arena");
}

}  // namespace
}  // namespace tailrace::gc
