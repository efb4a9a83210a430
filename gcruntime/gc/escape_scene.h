// For the tests of the escape rule: a graph in the calling fiber's arena whose every object is known by name,
// so that not only what has faded is checked but also what has not.
//
// Made inside an open arena. The addresses stand here disguised: a Scene may live in any memory.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/escape.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/heap/page_map.h"

namespace tailrace::gc::test {

struct BigPart;
struct Part {
  Member<Part> next;
  Member<BigPart> big;
  String text;
  Vector<Member<Part>> list;
  std::variant<std::int64_t, Member<Part>> maybe;
  std::int64_t number = 0;
};
BOOST_DESCRIBE_STRUCT(Part, (), (next, big, text, list, maybe, number))

// Over 8 KiB, so that it has blocks of its own; the pointer is far behind its head.
struct BigPart {
  std::array<std::int64_t, 1800> numbers;
  Member<Part> behind;
};
BOOST_DESCRIBE_STRUCT(BigPart, (), (numbers, behind))

// One word of whatever kind.
struct Cell {
  Member<void> word;
};
BOOST_DESCRIBE_STRUCT(Cell, (), (word))

inline Part* make_part(std::int64_t number) {
  Part* part = make<Part>();
  part->number = number;
  return part;
}

// No cycles but those that a test asks for, as an arena that lives through two of them is closed.
class NoCycles {
 public:
  NoCycles() : percent_(set_percent(-1)) {}
  ~NoCycles() { set_percent(percent_); }
  NoCycles(const NoCycles&) = delete;
  NoCycles& operator=(const NoCycles&) = delete;

 private:
  const int percent_;
};

//   parent -> head -> mid <-> tail     head.big: big -> behind     head.text
//   aside -> mid    aside.text         mid.list: [leaf, tail]        leaf.maybe: far
//   once: head.maybe pointed to it, and does no more    hinted: its address stands in head.text's bytes
class Scene {
 public:
  enum Name : unsigned {
    kParent,
    kHead,
    kMid,
    kTail,
    kLeaf,
    kFar,
    kBig,
    kBehind,
    kList,
    kHeadText,
    kAside,
    kAsideText,
    kOnce,
    kHinted,
    kNames
  };
  using Set = std::bitset<kNames>;
  static constexpr const char* kWhat[kNames] = {
      "parent", "head", "mid",       "tail",  "leaf",       "far",  "big",
      "behind", "list", "head.text", "aside", "aside.text", "once", "hinted"};

  Scene() {
    Part* const parent = made(kParent, make_part(kParent));
    Part* const head = made(kHead, make_part(kHead));
    Part* const mid = made(kMid, make_part(kMid));
    Part* const tail = made(kTail, make_part(kTail));
    Part* const leaf = made(kLeaf, make_part(kLeaf));
    Part* const aside = made(kAside, make_part(kAside));
    Part* const once = made(kOnce, make_part(kOnce));
    Part* const hinted = made(kHinted, make_part(kHinted));
    BigPart* const big = made(kBig, make<BigPart>());
    parent->next = head;
    head->next = mid;
    head->maybe = Member<Part>(once);
    head->maybe = std::int64_t{7};
    mid->next = tail;
    tail->next = mid;
    leaf->maybe = Member<Part>(made(kFar, make_part(kFar)));
    big->behind = made(kBehind, make_part(kBehind));
    head->big = big;
    mid->list.push_back(leaf);
    mid->list.push_back(tail);
    made(kList, mid->list.data());
    // No other word of memory than noscan ones points to `hinted`.
    std::array<void*, 4> hints{nullptr, hinted, hinted, hinted};
    head->text = String(std::string_view(reinterpret_cast<const char*>(&hints), sizeof hints));
    made(kHeadText, head->text.data());
    aside->next = mid;
    aside->text = "a text that is too long to stand in its handle";
    made(kAsideText, aside->text.data());
  }

  void* at(Name name) const { return reinterpret_cast<void*>(places_[name].address()); }
  Part* part(Name name) const { return static_cast<Part*>(at(name)); }
  BigPart* big() const { return static_cast<BigPart*>(at(kBig)); }

  static Set of_list() { return set({kList, kLeaf, kFar, kTail, kMid}); }
  static Set of_head() { return of_list() | set({kHead, kHeadText, kBig, kBehind}); }
  static Set of_big() { return set({kBig, kBehind}); }
  static Set of_text() { return set({kHeadText}); }
  static Set all() { return Set().set(); }
  static Set none() { return {}; }

  // These have faded and nothing else has.
  void expect_faded(Set expected) const { EXPECT_EQ(names(faded()), names(expected)); }
  Set faded() const {
    Set set;
    for (unsigned i = 0; i < kNames; ++i) set[i] = !internal::is_unfaded(at(Name(i)));
    return set;
  }
  static std::string names(Set set) {
    std::string text;
    for (unsigned i = 0; i < kNames; ++i) {
      if (set[i]) text.append(text.empty() ? "" : " ").append(kWhat[i]);
    }
    return text;
  }

  // What head reaches is as it was made.
  static void expect_whole(const Part* head) {
    ASSERT_EQ(head->number, kHead);
    const Part* const mid = head->next.get();
    ASSERT_EQ(mid->number, kMid);
    const Part* const tail = mid->next.get();
    ASSERT_EQ(tail->number, kTail);
    EXPECT_EQ(tail->next, mid);
    ASSERT_EQ(mid->list.size(), 2u);
    const Part* const leaf = mid->list[0].get();
    ASSERT_EQ(leaf->number, kLeaf);
    EXPECT_EQ(mid->list[1], tail);
    EXPECT_EQ(std::get<Member<Part>>(leaf->maybe)->number, kFar);
    EXPECT_EQ(head->big->behind->number, kBehind);
    EXPECT_EQ(std::get<std::int64_t>(head->maybe), 7);
    EXPECT_EQ(head->text.size(), 32u);
  }

 private:
  static Set set(std::initializer_list<Name> names) {
    Set result;
    for (const Name name : names) result.set(name);
    return result;
  }
  template <typename T>
  T* made(Name name, T* object) {
    places_[name] = Disguised(object);
    return object;
  }

  std::array<Disguised, kNames> places_;
};

}  // namespace tailrace::gc::test
