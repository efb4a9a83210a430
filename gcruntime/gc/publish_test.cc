// publish: what is copied and what is shared, that nothing of the copy lies in the arena, and that nothing
// fades by it.
#include "gcruntime/gc/publish.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>
#include <variant>

#include "gcruntime/gc/allocs_per_run.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/test_publish.h"

namespace tailrace::gc {
namespace {

using internal::is_unfaded;
using test::Address;
using test::expect_user;
using test::faded_objects;
using test::in_arena_range;
using test::make_user;
using test::Node;
using test::text;
using test::User;

class PublishTest : public test::PublishFixture {};

TEST_F(PublishTest, NullAndWhatIsTheCollectorsIsShared) {
  with_arena([] {
    EXPECT_EQ(publish(static_cast<Node*>(nullptr)), nullptr);
    Node* on_heap = heap_make<Node>();
    EXPECT_EQ(publish(on_heap), on_heap);
    Node* faded = make<Node>();
    on_heap->next = faded;
    EXPECT_EQ(publish(faded), faded);
    const String literal = String::literal("a literal, which nobody copies");
    EXPECT_EQ(publish(literal).data(), literal.data());
    EXPECT_EQ(publish(String("short")), "short");
  });
  Node* outside = make<Node>();
  EXPECT_EQ(publish(outside), outside);
}

TEST_F(PublishTest, AFlatObjectIsCopiedWithAllThatItHolds) {
  User* kept = with_arena([] {
    User* user = make_user();
    User* copy = publish(user);
    EXPECT_NE(copy, user);
    EXPECT_FALSE(in_arena_range(copy));
    EXPECT_EQ(faded_objects(), 0u);
    for (const void* pointer : {static_cast<const void*>(copy->name.data()),
                                static_cast<const void*>(copy->others.data()),
                                static_cast<const void*>(copy->others[3].city.data()),
                                static_cast<const void*>(copy->numbers.data()),
                                static_cast<const void*>(copy->tags.data()),
                                static_cast<const void*>(copy->tags[9].data()),
                                static_cast<const void*>(copy->note->data()),
                                static_cast<const void*>(copy->pair.second.data()),
                                static_cast<const void*>(&*copy->groups.begin()),
                                static_cast<const void*>(copy->groups.begin()->key.data()),
                                static_cast<const void*>(copy->groups.begin()->value.data()),
                                static_cast<const void*>(copy->groups.begin()->value[0].data()),
                                static_cast<const void*>(&*copy->scores.begin())}) {
      EXPECT_FALSE(in_arena_range(pointer));
    }
    EXPECT_EQ(copy->title.data(), user->title.data());
    // Each has its own from now on.
    user->others[0].number = 99;
    user->tags.clear();
    user->scores[3] = 0;
    copy->numbers.reserve(1000);
    EXPECT_FALSE(in_arena_range(copy->numbers.data()));
    EXPECT_EQ(faded_objects(), 0u);
    return copy;
  });
  disturb();
  expect_user(*kept);
}

TEST_F(PublishTest, BackingsAreOfJustTheSize) {
  with_arena([] {
    auto* vector = make<Vector<String>>();
    vector->reserve(1000);
    vector->push_back(text("one"));
    const Vector<String>* copy = publish(vector);
    EXPECT_LT(copy->capacity(), 10u);
    EXPECT_EQ((*copy)[0], text("one"));
    auto* map = make<Map<std::int32_t, String>>();
    for (int i = 0; i < 1000; ++i) map->insert(i, "value");
    for (int i = 0; i < 999; ++i) map->erase(i);
    Map<std::int32_t, String>* copied = publish(map);
    EXPECT_EQ(copied->size(), 1u);
    EXPECT_TRUE(copied->contains(999));
    const AllocCounts before = own_alloc_counts();
    publish(map);
    // Itself, and a backing of four entries.
    EXPECT_LE((own_alloc_counts() - before).bytes, 32u + 160u);
    EXPECT_EQ((own_alloc_counts() - before).objects, 2u);
    copied->insert(5, "more");
    EXPECT_EQ(*copied->find(5), "more");
  });
}

TEST_F(PublishTest, EmptyContainersHaveNoBacking) {
  with_arena([] {
    auto* user = make<User>();
    user->tags.reserve(100);
    const AllocCounts counts = allocs_per_run(3, [&] { publish(user); });
    EXPECT_EQ(counts.objects, 1u);
    EXPECT_TRUE(publish(user)->tags.empty());
    EXPECT_TRUE(publish(Vector<String>()).empty());
    EXPECT_TRUE((publish(Map<String, String>()).empty()));
  });
}

TEST_F(PublishTest, ValuesHaveTheirContentsOnTheHeap) {
  struct Kept {
    Root<String> text;
    Root<Vector<Address>> vector;
    Root<Map<String, Address>> map;
  } kept;
  with_arena([&] {
    const String made = text("value");
    const String copy = publish(made);
    EXPECT_TRUE(in_arena_range(made.data()));
    EXPECT_FALSE(in_arena_range(copy.data()));
    *kept.text = copy;
    Vector<Address> vector;
    vector.push_back({text("city"), 3, false});
    *kept.vector = publish(vector);
    Map<String, Address> map;
    map.insert(text("key"), {text("city"), 4, false});
    *kept.map = publish(map);
    EXPECT_EQ(faded_objects(), 0u);
    vector[0].number = 0;
    map.clear();
  });
  disturb();
  EXPECT_EQ(*kept.text, text("value"));
  EXPECT_EQ(kept.vector->front().city, text("city"));
  EXPECT_EQ(kept.vector->front().number, 3);
  EXPECT_EQ(kept.map->find(text("key"))->city, text("city"));
}

TEST_F(PublishTest, WhatLiesOnTheStackIsCopied) {
  with_arena([] {
    User user = *make_user();
    User* copy = publish(&user);
    EXPECT_TRUE(heap::contains(reinterpret_cast<std::uintptr_t>(copy)));
    EXPECT_FALSE(in_arena_range(copy));
    expect_user(*copy);
    Node node;
    node.next = make<Node>();
    EXPECT_FALSE(in_arena_range(publish(&node)->next.get()));
    EXPECT_EQ(faded_objects(), 0u);
  });
}

TEST_F(PublishTest, AnObjectOfNumbersIsCopied) {
  with_arena([] {
    auto* number = make<std::int64_t>(5);
    const std::int64_t* copy = publish(number);
    *number = 6;
    EXPECT_EQ(*copy, 5);
    EXPECT_FALSE(in_arena_range(copy));
    auto* many = make<std::array<double, 1500>>();  // in a block of its own
    many->back() = 0.5;
    const auto* copied = publish(many);
    EXPECT_FALSE(in_arena_range(copied));
    EXPECT_EQ(copied->back(), 0.5);
    EXPECT_EQ(faded_objects(), 0u);
  });
}

struct Json {
  std::variant<std::monostate, double, String, Vector<Json>, Map<String, Json>, Member<Json>> value;
};
BOOST_DESCRIBE_STRUCT(Json, (), (value))

TEST_F(PublishTest, TheActiveAlternativeIsCopied) {
  with_arena([] {
    Json* json = make<Json>();
    Map<String, Json> map;
    const auto insert = [&](const char* key, auto value) {
      Json entry;
      entry.value = std::move(value);
      map.insert(key, entry);
    };
    insert("null", std::monostate());
    insert("number", 2.5);
    insert("text", text("json"));
    Vector<Json> list;
    list.resize(3);
    list[1].value = text("element");
    insert("list", list);
    insert("self", Member<Json>(json));
    json->value = std::move(map);

    const Json* copy = publish(json);
    const auto& copied = std::get<Map<String, Json>>(copy->value);
    ASSERT_EQ(copied.size(), 5u);
    EXPECT_EQ(copied.find("null")->value.index(), 0u);
    EXPECT_EQ(std::get<double>(copied.find("number")->value), 2.5);
    EXPECT_EQ(std::get<String>(copied.find("text")->value), text("json"));
    EXPECT_FALSE(in_arena_range(std::get<String>(copied.find("text")->value).data()));
    const auto& elements = std::get<Vector<Json>>(copied.find("list")->value);
    EXPECT_FALSE(in_arena_range(elements.data()));
    EXPECT_EQ(std::get<String>(elements[1].value), text("element"));
    EXPECT_EQ(std::get<Member<Json>>(copied.find("self")->value).get(), copy);
    EXPECT_EQ(faded_objects(), 0u);
  });
}

// --- What is not copied ----------------------------------------------------------------------------

struct Base {
  std::int64_t value = 1;
  String name;
};
BOOST_DESCRIBE_STRUCT(Base, (), (value, name))
struct Derived : Base {
  String more;
};
BOOST_DESCRIBE_STRUCT(Derived, (Base), (more))

struct Shape {
  virtual std::int64_t area() const = 0;

