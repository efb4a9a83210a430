// What sessions need beyond their connection. One Shared for the server, one Service for each
// listener (public, admin): a route table of its own and, for admin, a guard. Both outlive every
// connection.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "metrics/http_instruments.h"
#include "server/access_log.h"
#include "server/limits.h"
#include "server/request.h"
#include "server/response.h"
#include "server/router.h"
#include "server/worker_state.h"

namespace tailrace::http {

// Immutable after start, but for `draining`.
struct Shared {
  Limits limits;
  Timeouts timeouts;
  WorkerStates& workers;
  AccessLog& access_log;
  metrics::Gauge& in_flight;
  metrics::Counter& exceptions;  // handlers that threw something else than HttpError
  metrics::Counter& refused;     // heads and bodies that the gate refused
  // Set once, when the drain begins: replies carry Connection: close. Relaxed: no order is needed,
  // the drain sweeps idle connections until there are none.
  std::atomic<bool> draining{false};
  // What /readyz says. Relaxed: as above.
  std::atomic<bool> ready{false};
};

class Service {
 public:
  // Makes a reply instead of the handler's, or nothing if the request may pass.
  using Guard = std::function<std::optional<Response>(const Request&)>;

  Service(Shared& shared, const Router& router, metrics::HttpInstruments& instruments)
      : shared_(shared), router_(router), unmatched_(instruments.route(kUnmatched)) {
    // Routes are labelled by their patterns.
    for (const auto& route : router.routes()) {
      route->instruments = &instruments.route(route->pattern);
      route->arena.max_bytes = shared.limits.arena_bytes;
    }
  }

  const Router& router() const noexcept { return router_; }
  // Before the listener opens.
  void set_guard(Guard guard) { guard_ = std::move(guard); }
  Shared& shared() noexcept { return shared_; }
  const Guard& guard() const noexcept { return guard_; }
  metrics::RouteInstruments& unmatched() noexcept { return unmatched_; }

  static inline const std::string kUnmatched{metrics::kUnmatchedRoute};

 private:
  Shared& shared_;
  const Router& router_;
  metrics::RouteInstruments& unmatched_;
  Guard guard_;
};

}  // namespace tailrace::http
