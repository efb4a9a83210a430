// One worker's habits: which connection it takes, in which order those wait who have none, and what
// becomes of those whose time is over.
#include "loadtest/worker.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>

#include "loadtest/host.h"
#include "loadtest/test_measurement.h"

namespace tailrace::loadtest {
namespace {

// The number that {{counter}} wrote into the path.
std::uint64_t counter_in(const std::string& request) {
  return std::strtoull(request.c_str() + request.find('/') + 1, nullptr, 10);
}

Scenario counting() {
  return std::get<Scenario>(Scenario::parse("routes: [{path: \"/{{counter}}\"}]", "."));
}

// A server closes a connection that nobody uses, and would close all of them at the same time.
TEST(WorkerTest, KeepsAllConnectionsInUse) {
  std::mutex mutex;
  std::map<std::uint64_t, std::uint64_t> by_connection;
  ScriptedServer server([&](Peer& peer) {
    while (!peer.read_request().empty()) {
      {
        const std::lock_guard lock(mutex);
        ++by_connection[peer.number()];
      }
      peer.write(kOkAnswer);
    }
  });
  MeasureSettings settings = settings_for(server.port());
  settings.plan.kind = ArrivalKind::kConstant;
  settings.plan.rate_per_second = 100;
  settings.plan.duration_ns = kSecondNs;
  settings.connections = 8;
  const Measurement measurement = measured(settings, counting());
  expect_exact_books(measurement);
  server.finish();
  EXPECT_EQ(server.connections(), 8U) << "all are opened before the start";
  EXPECT_EQ(by_connection.size(), 8U);
  // In turn: with one in flight at a time each has its eighth of them.
  if (measurement.seconds.at(0).in_flight_most == 1) {
    for (const auto& [number, requests] : by_connection) {
      EXPECT_NEAR(static_cast<double>(requests), measurement.counts().planned / 8.0, 1) << number;
    }
  }
}

TEST(WorkerTest, ThoseWithoutAConnectionWaitInTheirOrder) {
  std::vector<std::uint64_t> order;
  ScriptedServer server([&](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      order.push_back(counter_in(request));  // one connection, one thread
      sleep_until(now_ns() + 4 * kMillisecondNs);
      peer.write(kOkAnswer);
    }
  });
  MeasureSettings settings = settings_for(server.port());
  settings.connections = 1;
  settings.plan.rate_per_second = 500;  // twice as much as it can
  settings.plan.duration_ns = kSecondNs / 2;
  const Measurement measurement = measured(settings, counting());
  expect_exact_books(measurement);
  server.finish();
  EXPECT_EQ(measurement.counts().completed, measurement.counts().planned);
  EXPECT_EQ(order.size(), measurement.counts().planned);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  // It is the client's queue in which they wait, and it grows.
  const Latencies queue = measurement.client_queue(true);
  EXPECT_GT(queue.percentile_ns(90), 10 * measurement.service(true).percentile_ns(50));
  EXPECT_GT(measurement.seconds.at(0).in_flight_most, measurement.counts().planned / 4);
}

TEST(WorkerTest, WhatWaitsTooLongIsTakenOutAndWhatIsUnderWayIsCutOff) {
  std::mutex mutex;
  std::vector<std::uint64_t> arrived;
  ScriptedServer server([&](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      {
        const std::lock_guard lock(mutex);
        arrived.push_back(counter_in(request));
      }
      // The first connections never answer; those after them do.
      if (peer.number() < 2) return peer.wait_for_close();
      peer.write(kOkAnswer);
    }
  });
  MeasureSettings settings = settings_for(server.port());
  settings.connections = 2;
  settings.timeout_ns = 250 * kMillisecondNs;
  const Measurement measurement = measured(settings, counting());
  expect_exact_books(measurement);
  server.finish();
  const Counts counts = measurement.counts();
  EXPECT_EQ(server.connections(), 2 + counts.sent - counts.completed)
      << "for each that was cut off a connection was closed and opened anew";
  EXPECT_EQ(counts.sent, arrived.size());
  EXPECT_EQ(counts.failed + counts.dropped, 0U);
  EXPECT_GE(counts.timed_out, 2U);
  EXPECT_GE(counts.sent - counts.completed, 2U);
  // Nothing is sent twice.
  std::sort(arrived.begin(), arrived.end());
  EXPECT_EQ(std::unique(arrived.begin(), arrived.end()), arrived.end());
  EXPECT_LE(measurement.response(true).finite().max(),
            static_cast<std::uint64_t>(settings.timeout_ns));
}