 protected:
  ~Shape() = default;
};
BOOST_DESCRIBE_STRUCT(Shape, (), ())
struct Square final : Shape {
  std::int64_t area() const override { return side * side; }
  std::int64_t side = 0;
  String name;
};
BOOST_DESCRIBE_STRUCT(Square, (Shape), (side, name))

struct Pointers {
  Member<Base> base;
  Member<Shape> shape;
  Member<Square> square;
  Member<void> anything;
  Member<Address> element;
  Member<Address> first;
  Member<std::int64_t> field;
};
BOOST_DESCRIBE_STRUCT(Pointers, (), (base, shape, square, anything, element, first, field))

TEST_F(PublishTest, WhatIsNotTheWholeObjectOfItsTypeFadesAsItIs) {
  Pointers* kept = with_arena([] {
    Pointers* pointers = make<Pointers>();
    Derived* derived = make<Derived>();
    derived->more = text("more");
    pointers->base = derived;
    Square* square = make<Square>();
    square->side = 6;
    square->name = text("square");
    pointers->shape = square;
    Vector<Address> elements;
    elements.resize(5);
    elements[3].city = text("element");
    pointers->element = &elements[3];
    pointers->first = &elements[0];
    auto* numbers = make<std::array<std::int64_t, 4>>();
    (*numbers)[2] = 22;
    pointers->field = &(*numbers)[2];
    pointers->anything = make<Node>();
    Pointers* copy = publish(pointers);
    EXPECT_FALSE(in_arena_range(copy));
    for (const void* same :
         {static_cast<const void*>(derived), static_cast<const void*>(square),
          static_cast<const void*>(&elements[3]), static_cast<const void*>(&(*numbers)[2])}) {
      EXPECT_FALSE(is_unfaded(same));
    }
    EXPECT_EQ(copy->base, derived);
    EXPECT_EQ(copy->shape, square);
    EXPECT_EQ(copy->element, &elements[3]);
    EXPECT_EQ(copy->first, &elements[0]);
    EXPECT_EQ(copy->field, &(*numbers)[2]);
    EXPECT_EQ(copy->anything, pointers->anything);
    // The same for what is published itself.
    const Base* other = make<Derived>();
    EXPECT_EQ(publish(other), other);
    EXPECT_FALSE(is_unfaded(other));
    return copy;
  });
  disturb();
  EXPECT_EQ(static_cast<Derived*>(kept->base.get())->more, text("more"));
  EXPECT_EQ(kept->shape->area(), 36);
  EXPECT_EQ(kept->element->city, text("element"));
  EXPECT_EQ(*kept->field, 22);
}

TEST_F(PublishTest, AnObjectWithVirtualFunctionsIsCopiedAsItself) {
  with_arena([] {
    Pointers* pointers = make<Pointers>();
    pointers->square = make<Square>();
    pointers->square->side = 5;
    pointers->square->name = text("square");
    const Pointers* copy = publish(pointers);
    EXPECT_FALSE(in_arena_range(copy->square.get()));
    EXPECT_EQ(static_cast<const Shape*>(copy->square.get())->area(), 25);
    EXPECT_EQ(copy->square->name, text("square"));
    EXPECT_EQ(faded_objects(), 0u);
  });
}

struct Watched {
  using finalized = void;
  ~Watched() {}
  Opaque<int> value{3};
};
BOOST_DESCRIBE_STRUCT(Watched, (), (value))
class Closed {
 public:
  explicit Closed(const int* foreign) : foreign_{foreign} {}
  const int* foreign() const { return foreign_.value; }
  void set(const String& name, Watched* watched) {
    name_ = name;
    watched_ = watched;
    undescribed_ = 77;
  }
  const String& name() const { return name_; }
  const Watched* watched() const { return watched_.get(); }
  std::int32_t undescribed() const { return undescribed_; }

