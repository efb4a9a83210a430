// From descriptions to bitmaps: what the compiler made is compared with where the members lie at run time.
#include "gcruntime/gc/trace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gcruntime/gc/make.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/mutator.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/vector.h"

namespace tailrace::gc {
namespace {

// The words of T's compiled bitmap.
template <typename T>
std::set<std::size_t> words_of() {
  const TypeInfo* info = type_info(kTypeNumber<T>);
  EXPECT_NE(info, nullptr);
  EXPECT_EQ(info->bytes, sizeof(T));
  EXPECT_EQ(info->words, (sizeof(T) + 7) / 8);
  std::set<std::size_t> words;
  for (std::size_t i = 0; i < info->words; ++i) {
    if ((info->bitmap[i / 64] >> (i % 64) & 1) != 0) words.insert(i);
  }
  return words;
}

// The words that begin at these members' addresses in an object that is really there.
template <typename T>
std::set<std::size_t> words_at(const T& object, std::initializer_list<const void*> members) {
  std::set<std::size_t> words;
  for (const void* member : members) {
    const std::ptrdiff_t offset =
        static_cast<const char*>(member) - reinterpret_cast<const char*>(&object);
    EXPECT_EQ(offset % 8, 0);
    words.insert(static_cast<std::size_t>(offset) / 8);
  }
  return words;
}

struct Leaf {
  std::int32_t a = 0;
  bool b = false;
  double c = 0;
};
BOOST_DESCRIBE_STRUCT(Leaf, (), (a, b, c))

struct Handles {
  bool flag = false;
  Member<Leaf> member;
  std::int16_t number = 0;
  String text;
  Vector<std::int64_t> vector;
  Map<String, Leaf> map;
  Atomic<Leaf> atomic;
  std::uint8_t last = 0;
};
BOOST_DESCRIBE_STRUCT(Handles, (), (flag, member, number, text, vector, map, atomic, last))

// The samples lie on the test's stack, so its thread is attached.
class TraceTest : public testing::Test {
 protected:
  ThreadScope scope_;
};

TEST_F(TraceTest, HandlesStandWhereOffsetofSaysTheyDo) {
  const Handles h;
  EXPECT_EQ(words_of<Handles>(), words_at(h, {&h.member, &h.text, &h.vector, &h.map, &h.atomic}));
  EXPECT_TRUE(kNoscan<Leaf>);
  EXPECT_FALSE(kNoscan<Handles>);
  EXPECT_FALSE(type_info(kTypeNumber<Handles>)->maybe);
}

struct Nested {
  Leaf leaf;
  Handles handles;
  std::array<Handles, 2> more;
};
BOOST_DESCRIBE_STRUCT(Nested, (), (leaf, handles, more))

TEST_F(TraceTest, NestedStructsAndArrays) {
  const Nested n;
  std::set<std::size_t> expected;
  for (const Handles* h : {&n.handles, &n.more[0], &n.more[1]}) {
    expected.merge(words_at(n, {&h->member, &h->text, &h->vector, &h->map, &h->atomic}));
  }
  EXPECT_EQ(words_of<Nested>(), expected);
}

struct Standard {
  std::optional<Member<Leaf>> maybe_member;
  std::optional<std::int64_t> maybe_number;
  std::pair<std::int32_t, String> pair;
  std::array<std::optional<String>, 2> texts;
  std::array<std::int64_t, 3> numbers;
};
BOOST_DESCRIBE_STRUCT(Standard, (), (maybe_member, maybe_number, pair, texts, numbers))

TEST_F(TraceTest, OptionalsPairsAndArrays) {
  Standard s;
  s.maybe_member.emplace();
  s.texts[0].emplace();
  s.texts[1].emplace();
  EXPECT_EQ(words_of<Standard>(),
            words_at(s, {&*s.maybe_member, &s.pair.second, &*s.texts[0], &*s.texts[1]}));
  EXPECT_FALSE(type_info(kTypeNumber<Standard>)->maybe);
}

struct Either {
  std::int64_t before = 0;
  std::variant<std::int64_t, Member<Leaf>, std::monostate> pointer_or_number;
  std::variant<std::int64_t, double> numbers;
  Member<Leaf> behind;
};
BOOST_DESCRIBE_STRUCT(Either, (), (before, pointer_or_number, numbers, behind))

TEST_F(TraceTest, VariantsAreMaybe) {
  const Either e;
  // All words of the variant that can hold a pointer: its index too, which is never one.
  const std::set<std::size_t> words = words_of<Either>();
  const std::set<std::size_t> exact = words_at(e, {&e.pointer_or_number, &e.behind});
  EXPECT_TRUE(std::includes(words.begin(), words.end(), exact.begin(), exact.end()));
  EXPECT_EQ(words.count(offsetof(Either, before) / 8), 0u);
  EXPECT_EQ(words.count(offsetof(Either, numbers) / 8), 0u);
  EXPECT_EQ(words.size(), 1 + sizeof(e.pointer_or_number) / 8);
  EXPECT_TRUE(type_info(kTypeNumber<Either>)->maybe);
}

class Private {
 public:
  std::set<std::size_t> expected() const { return words_at(*this, {&second_, &fourth_}); }

