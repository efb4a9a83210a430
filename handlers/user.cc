#include "handlers/user.h"

#include <string_view>
#include <utility>

namespace tailrace::api {
namespace {

gc::String numbered(std::string_view before, std::int64_t number, std::string_view after = {}) {
  gc::StringBuilder builder(before.size() + after.size() + 20);
  builder.append(before);
  builder.append(number);
  builder.append(after);
  return builder.finish();
}

constexpr std::size_t kMaxTextBytes = 1024;
constexpr std::size_t kMaxListLength = 100;

}  // namespace

std::optional<std::string> validate(const UserInput& input) {
  if (input.name.empty()) return "name must not be empty";
  if (input.name.size() > kMaxTextBytes) return "name is longer than 1024 bytes";
  if (input.email.view().find('@') == std::string_view::npos) return "email must contain an @";
  if (input.email.size() > kMaxTextBytes) return "email is longer than 1024 bytes";
  if (input.roles.size() > kMaxListLength) return "more than 100 roles";
  if (input.tags.size() > kMaxListLength) return "more than 100 tags";
  return std::nullopt;
}

User* make_user(std::int64_t id, UserInput input) {
  User* user = gc::make<User>();
  user->id = id;
  user->name = input.name;
  user->email = input.email;
  user->active = input.active;
  user->score = input.score;
  user->roles = std::move(input.roles);
  user->address = input.address ? input.address.get() : gc::make<Address>();
  user->tags = std::move(input.tags);
  return user;
}

User* make_demo_user(std::int64_t id) {
  User* user = gc::make<User>();
  user->id = id;
  user->name = numbered("User Number ", id);
  user->email = numbered("user", id, "@example.com");
  user->active = id % 2 == 0;
  user->score = static_cast<double>(id) * 1.25;
  user->roles.reserve(3);
  user->roles.push_back(gc::String::literal("reader"));
  user->roles.push_back(gc::String::literal("writer"));
  user->roles.push_back(numbered("team-", id % 100));
  Address* address = gc::make<Address>();
  address->street = numbered("", id, " High Street");
  address->city = gc::String::literal("Springfield");
  address->country = gc::String::literal("Freedonia");
  char zip[5];
  std::int64_t rest = id % 100000;
  for (int digit = 4; digit >= 0; --digit, rest /= 10)
    zip[digit] = static_cast<char>('0' + rest % 10);
  address->zip = gc::String(std::string_view(zip, sizeof(zip)));
  user->address = address;
  user->tags.reserve(3);
  user->tags.push_back(gc::String::literal("alpha"));
  user->tags.push_back(gc::String::literal("beta"));
  user->tags.push_back(numbered("tag-", id % 1000));
  return user;
}

}  // namespace tailrace::api
