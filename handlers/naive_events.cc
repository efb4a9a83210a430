// POST /naive/events: keys by concatenation, growth without reserve, a buffer for each string.
#include "handlers/api.h"
#include "handlers/event.h"
#include "handlers/naive_json.h"

namespace tailrace::api {

void add_naive_events(App& app) {
  app.post("/naive/events",
           [](Request& request) -> Response {
             const auto& events = *request.json<gc::Vector<Event>>();
             if (auto refused = too_many(events)) return *std::move(refused);
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
             gc::StringBuilder out;  // grows as it must
             out.append("{\"accepted\":");
             out.append(naive_number(static_cast<std::int64_t>(events.size())));
             out.append(",\"keys\":[");
             for (std::size_t i = 0; i < keys.size(); ++i) {
               if (i > 0) out.append(',');
               out.append(naive_quote(keys[i]));
             }
             out.append("]}");
             return Response::text(200, out.view(), http::kJsonType);
           },
           {.arena = false, .max_body_bytes = kMaxEventsBytes});
}

}  // namespace tailrace::api
