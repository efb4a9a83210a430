// See endpoints.h.
#include "server/endpoints.h"

#include <string>

#include "server/request.h"

namespace tailrace::http {

void add_endpoints(Router& router, const Shared& shared, metrics::Exporter& exporter,
                   metrics::ScrapeInstruments& scrapes) {
  const RouteOptions no_body{.arena = false, .max_body_bytes = 0};
  router.add(
      Method::kGet, "/healthz", [](Request&) { return Response::text(200, "ok\n"); }, no_body);
  router.add(
      Method::kGet, "/readyz",
      [&shared](Request&) {
        // Relaxed: see Shared::ready.
        return shared.ready.load(std::memory_order_relaxed)
                   ? Response::text(200, "ready\n")
                   : Response::text(503, "not ready: starting or draining\n");
      },
      no_body);
  router.add(
      Method::kGet, "/metrics",
      [&exporter, &scrapes](Request&) {
        scrapes.in_flight.add();
        try {
          Response response = Response::text(200, exporter.scrape(), metrics::kTextContentType);
          scrapes.in_flight.sub();
          scrapes.ok.add();
          return response;
        } catch (...) {
          scrapes.in_flight.sub();
          scrapes.failed.add();
          throw;
        }
      },
      no_body);
}

}  // namespace tailrace::http
