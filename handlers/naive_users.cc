// /naive/users: the routes of users.cc as a hurried team writes them (naive_json.h).
#include <string>

#include "handlers/api.h"
#include "handlers/naive_json.h"
#include "handlers/store.h"
#include "handlers/user_page.h"

namespace tailrace::api {
namespace {

Response answer_with(int status, const User& user) {
  return Response::text(status, naive_json(user), http::kJsonType);
}

}  // namespace

void add_naive_users(App& app, Store& store) {
  app.get(
      "/naive/users/{id}",
      [&store](Request& request) -> Response {
        const auto id = request.param<std::int64_t>("id");
        User* user = store.find(id);
        if (user == nullptr) return not_found("no such user");
        log_naively("get user", {id, std::string(user->name.view())});
        return answer_with(200, *user);
      },
      kCollectedHeap);

  app.get(
      "/naive/users",
      [&store](Request& request) -> Response {
        const PageRequest page = read_page(request);
        gc::String out = gc::concat("{\"total\":", naive_number(store.size()), ",\"users\":[");
        bool first = true;
        store.visit(page.offset, page.limit, [&](User& user) {
          if (!first) out = gc::concat(out, ",");
          first = false;
          out = gc::concat(out, naive_json(user));
        });
        out = gc::concat(out, "]}");
        log_naively("list users", {page.offset, page.limit});
        return Response::text(200, out, http::kJsonType);
      },
      kCollectedHeap);

  app.post(
      "/naive/users",
      [&store](Request& request) -> Response {
        const UserInput* input = request.json<UserInput>();
        const std::int64_t id = store.next_id();
        if (id < 0) return error(503, "the store is full");
        User* user = make_user(id, *input);
        store.insert(user);
        log_naively("create user", {id, std::string(user->name.view())});
        return answer_with(201, *user).header("Location", "/naive/users/" + std::to_string(id));
      },
      kCollectedHeap);

  app.put(
      "/naive/users/{id}",
      [&store](Request& request) -> Response {
        const auto id = request.param<std::int64_t>("id");
        if (store.find(id) == nullptr) return not_found("no such user");
        User* user = make_user(id, *request.json<UserInput>());
        if (!store.replace(user)) return not_found("no such user");
        log_naively("replace user", {id, std::string(user->name.view())});
        return answer_with(200, *user);
      },
      kCollectedHeap);

  app.del(
      "/naive/users/{id}",
      [&store](Request& request) -> Response {
        const auto id = request.param<std::int64_t>("id");
        log_naively("delete user", {id});
        return store.erase(id) ? no_content() : not_found("no such user");
      },
      kCollectedHeap);
}

}  // namespace tailrace::api
