// POST /api/events in the recommended style: the request's arena holds all that the handler makes.
#include "handlers/event.h"

#include "handlers/api.h"

namespace tailrace::api {

void add_events(App& app) {
  const auto post = [](Request& request) -> Response {
    const auto& events = *request.json<gc::Vector<Event>>();
    if (auto refused = too_many(events)) return *std::move(refused);
    EventsAccepted answer;
    accept(events, answer);
    return json(answer);
  };
  app.post("/api/events", post, {.max_body_bytes = kMaxEventsBytes});
}

}  // namespace tailrace::api