 private:
  BOOST_DESCRIBE_CLASS(Closed, (), (), (), (foreign_, name_, watched_, number_))
  const Opaque<const int*> foreign_;
  String name_;
  Member<Watched> watched_;
  std::int32_t number_ = 0;
  std::int32_t undescribed_ = 0;  // in the word of a described one
};

TEST_F(PublishTest, OpaqueAndPrivateMembersAreCopiedWithoutAConstructor) {
  with_arena([] {
    const int foreign = 1;
    Watched* watched = make<Watched>();
    Closed* closed = make<Closed>(&foreign);
    closed->set(text("closed"), watched);
    const Closed* copy = publish(closed);
    EXPECT_NE(copy, closed);
    EXPECT_EQ(copy->foreign(), &foreign);
    EXPECT_EQ(copy->name(), text("closed"));
    EXPECT_FALSE(in_arena_range(copy->name().data()));
    EXPECT_EQ(copy->undescribed(), 77);
    EXPECT_EQ(copy->watched(), watched);  // its destructor is to run once
    EXPECT_FALSE(is_unfaded(watched));
    EXPECT_EQ(faded_objects(), 1u);
  });
}

// At one address, and of as many granules.
struct Corner {
  std::int64_t x = 0;
  std::int64_t y = 0;
};
BOOST_DESCRIBE_STRUCT(Corner, (), (x, y))
struct Area {
  Corner corner;
  std::int64_t height = 0;
};
BOOST_DESCRIBE_STRUCT(Area, (), (corner, height))
template <typename First, typename Second>
struct Both {
  Member<First> first;
  Member<Second> second;
};
using MemberFirst = Both<Corner, Area>;
using WholeFirst = Both<Area, Corner>;
BOOST_DESCRIBE_STRUCT(MemberFirst, (), (first, second))
BOOST_DESCRIBE_STRUCT(WholeFirst, (), (first, second))

void expect_corner(const Corner& corner) {
  EXPECT_EQ(corner.x, 1);
  EXPECT_EQ(corner.y, 2);
}
void expect_area(const Area& area) {
  expect_corner(area.corner);
  EXPECT_EQ(area.height, 3);
}

// Were the member taken for the whole of its type, its copy, which is smaller, would be the other's too.
TEST_F(PublishTest, AFirstMemberIsNotItsWhole) {
  const auto make_area = [] {
    Area* area = make<Area>();
    *area = {{1, 2}, 3};
    return area;
  };
  const Root<MemberFirst> member_first(with_arena([&] {
    Area* area = make_area();
    MemberFirst* both = make<MemberFirst>();
    both->first = &area->corner;
    both->second = area;
    MemberFirst* copy = publish(both);
    EXPECT_NE(copy, both);
    EXPECT_EQ(copy->first, &area->corner);  // the whole has faded with it
    EXPECT_EQ(copy->second, area);
    EXPECT_EQ(faded_objects(), 1u);
    return copy;
  }));
  const Root<WholeFirst> whole_first(with_arena([&] {
    Area* area = make_area();
    WholeFirst* both = make<WholeFirst>();
    both->first = area;
    both->second = &area->corner;
    WholeFirst* copy = publish(both);
    EXPECT_NE(copy, both);
    EXPECT_FALSE(in_arena_range(copy->first.get()));
    return copy;
  }));
  disturb();
  const MemberFirst* const member = member_first.get();
  const WholeFirst* const whole = whole_first.get();
  ASSERT_NE(member, nullptr);
  ASSERT_NE(whole, nullptr);
  expect_corner(*member->first);
  expect_area(*member->second);
  expect_area(*whole->first);
  expect_corner(*whole->second);
}

}  // namespace
}  // namespace tailrace::gc
