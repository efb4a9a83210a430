// /pooled/users: on the collected heap. What is decoded into and what pages are made of is used again; what
// the store keeps is made on the heap at once.
#include <memory>
#include <utility>

#include "gcruntime/pool/pool.h"
#include "handlers/api.h"
#include "handlers/store.h"
#include "handlers/user.h"
#include "handlers/user_page.h"
#include "handlers/user_replies.h"

namespace tailrace::api {
namespace {

struct UserPagePolicy : gc::PoolPolicy<UserPage> {
  // Keeps the room, and no user alive.
  static void reset(UserPage& page) {
    page.total = 0;
    page.users.clear();
  }
  static std::size_t bytes(const UserPage& page) noexcept {
    return sizeof(UserPage) + page.users.capacity() * sizeof(gc::Member<User>);
  }
};

}  // namespace

void add_pooled_users(App& app, Store& store) {
  const auto pages = std::make_shared<gc::Pool<UserPage, UserPagePolicy>>("user_page");
  const auto inputs = std::make_shared<gc::Pool<UserInput>>("user_input");

  app.get(
      "/pooled/users/{id}",
      [&store](Request& request) -> Response { return show_user(store, request); }, kCollectedHeap);

  app.get(
      "/pooled/users",
      [&store, pages](Request& request) -> Response {
        const auto page = pages->get();
        fill_page(store, read_page(request), *page);
        return json(*page);
      },
      kCollectedHeap);

  app.post(
      "/pooled/users",
      [&store, inputs](Request& request) -> Response {
        const auto input = inputs->get();
        request.json_into(*input);
        const std::int64_t id = store.next_id();
        if (id < 0) return error(503, "the store is full");
        User* user = make_user(id, std::move(*input));
        store.insert(user);
        return created_user("/pooled/users", *user);
      },
      kCollectedHeap);

  app.put(
      "/pooled/users/{id}",
      [&store, inputs](Request& request) -> Response {
        const auto id = request.param<std::int64_t>("id");
        if (store.find(id) == nullptr) return not_found("no such user");
        const auto input = inputs->get();
        request.json_into(*input);
        User* user = make_user(id, std::move(*input));
        return store.replace(user) ? json(*user) : not_found("no such user");
      },
      kCollectedHeap);

  app.del(
      "/pooled/users/{id}",
      [&store](Request& request) -> Response { return erase_user(store, request); },
      kCollectedHeap);
}

}  // namespace tailrace::api
