// POST /pooled/events: on the collected heap, with the vectors of one batch after the other in the same room.
#include <memory>

#include "gcruntime/pool/pool.h"
#include "handlers/api.h"
#include "handlers/event.h"

namespace tailrace::api {
namespace {

// All that one POST needs and the next can use again.
struct EventBatch {
  gc::Vector<Event> events;
  EventsAccepted answer;
};
BOOST_DESCRIBE_STRUCT(EventBatch, (), (events, answer))

struct EventBatchPolicy : gc::PoolPolicy<EventBatch> {
  static void reset(EventBatch& batch) {
    batch.events.clear();
    batch.answer.accepted = 0;
    batch.answer.keys.clear();
  }
  static std::size_t bytes(const EventBatch& batch) noexcept {
    return sizeof(EventBatch) + batch.events.capacity() * sizeof(Event) +
           batch.answer.keys.capacity() * sizeof(gc::String);
  }
};

}  // namespace

void add_pooled_events(App& app) {
  const auto batches = std::make_shared<gc::Pool<EventBatch, EventBatchPolicy>>("event_batch");
  const auto post = [batches](Request& request) -> Response {
    const auto batch = batches->get();
    request.json_into(batch->events);
    if (auto refused = too_many(batch->events)) return *std::move(refused);
    accept(batch->events, batch->answer);
    return json(batch->answer);
  };
  app.post("/pooled/events", post, {.arena = false, .max_body_bytes = kMaxEventsBytes});
}

}  // namespace tailrace::api
