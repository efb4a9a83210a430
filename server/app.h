// App: a whole service from main(). Command line, environment, file; routes; start, serve, drain.
//
//   tailrace::App app(argc, argv);
//   app.get("/hello/{name}", [](Request& request) -> Response { ... });
//   return app.run();
//
// Used on main's thread. Routes and options are registered before run(); handlers run on fibers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "metrics/exporter.h"
#include "metrics/instruments.h"
#include "server/request.h"
#include "server/response.h"
#include "server/router.h"

namespace CLI {
class App;
}

namespace tailrace::http {

class App {
 public:
  App(int argc, char** argv);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  App& get(std::string_view pattern, Handler handler, RouteOptions options = {}) {
    return route(Method::kGet, pattern, std::move(handler), options);
  }
  App& head(std::string_view pattern, Handler handler, RouteOptions options = {}) {
    return route(Method::kHead, pattern, std::move(handler), options);
  }
  App& post(std::string_view pattern, Handler handler, RouteOptions options = {}) {
    return route(Method::kPost, pattern, std::move(handler), options);
  }
  App& put(std::string_view pattern, Handler handler, RouteOptions options = {}) {
    return route(Method::kPut, pattern, std::move(handler), options);
  }
  App& del(std::string_view pattern, Handler handler, RouteOptions options = {}) {
    return route(Method::kDelete, pattern, std::move(handler), options);
  }
  App& patch(std::string_view pattern, Handler handler, RouteOptions options = {}) {
    return route(Method::kPatch, pattern, std::move(handler), options);
  }
  // OPTIONS is answered by the route table; a route of its own wins.
  App& route(Method method, std::string_view pattern, Handler handler, RouteOptions options = {});

  // For flags of the program's own (include <CLI/CLI.hpp>); the configuration file may name them
  // too.
  CLI::App& options() noexcept;
  // Counters, gauges, histograms of the program's own, exported at /metrics.
  metrics::Registry& metrics() noexcept;
  // For prometheus::Collectables of the program's own.
  metrics::Exporter& exporter() noexcept;
  // Runs on a fiber once the workers run and before the listeners open; several run in order. An
  // exception ends the program with its message and exit code 1.
  App& on_start(std::function<void()> start);

  // Serves until a signal and its drain; returns main's exit code: 0; 1 for what cannot be opened
  // or was cut off by the drain's deadline; 2 for a bad setting.
  int run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailrace::http