 private:
  std::int64_t first_ = 1;
  Member<Leaf> second_;
  std::int32_t third_ = 3;
  String fourth_;
  BOOST_DESCRIBE_CLASS(Private, (), (), (), (first_, second_, third_, fourth_))
};

TEST_F(TraceTest, PrivateMembers) { EXPECT_EQ(words_of<Private>(), Private().expected()); }

struct Base {
  std::int64_t number = 0;
  Member<Leaf> base_member;
};
BOOST_DESCRIBE_STRUCT(Base, (), (number, base_member))
struct OtherBase {
  String other_text;
};
BOOST_DESCRIBE_STRUCT(OtherBase, (), (other_text))
struct Derived : Base, OtherBase {
  Member<Leaf> own;
};
BOOST_DESCRIBE_STRUCT(Derived, (Base, OtherBase), (own))

TEST_F(TraceTest, BasesMembersAreMembers) {
  const Derived d;
  EXPECT_EQ(words_of<Derived>(), words_at(d, {&d.base_member, &d.other_text, &d.own}));
}

struct Polymorphic {
  virtual std::int64_t number() const { return value; }
  Member<Leaf> member;
  std::int64_t value = 5;

 protected:
  ~Polymorphic() = default;
};
BOOST_DESCRIBE_STRUCT(Polymorphic, (), (member, value))
struct PolymorphicLeaf final : Polymorphic {
  std::int64_t number() const override { return value + 1; }
  String text;
};
BOOST_DESCRIBE_STRUCT(PolymorphicLeaf, (Polymorphic), (text))

TEST_F(TraceTest, TheVptrIsAllowedAndNotTraced) {
  const PolymorphicLeaf p;
  EXPECT_EQ(words_of<PolymorphicLeaf>(), words_at(p, {&p.member, &p.text}));
}

// More words than one bitmap word holds.
struct Wide {
  std::array<std::int64_t, 70> numbers{};
  std::array<Member<Leaf>, 70> members;
  Member<Leaf> last;
};
BOOST_DESCRIBE_STRUCT(Wide, (), (numbers, members, last))

TEST_F(TraceTest, WideTypes) {
  const Wide w;
  std::set<std::size_t> expected = words_at(w, {&w.last});
  for (const Member<Leaf>& member : w.members) expected.merge(words_at(w, {&member}));
  EXPECT_EQ(words_of<Wide>(), expected);
}

template <typename T>
struct Generic {
  T value;
  Member<T> member;
  BOOST_DESCRIBE_CLASS(Generic, (), (value, member), (), ())
};

TEST_F(TraceTest, Templates) {
  const Generic<Leaf> leaf;
  EXPECT_EQ(words_of<Generic<Leaf>>(), words_at(leaf, {&leaf.member}));
  const Generic<String> text;
  EXPECT_EQ(words_of<Generic<String>>(), words_at(text, {&text.value, &text.member}));
}

struct WithOpaque {
  Opaque<void*> handle{};
  Member<Leaf> member;
};
BOOST_DESCRIBE_STRUCT(WithOpaque, (), (handle, member))

TEST_F(TraceTest, OpaqueIsNotLookedInto) {
  const WithOpaque o;
  EXPECT_EQ(words_of<WithOpaque>(), words_at(o, {&o.member}));
}

TEST_F(TraceTest, MapEntries) {
  using Entry = MapEntry<std::int32_t, String>;
  const Entry entry{};
  EXPECT_EQ(words_of<Entry>(), words_at(entry, {&entry.value}));
  using Texts = MapEntry<String, Member<Leaf>>;
  const Texts texts{};
  EXPECT_EQ(words_of<Texts>(), words_at(texts, {&texts.key, &texts.value}));
  static_assert(kNoscan<MapEntry<std::int64_t, Leaf>>);
}

// --- What is refused. The refusals are static_asserts; what they ask is asked here. ------------------

struct Undescribed {
  std::int64_t number;
};
union Overlap {
  std::int64_t number;
  void* pointer;
};

static_assert(Traceable<Member<Leaf>> && Traceable<String> && Traceable<Vector<String>>);
static_assert(Traceable<std::optional<Member<Leaf>>> && Traceable<std::pair<int, String>>);
static_assert(Traceable<Opaque<void*>> && Traceable<Opaque<std::string_view>>);
static_assert(Traceable<std::monostate> && Traceable<std::byte> && Traceable<const std::int64_t>);
static_assert(!Traceable<void*> && !Traceable<Leaf*> && !Traceable<const char*> &&
              !Traceable<int (*)()>);
static_assert(!Traceable<std::nullptr_t> && !Traceable<int Leaf::*>);
static_assert(!Traceable<std::string> && !Traceable<std::string_view>);
static_assert(!Traceable<std::vector<int>> && !Traceable<std::map<int, int>>);
static_assert(!Traceable<std::unique_ptr<Leaf>> && !Traceable<std::shared_ptr<Leaf>>);
static_assert(!Traceable<Undescribed> && !Traceable<Overlap> && !Traceable<Leaf&>);
static_assert(!Traceable<std::optional<Leaf*>> && !Traceable<std::array<Leaf*, 2>>);
static_assert(!Traceable<std::variant<std::int64_t, Leaf*>> && !Traceable<std::pair<int, Leaf*>>);

struct ForgottenMember {
  std::int64_t number;
  Member<Leaf> forgotten;
};
BOOST_DESCRIBE_STRUCT(ForgottenMember, (), (number))
struct ForgottenBase : Base {
  std::int64_t more;
};
BOOST_DESCRIBE_STRUCT(ForgottenBase, (), (more))
struct ForgottenInPolymorphic final : Polymorphic {
  Member<Leaf> forgotten;
};
BOOST_DESCRIBE_STRUCT(ForgottenInPolymorphic, (Polymorphic), ())
struct ForgottenHalf {
  std::int32_t number;
  std::int32_t forgotten;  // harmless: no pointer fits
};
BOOST_DESCRIBE_STRUCT(ForgottenHalf, (), (number))

static_assert(internal::covers_every_word<Handles>() && internal::covers_every_word<Derived>());
static_assert(internal::covers_every_word<PolymorphicLeaf>() &&
              internal::covers_every_word<ForgottenHalf>());
static_assert(!internal::covers_every_word<ForgottenMember>());
static_assert(!internal::covers_every_word<ForgottenBase>());
static_assert(!internal::covers_every_word<ForgottenInPolymorphic>());

TEST_F(TraceTest, TypesHaveNumbersAndNames) {
  EXPECT_NE(kTypeNumber<Handles>, kTypeNumber<Nested>);
  EXPECT_NE(std::string(type_info(kTypeNumber<Handles>)->name).find("Handles"), std::string::npos);
  EXPECT_EQ(type_info(0), nullptr);
  EXPECT_EQ(type_info(65535), nullptr);
}

}  // namespace
}  // namespace tailrace::gc
