#include "handlers/event.h"

#include <charconv>
#include <string>

namespace tailrace::api {

std::optional<Response> too_many(const gc::Vector<Event>& events) {
  if (events.size() <= kMaxEvents) return std::nullopt;
  return error(422, "more than " + std::to_string(kMaxEvents) + " events");
}

void accept(const gc::Vector<Event>& events, EventsAccepted& answer) {
  answer.accepted = static_cast<std::int64_t>(events.size());
  answer.keys.reserve(events.size());
  for (const Event& event : events) {
    char digits[20];
    const char* const end = std::to_chars(digits, digits + sizeof digits, event.user_id).ptr;
    const std::string_view user(digits, static_cast<std::size_t>(end - digits));
    answer.keys.push_back(gc::concat(event.type, ":", event.id, ":", user));
  }
}

}  // namespace tailrace::api
