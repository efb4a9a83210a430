// The routes that every service has, on both listeners: /healthz, /readyz, /metrics.
#pragma once

#include "metrics/exporter.h"
#include "metrics/scrape_instruments.h"
#include "server/router.h"
#include "server/service.h"

namespace tailrace::http {

// All arguments outlive the router's use. `shared` is looked at when a request comes.
void add_endpoints(Router& router, const Shared& shared, metrics::Exporter& exporter,
                   metrics::ScrapeInstruments& scrapes);

}  // namespace tailrace::http
