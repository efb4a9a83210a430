#include "handlers/api.h"
#include "handlers/event.h"
#include "handlers/naive_json.h"

namespace tailrace::api {

void add_naive_events(App& app) {
  app.post(
      "/naive/events",
      [](Request& request) -> Response {
        const auto& events = *request.json<gc::Vector<Event>>();
        if (events.size() > kMaxEvents) return error(422, "more than 10000 events");
        gc::Vector<gc::String> keys;  // grows as it must
        for (const Event& event : events) {
          gc::String key = event.type;
          key = gc::concat(key, ":");
          key = gc::concat(key, event.id);
          key = gc::concat(key, ":");
          key = gc::concat(key, naive_number(event.user_id));
          log_naively("event", {event.user_id, std::string(event.type.view())});
          keys.push_back(key);
        }
        gc::String out = gc::concat("{\"accepted\":",
                                    naive_number(static_cast<std::int64_t>(events.size())));
        out = gc::concat(out, ",\"keys\":", naive_json(keys));
        out = gc::concat(out, "}");
        return Response::text(200, out, http::kJsonType);
      },
      {.arena = false});
}

}  // namespace tailrace::api
