// For the tests of publish: an object with something of all that may be published flat, and questions about
// arenas.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/arena_record.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/test_support.h"
#include "gcruntime/gc/vector.h"

namespace tailrace::gc::test {

inline const std::string kLong = "a text that is longer than fifteen bytes";

// Of the arena that the caller has.
inline std::uint64_t faded_objects() { return mutator()->arena->faded_objects; }

class PublishFixture : public testing::Test {
 protected:
  // Arenas with other contents, and cycles: what was lost is gone.
  static void disturb() {
    for (int i = 0; i < 2; ++i) {
      with_arena([] {
        for (int n = 0; n < 20'000; ++n) make<Node>()->value = -1;
      });
      collect();
    }
  }

  ThreadScope scope_;
};

struct Address {
  String city;
  std::int32_t number = 0;
  bool billing = false;
};
BOOST_DESCRIBE_STRUCT(Address, (), (city, number, billing))

struct User {
  std::int64_t id = 0;
  String name;
  String nickname;
  String title;
  Address home;
  Vector<Address> others;
  Vector<std::int32_t> numbers;
  Vector<String> tags;
  Map<String, Vector<String>> groups;
  Map<std::int64_t, double> scores;
  std::optional<String> note;
  std::optional<String> nothing;
  std::array<String, 2> pair_of_texts;
  std::pair<std::int16_t, String> pair;
};
BOOST_DESCRIBE_STRUCT(User, (),
                      (id, name, nickname, title, home, others, numbers, tags, groups, scores, note,
                       nothing, pair_of_texts, pair))

inline String text(const std::string& what) { return String(what + ": " + kLong); }

inline User* make_user() {
  User* user = make<User>();
  user->id = 42;
  user->name = text("name");
  user->nickname = "short";
  user->title = String::literal("a literal, which nobody copies");
  user->home = {text("city"), 7, true};
  for (int i = 0; i < 10; ++i) {
    user->others.push_back({text(std::to_string(i)), i, i % 2 == 0});
    user->numbers.push_back(i * i);
    user->tags.push_back(text("tag " + std::to_string(i)));
    user->scores[i] = i * 0.5;
    user->groups[text("group " + std::to_string(i % 3))].push_back(
        text("member " + std::to_string(i)));
  }
  user->note = text("note");
  user->pair_of_texts = {text("first"), "second"};
  user->pair = {-3, text("pair")};
  return user;
}
inline void expect_user(const User& user) {
  EXPECT_EQ(user.id, 42);
  EXPECT_EQ(user.name, text("name"));
  EXPECT_EQ(user.nickname, "short");
  EXPECT_EQ(user.title, "a literal, which nobody copies");
  EXPECT_EQ(user.home.city, text("city"));
  EXPECT_EQ(user.home.number, 7);
  EXPECT_TRUE(user.home.billing);
  ASSERT_EQ(user.others.size(), 10u);
  ASSERT_EQ(user.numbers.size(), 10u);
  ASSERT_EQ(user.tags.size(), 10u);
  ASSERT_EQ(user.scores.size(), 10u);
  ASSERT_EQ(user.groups.size(), 3u);
  for (std::size_t i = 0; i < 10; ++i) {
    const auto number = static_cast<std::int32_t>(i);
    EXPECT_EQ(user.others[i].city, text(std::to_string(i)));
    EXPECT_EQ(user.others[i].number, number);
    EXPECT_EQ(user.others[i].billing, i % 2 == 0);
    EXPECT_EQ(user.numbers[i], number * number);
    EXPECT_EQ(user.tags[i], text("tag " + std::to_string(i)));
    ASSERT_NE(user.scores.find(std::int64_t{number}), nullptr);
    EXPECT_EQ(*user.scores.find(std::int64_t{number}), number * 0.5);
    const auto* group = user.groups.find(std::string_view(text("group " + std::to_string(i % 3))));
    ASSERT_NE(group, nullptr);
    EXPECT_EQ((*group)[i / 3], text("member " + std::to_string(i)));
  }
  EXPECT_EQ(user.note, text("note"));
  EXPECT_FALSE(user.nothing.has_value());
  EXPECT_EQ(user.pair_of_texts[0], text("first"));
  EXPECT_EQ(user.pair_of_texts[1], "second");
  EXPECT_EQ(user.pair.first, -3);
  EXPECT_EQ(user.pair.second, text("pair"));
}

}  // namespace tailrace::gc::test
