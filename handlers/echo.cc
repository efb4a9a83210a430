// POST P/echo: any JSON document, checked and minified.
#include <optional>

#include "handlers/api.h"
#include "handlers/naive_json.h"
#include "server/json/minify.h"

namespace tailrace::api {
namespace {

// From the body straight into the reply's pooled buffer: nothing is left for an arena or a pool to hold.
// Whatever the body is called: that it is JSON is what this route finds out.
Response echo(Request& request) {
  http::Buffer body;
  if (const std::optional<tailrace::json::Error> refused =
          tailrace::json::minify(request.body(), body)) {
    return error(refused->status, refused->text());
  }
  return Response(200, http::kJsonType, std::move(body));
}

// Keeps a managed copy of the text at every step, as one does with strings of a language that has them.
Response echo_naively(Request& request) {
  const gc::String copy(request.body());
  http::Buffer minified;
  if (const std::optional<tailrace::json::Error> refused =
          tailrace::json::minify(request.body(), minified)) {
    return error(refused->status, refused->text());
  }
  const gc::String answer(minified.view());
  log_naively("echoed", {static_cast<std::int64_t>(copy.size())});
  return Response::text(200, answer, http::kJsonType);
}

}  // namespace

void add_echo(App& app) {
  app.post("/api/echo", echo);
  app.post("/pooled/echo", echo, kCollectedHeap);
  app.post("/naive/echo", echo_naively, kCollectedHeap);
}

}  // namespace tailrace::api
