// What the metrics endpoint counts about itself, under promhttp's names; the server records.
#pragma once

#include "metrics/instruments.h"

namespace tailrace::metrics {

struct ScrapeInstruments {
  explicit ScrapeInstruments(Registry& registry)
      : ScrapeInstruments(registry,
                          registry.counters({.name = "promhttp_metric_handler_requests_total",
                                             .help = "Scrapes answered, by status code.",
                                             .labels = {"code"}})) {}

  Counter& ok;           // 200
  Counter& failed;       // 500
  Counter& unavailable;  // 503
  Gauge& in_flight;

 private:
  ScrapeInstruments(Registry& registry, Labelled<Counter>& by_code)
      : ok(by_code.with({"200"})),
        failed(by_code.with({"500"})),
        unavailable(by_code.with({"503"})),
        in_flight(registry.gauge({.name = "promhttp_metric_handler_requests_in_flight",
                                  .help = "Scrapes being answered now."})) {}
};

}  // namespace tailrace::metrics
