// Described types and texts for the tests and benchmarks of this folder: the service's user and
// event, a recursive type, and one member of each kind.
#pragma once

#include <array>
#include <boost/describe.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gcruntime/gc/make.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/vector.h"
#include "server/buffer.h"
#include "server/json/timestamp.h"

namespace tailrace::json::testing {

struct Address {
  gc::String street, city, country, zip;
};
BOOST_DESCRIBE_STRUCT(Address, (), (street, city, country, zip))

struct User {
  std::int64_t id = 0;
  gc::String name;
  gc::String email;
  bool active = false;
  double score = 0;
  gc::Vector<gc::String> roles;
  gc::Member<Address> address;
  gc::Vector<gc::String> tags;
};
BOOST_DESCRIBE_STRUCT(User, (), (id, name, email, active, score, roles, address, tags))

struct Event {
  gc::String id;
  gc::String type;
  std::int64_t user_id = 0;
  std::int64_t ts = 0;
  gc::Vector<gc::String> tags;
  gc::Map<gc::String, gc::String> payload;
};
BOOST_DESCRIBE_STRUCT(Event, (), (id, type, user_id, ts, tags, payload))

struct Node {
  std::int64_t value = 0;
  gc::Member<Node> next;
  gc::Vector<Node> children;
  static constexpr std::array<std::string_view, 3> json_optional{"value", "next", "children"};
};
BOOST_DESCRIBE_STRUCT(Node, (), (value, next, children))

// Refuses some values itself.
struct Person {
  gc::String name;
  std::int32_t age = 0;
};
BOOST_DESCRIBE_STRUCT(Person, (), (name, age))

inline std::optional<std::string> validate(const Person& person) {
  if (person.age < 0) return "age must not be negative";
  return std::nullopt;
}

BOOST_DEFINE_ENUM_CLASS(Color, red, green, blue)

struct Kinds {
  std::int8_t i8 = 0;
  std::uint8_t u8 = 0;
  std::int32_t i32 = 0;
  std::uint64_t u64 = 0;
  float f = 0;
  double d = 0;
  bool b = false;
  Color color = Color::red;
  std::optional<std::int64_t> maybe;
  std::optional<gc::String> maybe_text;
  std::array<std::int32_t, 3> three{};
  gc::Map<gc::String, std::int64_t> counts;
  gc::Vector<gc::Vector<double>> matrix;
  Timestamp at;
  Address inline_address;
};
BOOST_DESCRIBE_STRUCT(Kinds, (),
                      (i8, u8, i32, u64, f, d, b, color, maybe, maybe_text, three, counts, matrix,
                       at, inline_address))

// Text with the padding that the readers want, and a byte behind it that would be taken for text by
// a reader that looks too far.
class Padded {
 public:
  explicit Padded(std::string_view text, char behind = '7') : size_(text.size()) {
    bytes_.assign(text);
    bytes_.append(http::Buffer::kPaddingBytes, behind);
  }
  std::string_view view() const { return {bytes_.data(), size_}; }
  operator std::string_view() const { return view(); }  // NOLINT(google-explicit-constructor)

 private:
  std::string bytes_;
  std::size_t size_;
};

inline User* make_demo_user(std::int64_t id) {
  User* user = gc::make<User>();
  user->id = id;
  user->name = gc::String("User Number " + std::to_string(id));
  user->email = gc::String("user" + std::to_string(id) + "@example.com");
  user->active = id % 2 == 0;
  user->score = static_cast<double>(id) * 1.25;
  user->roles.push_back("reader");
  user->roles.push_back("writer");
  user->roles.push_back(gc::String("team-" + std::to_string(id % 100)));
  Address* address = gc::make<Address>();
  address->street = gc::String(std::to_string(id) + " High Street");
  address->city = "Springfield";
  address->country = "Freedonia";
  std::string zip = std::to_string(id % 100000);
  zip.insert(0, 5 - zip.size(), '0');
  address->zip = gc::String(zip);
  user->address = address;
  user->tags.push_back("alpha");
  user->tags.push_back("beta");
  user->tags.push_back(gc::String("tag-" + std::to_string(id % 1000)));
  return user;
}

inline constexpr std::string_view kUser7 =
    R"({"id":7,"name":"User Number 7","email":"user7@example.com","active":false,"score":8.75,)"
    R"("roles":["reader","writer","team-7"],)"
    R"("address":{"street":"7 High Street","city":"Springfield","country":"Freedonia","zip":"00007"},)"
    R"("tags":["alpha","beta","tag-7"]})";
inline constexpr std::string_view kEvent1 =
    R"({"id":"ev-1","type":"click","user_id":7,"ts":1700000000,"tags":["a","b"],"payload":{"k":"v"}})";

}  // namespace tailrace::json::testing
