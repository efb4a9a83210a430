// /api/users in the recommended style: found users are encoded straight from the store.
#include <string>

#include "handlers/api.h"
#include "handlers/store.h"
#include "handlers/user.h"
#include "handlers/user_page.h"

namespace tailrace::api {

void add_users(App& app, Store& store) {
  app.get("/api/users/{id}", [&store](Request& request) -> Response {
    User* user = store.find(request.param<std::int64_t>("id"));
    return user != nullptr ? json(*user) : not_found("no such user");
  });

  app.get("/api/users", [&store](Request& request) -> Response {
    const PageRequest page = read_page(request);
    UserPage answer;
    answer.total = store.size();
    answer.users.reserve(static_cast<std::size_t>(page.limit));
    store.visit(page.offset, page.limit, [&](User& user) { answer.users.push_back(&user); });
    return json(answer);
  });

  app.post("/api/users", [&store](Request& request) -> Response {
    const UserInput* input = request.json<UserInput>();
    const std::int64_t id = store.next_id();
    if (id < 0) return error(503, "the store is full");
    User* user = make_user(id, *input);
    store.insert(user);
    return created("/api/users/" + std::to_string(id), *user);
  });

  app.put("/api/users/{id}", [&store](Request& request) -> Response {
    const auto id = request.param<std::int64_t>("id");
    if (store.find(id) == nullptr) return not_found("no such user");
    User* user = make_user(id, *request.json<UserInput>());
    return store.replace(user) ? json(*user) : not_found("no such user");
  });

  app.del("/api/users/{id}", [&store](Request& request) -> Response {
    const auto id = request.param<std::int64_t>("id");
    return store.erase(id) ? no_content() : not_found("no such user");
  });
}

}  // namespace tailrace::api
