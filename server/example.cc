// The smallest service: what app_test.cc starts, and a pattern to copy.
#include <string>

#include "server/tailrace.h"

using namespace tailrace::http;

int main(int argc, char** argv) {
  App app(argc, argv);
  app.get("/hello/{name}", [](Request& request) -> Response {
    return Response::text(200,
                          "hello, " + std::string(request.param<std::string_view>("name")) + "\n");
  });
  return app.run();
}
