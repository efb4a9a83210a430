#include "handlers/user_replies.h"

#include <algorithm>
#include <charconv>

#include "gcruntime/base/check.h"

namespace tailrace::api {

Response show_user(const Store& store, Request& request) {
  const User* user = store.find(request.param<std::int64_t>("id"));
  return user != nullptr ? http::json(*user) : not_found("no such user");
}

Response erase_user(Store& store, Request& request) {
  return store.erase(request.param<std::int64_t>("id")) ? no_content() : not_found("no such user");
}

Response created_user(std::string_view collection, const User& user) {
  char location[64];
  constexpr std::size_t kMostDigits = 20;
  TAILRACE_CHECK(collection.size() + 1 + kMostDigits <= sizeof location,
                 "the path of a collection is too long");
  char* end = std::copy(collection.begin(), collection.end(), location);
  *end++ = '/';
  end = std::to_chars(end, location + sizeof location, user.id).ptr;
  return created(std::string_view(location, end), user);
}

}  // namespace tailrace::api
