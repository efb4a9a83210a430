#include "handlers/naive_json.h"

#include <charconv>
#include <cstdio>

#include "server/json/encode.h"

namespace tailrace::api {

gc::String naive_quote(std::string_view text) {
  // A fresh encoder buffer for each string.
  http::Buffer buffer;
  static_cast<void>(tailrace::json::encode(text, buffer));
  return gc::String(buffer.view());
}

gc::String naive_number(std::int64_t number) { return gc::String(std::to_string(number)); }

gc::String naive_json(const gc::Vector<gc::String>& texts) {
  gc::String out("[");
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) out = gc::concat(out, ",");
    out = gc::concat(out, naive_quote(texts[i]));
  }
  return gc::concat(out, "]");
}

namespace {

// Two new Strings for each member.
void append_member(gc::String& out, std::string_view key, std::string_view value) {
  out = gc::concat(out, out.size() > 1 ? ",\"" : "\"", key, "\":");
  out = gc::concat(out, value);
}

User* copy_naively(const User& user) {
  User* copy = gc::make<User>(user);
  copy->address = gc::make<Address>(*user.address);
  return copy;
}

}  // namespace

gc::String naive_json(const User& published) {
  const User& user = *copy_naively(published);
  http::Buffer score;
  static_cast<void>(tailrace::json::encode(user.score, score));
  const Address& address = *user.address;
  gc::String inner("{");
  append_member(inner, "street", naive_quote(address.street));
  append_member(inner, "city", naive_quote(address.city));
  append_member(inner, "country", naive_quote(address.country));
  append_member(inner, "zip", naive_quote(address.zip));
  inner = gc::concat(inner, "}");

  gc::String out("{");
  append_member(out, "id", naive_number(user.id));
  append_member(out, "name", naive_quote(user.name));
  append_member(out, "email", naive_quote(user.email));
  append_member(out, "active", user.active ? "true" : "false");
  append_member(out, "score", score.view());
  append_member(out, "roles", naive_json(user.roles));
  append_member(out, "address", inner);
  append_member(out, "tags", naive_json(user.tags));
  return gc::concat(out, "}");
}

void log_naively(std::string_view message, const std::vector<std::any>& arguments) {
  gc::String line = gc::concat("level=debug message=", message);
  for (const std::any& argument : arguments) {
    line = gc::concat(line, " argument=");
    if (const auto* number = std::any_cast<std::int64_t>(&argument)) {
      line = gc::concat(line, naive_number(*number));
    } else if (const auto* text = std::any_cast<std::string>(&argument)) {
      line = gc::concat(line, *text);
    }
  }
  // The log is off; keep the line from being optimised away.
  asm volatile("" : : "r"(line.data()) : "memory");
}

}  // namespace tailrace::api
