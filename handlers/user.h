// The example's data: a user, as the contract's JSON shows it. One description serves the collector's
// trace, the encoder and the decoder.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gcruntime/gcruntime.h"

namespace tailrace::api {

struct Address {
  gc::String street;
  gc::String city;
  gc::String country;
  gc::String zip;
};
BOOST_DESCRIBE_STRUCT(Address, (), (street, city, country, zip))

// Immutable once the store has published it.
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

// What POST and PUT accept: a user whose id is the server's business. An id in the body is accepted and
// ignored, so that what GET answered can be PUT back.
struct UserInput {
  // All but name and email may be missing.
  static constexpr std::array<std::string_view, 5> json_optional{"active", "score", "roles",
                                                                 "address", "tags"};

  std::optional<std::int64_t> id;
  gc::String name;
  gc::String email;
  bool active = false;
  double score = 0;
  gc::Vector<gc::String> roles;
  gc::Member<Address> address;
  gc::Vector<gc::String> tags;
};
BOOST_DESCRIBE_STRUCT(UserInput, (), (id, name, email, active, score, roles, address, tags))

// What is wrong with it (422), or nothing.
std::optional<std::string> validate(const UserInput& input);

// A user of that id with the input's contents: a copy's, or those of one that is given up.
User* make_user(std::int64_t id, UserInput input);
// The demo user of that id, as the contract defines it.
User* make_demo_user(std::int64_t id);

}  // namespace tailrace::api