TEST(WorkerTest, AnAnswerAfterItsTimeIsATimeoutThoughItCame) {
  ScriptedServer server([&](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      sleep_until(now_ns() + 60 * kMillisecondNs);
      peer.write(kOkAnswer);
    }
  });
  MeasureSettings settings = settings_for(server.port());
  settings.timeout_ns = 50 * kMillisecondNs;
  settings.plan.rate_per_second = 50;
  const Measurement measurement = measured(settings, counting());
  expect_exact_books(measurement);
  EXPECT_GT(measurement.counts().planned, 0U);
  EXPECT_EQ(measurement.counts().completed, 0U);
  EXPECT_EQ(measurement.counts().timed_out, measurement.counts().planned);
}

TEST(WorkerTest, AServerThatClosesIdleConnectionsIsNotBlamed) {
  ScriptedServer server([&](Peer& peer) {
    // Every connection is closed after a while in which it has nothing to do.
    if (peer.number() >= 4) return always(kOkAnswer)(peer);
  });
  MeasureSettings settings = settings_for(server.port());
  settings.connections = 4;
  const Measurement measurement = measured(settings, counting());
  expect_exact_books(measurement);
  EXPECT_GT(measurement.counts().completed, measurement.counts().planned / 2);
  EXPECT_GE(server.connections(), 8U);
}

TEST(WorkerTest, OfferedTooMuchItStillReadsAndEnds) {
  ScriptedServer server(always(kOkAnswer));
  MeasureSettings settings = settings_for(server.port());
  // More than any thread can do: most of it is taken up after its time.
  settings.plan.kind = ArrivalKind::kConstant;
  settings.plan.rate_per_second = 3'000'000;
  settings.plan.duration_ns = kSecondNs / 2;
  settings.timeout_ns = 200 * kMillisecondNs;
  settings.in_flight_most = 1'000'000;
  const Measurement measurement = measured(settings, Scenario::of_url(settings.target));
  expect_exact_books(measurement);
  const Counts counts = measurement.counts();
  EXPECT_EQ(counts.planned, 1'500'000U);
  EXPECT_GT(counts.completed, 0U);
  EXPECT_GT(counts.timed_out, counts.planned / 2);
  ASSERT_FALSE(measurement.invalid.empty());
  EXPECT_NE(measurement.seconds.at(0).voided, "");
  EXPECT_TRUE(std::isinf(measurement.response(true).percentile_ns(50)));
}

TEST(WorkerTest, IsPinnedIfAsked) {
  ScriptedServer server(always(kOkAnswer));
  MeasureSettings settings = settings_for(server.port());
  settings.pin = true;
  settings.plan.workers = 2;
  settings.plan.duration_ns = 300 * kMillisecondNs;
  std::vector<int> cpus;
  MeasureHooks hooks;
  hooks.on_begin = [&](std::int64_t) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::string name;
      std::ifstream(task.path() / "comm") >> name;
      cpu_set_t allowed;
      CPU_ZERO(&allowed);
      if (!name.starts_with("load-") ||
          ::sched_getaffinity(std::stoi(task.path().filename()), sizeof allowed, &allowed) != 0) {
        continue;
      }
      EXPECT_EQ(CPU_COUNT(&allowed), 1) << name;
      for (const int cpu : allowed_cpus()) {
        if (CPU_ISSET(static_cast<unsigned>(cpu), &allowed)) cpus.push_back(cpu);
      }
    }
  };
  expect_exact_books(measured(settings, counting(), hooks));
  ASSERT_EQ(cpus.size(), 2U);
  EXPECT_TRUE(cpus[0] != cpus[1] || allowed_cpus().size() == 1);
}

}  // namespace
}  // namespace tailrace::loadtest
