// The events that clients post, as the contract's JSON shows them, and what they are answered with.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "server/tailrace.h"

namespace tailrace::api {

inline constexpr std::size_t kMaxEvents = 10'000;

struct Event {
  gc::String id;
  gc::String type;
  std::int64_t user_id = 0;
  std::int64_t ts = 0;  // seconds since 1970
  gc::Vector<gc::String> tags;
  gc::Map<gc::String, gc::String> payload;

  static constexpr std::array<std::string_view, 3> json_optional{"ts", "tags", "payload"};
};
BOOST_DESCRIBE_STRUCT(Event, (), (id, type, user_id, ts, tags, payload))

// What the service says of them: one key "TYPE:ID:USERID" an event.
struct EventsAccepted {
  std::int64_t accepted = 0;
  gc::Vector<gc::String> keys;
};
BOOST_DESCRIBE_STRUCT(EventsAccepted, (), (accepted, keys))

// 422 for more than kMaxEvents.
std::optional<Response> too_many(const gc::Vector<Event>& events);

// Fills an empty answer: one allocation for all keys, and one for each of over 15 bytes.
void accept(const gc::Vector<Event>& events, EventsAccepted& answer);

}  // namespace tailrace::api
