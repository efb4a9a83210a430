// For tests of measure(): short settings, and what holds of every measurement.
#pragma once

#include <gtest/gtest.h>

#include <ctime>
#include <string>
#include <utility>

#include "loadtest/clock.h"
#include "loadtest/measure.h"
#include "loadtest/schedule.h"
#include "loadtest/scripted_server.h"

namespace tailrace::loadtest {

inline MeasureSettings settings_for(std::uint16_t port) {
  MeasureSettings settings;
  settings.target.host = "127.0.0.1";
  settings.target.port = port;
  settings.plan.rate_per_second = 600;
  settings.plan.duration_ns = kSecondNs / 2;
  settings.connections = 8;
  settings.idle = Idle::kSleep;  // the tests of others want the CPU
  return settings;
}

inline Scenario mixed_scenario() {
  return std::get<Scenario>(Scenario::parse(R"(
routes:
  - {name: read, weight: 3, path: "/items/{{int 0 99999}}"}
  - {name: write, weight: 1, method: POST, path: /items, body: "{{counter}} {{hex 32}}"}
)",
                                            "."));
}

inline Measurement measured(const MeasureSettings& settings, const Scenario& scenario,
                            const MeasureHooks& hooks = {}) {
  auto result = measure(settings, scenario, hooks);
  if (auto* error = std::get_if<MeasureError>(&result)) {
    ADD_FAILURE() << error->message;
    return {};
  }
  return std::get<Measurement>(std::move(result));
}

// Every planned request has ended in one way, in every second and on every route, and no histogram
// has more or fewer.
inline void expect_exact_books(const Measurement& measurement) {
  const auto exact = [](const Counts& counts) {
    EXPECT_EQ(counts.planned, counts.completed + counts.dropped + counts.timed_out + counts.failed);
    EXPECT_LE(counts.succeeded, counts.completed);
    EXPECT_GE(counts.sent, counts.completed + counts.failed);
    EXPECT_LE(counts.sent + counts.dropped, counts.planned);
  };
  for (const Second& second : measurement.seconds) {
    exact(second.counts);
    const std::uint64_t infinite = second.counts.planned - second.counts.completed;
    const Latencies response = second.response.latencies();
    EXPECT_EQ(response.count(), second.counts.planned);
    EXPECT_EQ(response.infinite(), infinite);
    EXPECT_EQ(second.lateness.latencies().count(), second.counts.planned);
    EXPECT_EQ(second.client_queue.latencies().count(), second.counts.planned);
    EXPECT_EQ(second.client_queue.latencies().infinite(),
              second.counts.planned - second.counts.sent);
    EXPECT_EQ(second.service.latencies().count(), second.counts.sent);
    EXPECT_EQ(second.service.latencies().infinite(), second.counts.sent - second.counts.completed);
  }
  Counts of_routes;
  for (const RouteFigures& route : measurement.routes) {
    exact(route.counts);
    EXPECT_EQ(route.response.latencies().count(), route.counts.planned);
    of_routes += route.counts;
  }
  EXPECT_EQ(of_routes, measurement.counts());
  std::uint64_t statuses = 0;
  for (const auto& [status, times] : measurement.statuses) statuses += times;
  EXPECT_EQ(statuses, measurement.counts().completed);
}

inline void sleep_until(std::int64_t time_ns) {
  const timespec until{.tv_sec = time_ns / kSecondNs, .tv_nsec = time_ns % kSecondNs};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) != 0) {
  }
}

}  // namespace tailrace::loadtest
