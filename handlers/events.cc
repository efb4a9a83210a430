// POST /api/events in the recommended style: the request's arena holds all that the handler makes.
#include "handlers/event.h"

#include "handlers/api.h"

namespace tailrace::api {

void add_events(App& app) {
  const auto accept = [](Request& request) -> Response {
    const auto& events = *request.json<gc::Vector<Event>>();
    if (events.size() > kMaxEvents) return error(422, "more than 10000 events");
    EventsAccepted answer;
    add_keys(events, answer);
    return json(answer);
  };
  app.post("/api/events", accept, {.max_body_bytes = kMaxEventsBytes});
}

}  // namespace tailrace::api
