// /api/users in the recommended style: what the store is to keep is published out of the request's arena.
#include <utility>

#include "gcruntime/gc/publish.h"
#include "handlers/api.h"
#include "handlers/store.h"
#include "handlers/user.h"
#include "handlers/user_page.h"
#include "handlers/user_replies.h"

namespace tailrace::api {

void add_users(App& app, Store& store) {
  app.get("/api/users/{id}",
          [&store](Request& request) -> Response { return show_user(store, request); });

  app.get("/api/users", [&store](Request& request) -> Response {
    UserPage page;
    fill_page(store, read_page(request), page);
    return json(page);
  });

  app.post("/api/users", [&store](Request& request) -> Response {
    UserInput& input = *request.json<UserInput>();
    const std::int64_t id = store.next_id();
    if (id < 0) return error(503, "the store is full");
    User* user = gc::publish(make_user(id, std::move(input)));
    store.insert(user);
    return created_user("/api/users", *user);
  });

  app.put("/api/users/{id}", [&store](Request& request) -> Response {
    const auto id = request.param<std::int64_t>("id");
    if (store.find(id) == nullptr) return not_found("no such user");
    User* user = gc::publish(make_user(id, std::move(*request.json<UserInput>())));
    return store.replace(user) ? json(*user) : not_found("no such user");
  });

  app.del("/api/users/{id}",
          [&store](Request& request) -> Response { return erase_user(store, request); });
}

}  // namespace tailrace::api
