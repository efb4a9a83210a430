// A page of the list of users: what the query asks for, and the answer.
#pragma once

#include <cstdint>

#include "handlers/store.h"
#include "handlers/user.h"
#include "server/tailrace.h"

namespace tailrace::api {

struct UserPage {
  std::int64_t total = 0;
  gc::Vector<gc::Member<User>> users;
};
BOOST_DESCRIBE_STRUCT(UserPage, (), (total, users))

struct PageRequest {
  static constexpr std::int64_t kMaxLimit = 1000;
  std::int64_t offset = 0;
  std::int64_t limit = 20;
};
// Throws BadRequest for numbers out of range.
PageRequest read_page(Request& request);

// Into an empty page.
void fill_page(const Store& store, const PageRequest& request, UserPage& page);

}  // namespace tailrace::api
