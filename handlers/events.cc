// POST /api/events in the recommended style: one allocation a key, vectors sized before they are filled.
#include "handlers/api.h"
#include "handlers/event.h"

namespace tailrace::api {

void add_events(App& app) {
  const auto accept = [](Request& request) -> Response {
    const auto& events = *request.json<gc::Vector<Event>>();
    if (events.size() > kMaxEvents) return error(422, "more than 10000 events");
    EventsAccepted answer;
    answer.accepted = static_cast<std::int64_t>(events.size());
    answer.keys.reserve(events.size());
    for (const Event& event : events) {
      gc::StringBuilder key(event.type.size() + event.id.size() + 22);
      key.append(event.type);
      key.append(':');
      key.append(event.id);
      key.append(':');
      key.append(event.user_id);
      answer.keys.push_back(key.finish());
    }
    return json(answer);
  };
  app.post("/api/events", accept, {.max_body_bytes = kMaxEventsBytes});
}

}  // namespace tailrace::api
