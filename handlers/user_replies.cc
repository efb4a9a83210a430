#include "handlers/user_replies.h"

namespace tailrace::api {

Response show_user(const Store& store, Request& request) {
  const User* user = store.find(request.param<std::int64_t>("id"));
  return user != nullptr ? http::json(*user) : not_found("no such user");
}

Response erase_user(Store& store, Request& request) {
  return store.erase(request.param<std::int64_t>("id")) ? no_content() : not_found("no such user");
}

Response created_user(std::string_view collection, const User& user) {
  gc::StringBuilder location(collection.size() + 21);
  location.append(collection);
  location.append('/');
  location.append(user.id);
  return created(location.view(), user);
}

}  // namespace tailrace::api
